// SPDX-License-Identifier: Apache-2.0
// The framed log: an append-only file of frames, each with its CRC, read back past torn and flipped bytes.
// The agent's spool and the collector's journal are both made of such segment files.
//
// Stage: common, edge (files). Thread: a writer or a reader belongs to one thread; a reader may follow a file that
// another process is appending to. Specified in DESIGN.md "Formats".
//
//   segment file = segment header (64 bytes) ‖ record*
//   segment header: 0 u64 magic "CULPLOG1" | 8 u32 version = 1 | 12 u32 kind (1 spool, 2 journal) | 16 u8[16] log id |
//                   32 u64 segment number | 40 i64 created wall_ns | 48 u8[12] zero | 60 u32 crc32c of bytes 0..59
//   record = frame header (96) ‖ hash (32) ‖ u32 crc32c(header ‖ hash ‖ payload) ‖ payload
//
// The log id is the stream id of every record in the segment (spool: the agent's stream, journal: the journal's id); a
// record of another stream is not one of this file. So bytes inside a payload, which others may choose, are not taken
// for a record by a reader that looks for the next one.
// A reader that meets bytes that are not a whole valid record looks for the next frame magic whose record checks out,
// and reports the bytes in between. An incomplete record at the end of the file is a torn tail.
// A damaged segment header is reported as 64 damaged bytes; the log id is then that of the first whole record.
#ifndef CULPRIT_COMMON_FRAMED_LOG_H_
#define CULPRIT_COMMON_FRAMED_LOG_H_

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/file.h"
#include "common/frame.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kRecordOverheadBytes = kFrameHeaderBytes + 32 + 4;

enum class LogKind : std::uint32_t { kSpool = 1, kJournal = 2 };

struct SegmentHeader {
  LogKind kind = LogKind::kSpool;
  Uuid log_id;
  std::uint64_t number = 0;
  WallTime created;
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
// Total on any bytes. Errors: wrong size, magic, version, kind or checksum.
Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);
// The checksum of a record.
std::uint32_t RecordCrc(std::string_view header_bytes, const Sha256Digest& hash,
                        std::string_view payload);
// One record's bytes as they stand in the file.
std::string EncodeRecord(const Frame& frame);

// Appends records to one segment. Every byte offset is counted from the start of the file.
class SegmentWriter {
 public:
  // Creates `path` (must not exist, mode 0640), writes the header and fsyncs the file and its directory.
  static Result<SegmentWriter> Create(const std::string& path, const SegmentHeader& header);
  // Opens an existing segment for appending at `end_offset` (as a reader found it); what lies behind is cut off.
  static Result<SegmentWriter> OpenAt(const std::string& path, std::uint64_t end_offset);

  // write(2)s the record: it survives the death of the process, not yet a power cut. On an error (for instance
  // ENOSPC) the file is cut back to its last whole record, and the writer stays usable.
  Status Append(const Frame& frame);
  // Several records with one write(2), all or nothing as above. `records` is a concatenation of EncodeRecord()s.
  Status AppendEncoded(std::string_view records);
  // The same from many pieces (group commit without copies): pwritev(2), all or nothing.
  Status AppendParts(std::span<const iovec> parts);
  // fdatasync(2): what was appended before survives a power cut. After an error the page cache can not be trusted:
  // the caller must stop acknowledging, and reopen the segment through a reader.
  Status Sync();
  std::uint64_t offset() const { return offset_; }
  int fd() const { return fd_.get(); }

 private:
  SegmentWriter(UniqueFd fd, std::uint64_t offset) : fd_(std::move(fd)), offset_(offset) {}
  UniqueFd fd_;
  std::uint64_t offset_;
};

// What a reader passed over. `torn_tail`: the bytes end the file and are the beginning of a record, or zeros that a power
// cut left; a record that is just being written looks so too.
struct ReadDamage {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool torn_tail = false;
};

class SegmentReader {
 public:
  // `fd` may be shared with others: only pread(2) is used. Errors: kDataLoss for a file shorter than a segment header.
  static Result<SegmentReader> Open(UniqueFd fd, std::function<void(const ReadDamage&)> on_damage);
  static Result<SegmentReader> Open(const std::string& path,
                                    std::function<void(const ReadDamage&)> on_damage);

  const SegmentHeader& header() const { return header_; }
  bool header_damaged() const { return header_damaged_; }
  // The next whole record, or nullopt at the end of the file. May be called again after the file has grown: an
  // incomplete record at the end is not reported as damage until Finish().
  // Errors: only those of the operating system; corrupt bytes are damage, not errors.
  Result<std::optional<Frame>> Next();
  // Reports an incomplete tail as damage.
  void Finish();
  // Just behind the last whole record that was returned.
  std::uint64_t offset() const { return offset_; }
  Status Seek(std::uint64_t offset);
  // Of the file as it is now.
  Result<std::uint64_t> FileBytes() const { return FileSize(fd_.get()); }

 private:
  enum class Parsed { kRecord, kIncomplete, kBad };

  SegmentReader(UniqueFd fd, std::function<void(const ReadDamage&)> on_damage)
      : fd_(std::move(fd)), on_damage_(std::move(on_damage)) {}
  Status ReadHeader();
  // Up to `want` bytes from `offset` on, fewer at the end of the file. Valid until the next call.
  Result<std::string_view> BytesAt(std::uint64_t offset, std::size_t want);
  Result<Parsed> ParseAt(std::uint64_t offset, Frame* frame);
  // Offset of the first whole record at or behind `from`.
  Result<std::optional<std::uint64_t>> FindRecord(std::uint64_t from, Frame* frame);
  bool IsTornTail(std::uint64_t size);

  UniqueFd fd_;
  SegmentHeader header_;
  bool header_damaged_ = false;
  bool log_id_known_ = false;
  std::function<void(const ReadDamage&)> on_damage_;
  std::uint64_t offset_ = kSegmentHeaderBytes;
  std::string buffer_;
  std::uint64_t buffer_offset_ = 0;
  std::uint64_t searched_size_ = 0;  // of the file, when nothing whole was found behind offset_
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_FRAMED_LOG_H_
