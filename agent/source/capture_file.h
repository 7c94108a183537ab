// SPDX-License-Identifier: Apache-2.0
// Packets out of capture files: pcap (seconds with micro- or nanoseconds, either byte order, the
// "modified" variant) and pcapng, plain or packed with gzip or zstd.
// Stage: source. Thread: one owner.
// Memory: the window of common/byte_stream.h, at most 32 MiB for a file with giant blocks.
// Failure: a damaged file is no error. What is whole before the damage is delivered, in pcapng what
// is whole behind it as well, and stats() says what was damaged where and why. Open() fails where
// there is nothing to read as a capture; Next() fails where the system could not read on.
//
// libpcap is not used to read: it gives no position in the file, stops at the first damage (pcapng
// has ways to go on), gives one time resolution and one link type for all interfaces of a pcapng,
// and hides its comments, statistics and custom blocks; and it would still copy every packet.
#ifndef CULPRIT_AGENT_SOURCE_CAPTURE_FILE_H_
#define CULPRIT_AGENT_SOURCE_CAPTURE_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/packet.h"
#include "common/byte_stream.h"
#include "common/pcapng.h"
#include "common/result.h"

namespace culprit {

// What is delivered of one packet; the rest of a longer one is skipped and counted.
inline constexpr std::uint32_t kMaxCaptureBytes = 256U << 10;
// A record of a pcap that says it is longer is damage.
inline constexpr std::uint32_t kMaxPcapRecordBytes = 16U << 20;
// Damaged ranges that are kept one by one; all are counted.
inline constexpr std::size_t kMaxDamageKept = 64;
// Interfaces that have statistics of their own, over all sections of a file.
inline constexpr std::size_t kMaxCaptureInterfaces = 65536;

struct CaptureDamage {
  std::uint64_t offset = 0;  // in the unpacked bytes
  std::uint64_t bytes = 0;
  std::string reason;
};

struct CaptureInterface {
  std::string name;  // empty in a pcap
  int link_type = 0;
  std::uint32_t snaplen = 0;
  std::uint64_t packets = 0;  // delivered
  // As the capturing program counted, where the file says so (pcapng).
  std::optional<std::uint64_t> received, interface_drops, os_drops;
  std::uint64_t packet_drops = 0;  // summed over what packets say was lost before them
};

struct CaptureStats {
  const char* format = "";  // "pcap" or "pcapng"
  Packing packing = Packing::kNone;
  std::uint64_t packets = 0;     // delivered
  std::uint64_t bytes = 0;       // of packets, delivered
  std::uint64_t wire_bytes = 0;  // of the same packets
  std::uint64_t oversized = 0;   // packets cut to kMaxCaptureBytes
  std::uint64_t untimed = 0;     // without a time; they have that of the packet before
  std::uint64_t sections = 0;    // of a pcapng; file headers of a pcap
  std::uint64_t damaged = 0;     // ranges
  std::uint64_t damaged_bytes = 0;
  std::vector<CaptureDamage> damage;         // the first kMaxDamageKept
  std::vector<CaptureInterface> interfaces;  // CapturedPacket::interface is an index of it
};

class CaptureReader {
 public:
  using OnProcess = std::function<void(const PcapngProcess&)>;

  // "-" is the standard input. Errors: no such file, not a capture (says what it looks like),
  // packed in a way that is not read.
  static Result<std::unique_ptr<CaptureReader>> Open(const std::string& path);
  static Result<std::unique_ptr<CaptureReader>> FromStream(std::unique_ptr<ByteStream> stream);

  virtual ~CaptureReader() = default;
  // Called within Next() with each process that the file describes, before the packets behind it.
  // A process may be described several times.
  void SetOnProcess(OnProcess on_process) { on_process_ = std::move(on_process); }
  // False: the end. `out->bytes` is valid until the next call. Errors: reading failed.
  virtual Result<bool> Next(CapturedPacket& out) = 0;
  const CaptureStats& stats() const { return stats_; }

 protected:
  explicit CaptureReader(ByteWindow window);
  void NoteDamage(std::uint64_t offset, std::uint64_t bytes, std::string reason);
  // Cuts what is too long, counts, and completes `out` from its bytes and interface.
  void Deliver(CapturedPacket& out);
  // What to return at the end of the bytes: false, or the error that ended them.
  Result<bool> AtEnd();

  ByteWindow window_;
  CaptureStats stats_;
  OnProcess on_process_;

 private:
  // Damage of what the file is packed with, which is damage of the file and no error.
  bool UnpackingFailed() const;

  bool end_noted_ = false;
};

// `path` itself if it is a file or "-"; of a directory, the captures that lie in it (not below it),
// sorted by the time of their first packet, those without packets last. Other files in it are left
// out, with a line in the log. Errors: cannot be read; a directory without captures.
Result<std::vector<std::string>> ListCaptures(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_CAPTURE_FILE_H_
