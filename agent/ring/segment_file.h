// SPDX-License-Identifier: Apache-2.0
// Files of a segment ring: their names, and reading one packet after the other.
// Stage: ring (edge: files). Thread: a reader belongs to one caller; files may be read while their
// writer goes on.
// Failure: reading ends at the last whole block, and says whether there were bytes behind it.
#ifndef CULPRIT_AGENT_RING_SEGMENT_FILE_H_
#define CULPRIT_AGENT_RING_SEGMENT_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ring/segment_index.h"
#include "common/pcapng.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

enum class SegmentFileKind : std::uint8_t { kOpen, kClosed, kIndex };

struct SegmentFileName {
  std::uint64_t number = 0;
  SegmentFileKind kind = SegmentFileKind::kOpen;
};

// "00000012.open", "00000012.pcapng", "00000012.idx".
std::string FormatSegmentName(std::uint64_t number, SegmentFileKind kind);
std::optional<SegmentFileName> ParseSegmentName(std::string_view name);

struct SegmentListing {
  std::vector<std::uint64_t> open, closed, indexes;  // ascending
};
Result<SegmentListing> ListSegments(const std::string& directory);

class PacketSegmentReader {
 public:
  static Result<PacketSegmentReader> Open(const std::string& path);

  // The next packet, statistics or process block; false at the end. Views in `block` are valid
  // until the next call.
  Result<bool> Next(PcapngBlock* block);
  // Where the last whole block ended; all of the file, if it is whole.
  std::uint64_t whole_bytes() const { return whole_bytes_; }
  const std::vector<PcapngInterface>& interfaces() const { return parser_.interfaces(); }

 private:
  explicit PacketSegmentReader(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<bool> Fill();

  UniqueFd fd_;
  PcapngParser parser_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::uint64_t whole_bytes_ = 0;
};

// What an index would have said, from the segment itself. Addresses stay unknown.
// `whole_bytes`: see PacketSegmentReader.
struct ScannedSegment {
  SegmentIndex index;
  std::uint64_t whole_bytes = 0;
};
Result<ScannedSegment> ScanSegment(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_SEGMENT_FILE_H_
