// SPDX-License-Identifier: Apache-2.0
// The two formats behind CaptureReader, for agent/source/capture_file.cc only.
// Stage: source. Thread: as CaptureReader. Failure: as CaptureReader.
#ifndef CULPRIT_AGENT_SOURCE_CAPTURE_READERS_H_
#define CULPRIT_AGENT_SOURCE_CAPTURE_READERS_H_

#include <cstdint>
#include <string_view>
#include <utility>

#include "agent/source/capture_file.h"

namespace culprit {

class PcapReader : public CaptureReader {
 public:
  static bool Recognizes(std::string_view magic);
  explicit PcapReader(ByteWindow window);
  Result<bool> Next(CapturedPacket& out) override;

 private:
  struct Record {
    std::uint32_t seconds = 0, fraction = 0, captured = 0, wire = 0;
  };
  std::uint32_t U32(const char* at) const;
  Record ReadRecord(const char* at) const;
  // The file's own header again: captures were joined end to end.
  bool IsFileHeader(std::string_view ahead) const;
  bool TakeFileHeader();
  // Whether a record may start behind `size` bytes: a long packet is only believed if one does.
  bool RecordFollows(std::size_t size);
  void EndInDamage(std::string reason);

  bool big_endian_ = false;
  std::uint32_t ns_per_fraction_ = 1;
  std::size_t record_head_bytes_ = 0;
  std::uint16_t minor_ = 4;
  std::size_t taken_ = 0;  // of the window, by the packet that was delivered last
  bool header_read_ = false, ended_ = false;
};

class PcapngReader : public CaptureReader {
 public:
  static bool Recognizes(std::string_view magic);
  explicit PcapngReader(ByteWindow window) : CaptureReader(std::move(window)) {
    stats_.format = "pcapng";
  }
  Result<bool> Next(CapturedPacket& out) override;

 private:
  // The next whole block, past whatever is damaged. False: the end.
  bool NextBlock();
  // Skips to the next plausible block.
  void SkipDamage(std::string reason);
  // True: `out` is a packet.
  bool TakeBlock(CapturedPacket& out);
  // Those that the section has and stats() does not.
  void TakeInterfaces();
  void TakeStatistics();

  PcapngParser parser_;
  PcapngBlock block_;
  std::size_t taken_ = 0;  // of the window, by the packet that was delivered last
  // stats_.interfaces index of the section's first interface.
  std::size_t first_interface_ = 0;
  std::int64_t last_wall_ns_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_CAPTURE_READERS_H_
