// SPDX-License-Identifier: Apache-2.0
// SegmentRing: packets on disk in a bounded number of bytes, oldest out first. Each segment is a
// pcapng file that stands for itself; one is open, and what is written to it is readable at any
// time up to its last whole block.
//
// Stage: ring (edge: files). Thread: one caller; files may be read by others (see query.h).
// Directory (mode 0700, DIR/lock held while open):
//   DIR/NNNNNNNN.open    being written; kill -9 loses what was not flushed. Closed at the next
//   start. DIR/NNNNNNNN.pcapng  closed: interfaces, processes, packets, and drops at its end
//   DIR/NNNNNNNN.idx     what is in it, see segment_index.h
// Bound: all files together never have more than max_bytes; room for a whole segment with its index
// is made before one is opened.
// Failure: a full disk, or less free than min_free_bytes, removes the oldest segments; with none
// left the ring rests, counts what it could not keep, and goes on when there is room.
#ifndef CULPRIT_AGENT_RING_SEGMENT_RING_H_
#define CULPRIT_AGENT_RING_SEGMENT_RING_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/ring/packet_join.h"
#include "agent/ring/segment_file.h"
#include "agent/ring/segment_index.h"
#include "common/pcapng.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// A packet with its interface and headers fits into any segment.
inline constexpr std::uint64_t kMinSegmentBytes = 256U << 10;

struct SegmentRingOptions {
  std::string directory;
  std::uint64_t max_bytes = 256U << 20;     // at least two segments
  std::uint64_t segment_bytes = 16U << 20;  // index included; at least kMinSegmentBytes
  std::uint64_t min_free_bytes = 0;         // that the file system keeps for others
  std::uint64_t first_number = 1;           // for a directory without segments
  std::size_t buffer_bytes = 128U << 10;    // written at once
  PcapngSection section;
};

// An interface as the tap knows it; ids are never used for another.
struct SegmentInterface {
  std::uint32_t id = 0;
  PcapngInterface description;
};

struct SegmentPacket {
  const SegmentInterface* interface = nullptr;
  TapPacket packet;
  PacketNames names;
  std::optional<IpAddress> source, destination;  // nullopt: not known
};

struct ClosedSegment {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;  // index included
  std::int64_t first_ns = 0, last_ns = 0;
  std::uint64_t packets = 0;
};

struct SegmentRingStats {
  std::uint64_t bytes = 0;                                  // of all files now
  std::uint64_t segments = 0;                               // the open one included
  std::uint64_t packets = 0;                                // written since the start
  std::uint64_t lost_packets = 0;                           // could not be written
  std::uint64_t evicted_segments = 0, shrunk_segments = 0;  // for the bound; for want of disk
  std::int64_t oldest_ns = 0;                               // 0 = empty
  std::string degraded;                                     // empty = well
};

// The segment that is being written.
struct OpenSegment {
  std::uint64_t number = 0;
  UniqueFd fd;
  std::uint64_t written_bytes = 0;  // whole blocks on disk
  std::uint64_t buffered_packets = 0;
  std::string buffer;
  SegmentIndex index;
  std::map<std::uint32_t, std::uint32_t> interfaces;  // id -> number in the section
  std::unordered_set<ProcessId> processes;            // whose definition is in it

  std::uint64_t bytes() const { return written_bytes + buffer.size(); }
};

class SegmentRing {
 public:
  // Definition of a process, to be written ahead of its packets; null where there is none yet.
  using ProcessLookup = std::function<const PcapngProcess*(ProcessId)>;

  // Closes what a run before left open, cut at the last whole block, and removes what is over the
  // bound. Errors: no directory, bounds that make no sense, another process in it.
  static Result<std::unique_ptr<SegmentRing>> Open(const SegmentRingOptions& options,
                                                   ProcessLookup processes);
  ~SegmentRing();  // closes the open segment

  // Into the buffer, or counted as lost.
  void Write(const SegmentPacket& packet);
  // Writes the buffer, and looks after the disk. Call at least once a second.
  void Flush();
  // What is told of an interface at the end of a segment; cumulative.
  void SetStatistics(std::uint32_t interface_id, const PcapngStatistics& statistics);
  // Closes the open segment, so that all is in closed ones.
  void Rotate();

  // Oldest first; those that overlap the time.
  std::vector<ClosedSegment> Closed(std::int64_t from_ns, std::int64_t to_ns) const;
  std::string Path(std::uint64_t number, SegmentFileKind kind) const;
  SegmentRingStats stats() const;

 private:
  SegmentRing(SegmentRingOptions options, ProcessLookup processes);
  Status Recover();
  Status Adopt(std::uint64_t number);
  Status CloseLeftOpen(std::uint64_t number);

  bool EnsureOpen();
  bool Append(const SegmentPacket& packet);
  std::uint64_t TailBytes() const;
  void Count(const SegmentPacket& packet);
  bool WriteBuffer();
  void AppendStatistics();
  void Finish();
  void Close();
  void KeepDiskFree();
  bool EvictOldest();
  void Shrunk();
  void Rest(const std::string& reason);

  SegmentRingOptions options_;
  ProcessLookup processes_;
  UniqueFd lock_;
  std::deque<ClosedSegment> closed_;
  std::uint64_t closed_bytes_ = 0;
  std::uint64_t next_number_ = 1;
  std::optional<OpenSegment> open_;
  std::map<std::uint32_t, PcapngStatistics> statistics_;
  bool resting_ = false;  // no room on disk
  SegmentRingStats stats_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_SEGMENT_RING_H_
