// SPDX-License-Identifier: Apache-2.0
#include "common/framed_log.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/bytes.h"
#include "common/crc32c.h"

namespace culprit {
namespace {

constexpr std::uint64_t kSegmentMagic = 0x31474f4c504c5543ULL;  // "CULPLOG1"
constexpr std::uint32_t kSegmentVersion = 1;
constexpr std::size_t kReadChunk = 128U << 10;
constexpr std::string_view kFrameMagicBytes = "CFR1";

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

// pwritev(2) until everything is written.
Status WriteParts(int fd, std::uint64_t offset, std::span<const iovec> parts) {
  std::array<iovec, 64> batch{};
  std::size_t next = 0;
  std::size_t skip = 0;  // bytes of parts[next] that are written
  while (next < parts.size()) {
    const std::size_t n = std::min(batch.size(), parts.size() - next);
    std::copy_n(parts.begin() + static_cast<std::ptrdiff_t>(next), n, batch.begin());
    batch[0].iov_base = static_cast<char*>(batch[0].iov_base) + skip;
    batch[0].iov_len -= skip;
    const ssize_t written =
        pwritev(fd, batch.data(), static_cast<int>(n), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoError("write");
    auto left = static_cast<std::size_t>(written);
    offset += left;
    std::size_t done = 0;
    for (; done < n && left >= batch[done].iov_len; ++done) left -= batch[done].iov_len;
    skip = done == 0 ? skip + left : left;
    next += done;
    if (written == 0 && done == 0) return Internal("write: wrote nothing");
  }
  return Ok();
}

iovec Part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderBytes, '\0');
  char* p = bytes.data();
  StoreLe(p, kSegmentMagic);
  StoreLe(p + 8, kSegmentVersion);
  StoreLe(p + 12, static_cast<std::uint32_t>(header.kind));
  std::copy(header.log_id.bytes.begin(), header.log_id.bytes.end(), p + 16);
  StoreLe(p + 32, header.number);
  StoreLe(p + 40, ToNs(header.created));
  StoreLe(p + 60, Crc32c({p, 60}));
  return bytes;
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() != kSegmentHeaderBytes) return DataLoss("segment header is not 64 bytes");
  const char* p = bytes.data();
  if (LoadLe<std::uint64_t>(p) != kSegmentMagic) return DataLoss("no segment magic");
  if (LoadLe<std::uint32_t>(p + 60) != Crc32c({p, 60})) return DataLoss("segment header checksum");
  if (LoadLe<std::uint32_t>(p + 8) != kSegmentVersion) return DataLoss("unknown segment version");
  const auto kind = LoadLe<std::uint32_t>(p + 12);
  if (kind != static_cast<std::uint32_t>(LogKind::kSpool) &&
      kind != static_cast<std::uint32_t>(LogKind::kJournal)) {
    return DataLoss("unknown segment kind");
  }
  SegmentHeader header;
  header.kind = static_cast<LogKind>(kind);
  std::copy(p + 16, p + 32, header.log_id.bytes.begin());
  header.number = LoadLe<std::uint64_t>(p + 32);
  header.created = WallTimeFromNs(LoadLe<std::int64_t>(p + 40));
  return header;
}

std::uint32_t RecordCrc(std::string_view header_bytes, const Sha256Digest& hash,
                        std::string_view payload) {
  return Crc32c(payload, Crc32c(AsBytes(hash), Crc32c(header_bytes)));
}

std::string EncodeRecord(const Frame& frame) {
  std::string record;
  record.reserve(kRecordOverheadBytes + frame.payload.size());
  record.append(frame.header_bytes).append(AsBytes(frame.hash));
  char crc[4];
  StoreLe(crc, RecordCrc(frame.header_bytes, frame.hash, frame.payload));
  record.append(crc, sizeof(crc)).append(frame.payload);
  return record;
}

Result<SegmentWriter> SegmentWriter::Create(const std::string& path, const SegmentHeader& header) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
  if (!fd) return ErrnoError("create " + path);
  SegmentWriter writer(std::move(fd), 0);
  Status written = writer.AppendEncoded(EncodeSegmentHeader(header));
  if (written && fsync(writer.fd()) != 0) written = ErrnoError("fsync");
  if (written) written = SyncDirectory(DirectoryOf(path));
  if (!written) {
    unlink(path.c_str());
    return std::move(written).error().Context(path);
  }
  return writer;
}

Result<SegmentWriter> SegmentWriter::OpenAt(const std::string& path, std::uint64_t end_offset) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + path);
  TRY(const std::uint64_t size, FileSize(fd.get()));
  if (size < end_offset) return DataLoss(path + ": shorter than what was read of it");
  if (size > end_offset && ftruncate(fd.get(), static_cast<off_t>(end_offset)) != 0) {
    return ErrnoError("truncate " + path);
  }
  return SegmentWriter(std::move(fd), end_offset);
}

Status SegmentWriter::Append(const Frame& frame) {
  char crc[4];
  StoreLe(crc, RecordCrc(frame.header_bytes, frame.hash, frame.payload));
  const std::array<iovec, 4> parts = {Part(frame.header_bytes), Part(AsBytes(frame.hash)),
                                      Part({crc, sizeof(crc)}), Part(frame.payload)};
  return AppendParts(parts);
}

Status SegmentWriter::AppendEncoded(std::string_view records) {
  const std::array<iovec, 1> parts = {Part(records)};
  return AppendParts(parts);
}

Status SegmentWriter::AppendParts(std::span<const iovec> parts) {
  if (Status written = WriteParts(fd_.get(), offset_, parts); !written) {
    // Half a record is cut off. Should even that fail, the next append overwrites it: writes go to
    // offset_.
    if (ftruncate(fd_.get(), static_cast<off_t>(offset_)) != 0) {
      return std::move(written).error().Context("and the file could not be cut back");
    }
    return written;
  }
  for (const iovec& part : parts) offset_ += part.iov_len;
  return Ok();
}

Status SegmentWriter::Sync() {
  if (fdatasync(fd_.get()) != 0) return ErrnoError("fdatasync");
  return Ok();
}

Result<SegmentReader> SegmentReader::Open(UniqueFd fd,
                                          std::function<void(const ReadDamage&)> on_damage) {
  SegmentReader reader(std::move(fd), std::move(on_damage));
  TRY_VOID(reader.ReadHeader());
  return reader;
}

Result<SegmentReader> SegmentReader::Open(const std::string& path,
                                          std::function<void(const ReadDamage&)> on_damage) {
  TRY(UniqueFd fd, OpenReadOnly(path));
  auto reader = Open(std::move(fd), std::move(on_damage));
  if (!reader) return std::move(reader).error().Context(path);
  return reader;
}

Status SegmentReader::ReadHeader() {
  TRY(const std::string_view bytes, BytesAt(0, kSegmentHeaderBytes));
  if (bytes.size() < kSegmentHeaderBytes) return DataLoss("shorter than a segment header");
  if (auto header = DecodeSegmentHeader(bytes)) {
    header_ = *header;
    log_id_known_ = true;
    return Ok();
  }
  header_damaged_ = true;
  on_damage_({0, kSegmentHeaderBytes, false});
  Frame frame;
  TRY(const auto first, FindRecord(kSegmentHeaderBytes, &frame));
  if (first) {
    header_.log_id = frame.header.stream_id;
    header_.kind =
        frame.header.kind == FrameKind::kJournalEntry ? LogKind::kJournal : LogKind::kSpool;
    log_id_known_ = true;
  }
  return Ok();
}

Result<std::string_view> SegmentReader::BytesAt(std::uint64_t offset, std::size_t want) {
  const bool buffered =
      offset >= buffer_offset_ && offset + want <= buffer_offset_ + buffer_.size();
  if (!buffered) {
    buffer_.resize(std::max(want, kReadChunk));
    buffer_offset_ = offset;
    std::size_t have = 0;
    while (have < buffer_.size()) {
      const ssize_t n = pread(fd_.get(), buffer_.data() + have, buffer_.size() - have,
                              static_cast<off_t>(offset + have));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        buffer_.clear();
        return ErrnoError("read");
      }
      if (n == 0) break;
      have += static_cast<std::size_t>(n);
    }
    buffer_.resize(have);
  }
  return std::string_view(buffer_).substr(static_cast<std::size_t>(offset - buffer_offset_), want);
}

Result<SegmentReader::Parsed> SegmentReader::ParseAt(std::uint64_t offset, Frame* frame) {
  TRY(std::string_view bytes, BytesAt(offset, kRecordOverheadBytes));
  if (bytes.size() < kRecordOverheadBytes) return Parsed::kIncomplete;
  const auto header = DecodeFrameHeader(bytes.substr(0, kFrameHeaderBytes));
  if (!header) return Parsed::kBad;
  if (log_id_known_ && header->stream_id != header_.log_id) return Parsed::kBad;
  const std::size_t record_bytes = kRecordOverheadBytes + header->payload_len;
  TRY(bytes, BytesAt(offset, record_bytes));
  if (bytes.size() < record_bytes) return Parsed::kIncomplete;
  const std::string_view header_bytes = bytes.substr(0, kFrameHeaderBytes);
  const std::string_view payload = bytes.substr(kRecordOverheadBytes);
  Sha256Digest hash{};
  std::copy_n(bytes.begin() + kFrameHeaderBytes, hash.size(), hash.begin());
  if (LoadLe<std::uint32_t>(bytes.data() + kFrameHeaderBytes + hash.size()) !=
      RecordCrc(header_bytes, hash, payload)) {
    return Parsed::kBad;
  }
  frame->header = *header;
  frame->header_bytes.assign(header_bytes);
  frame->payload.assign(payload);
  frame->hash = hash;
  return Parsed::kRecord;
}

Result<std::optional<std::uint64_t>> SegmentReader::FindRecord(std::uint64_t from, Frame* frame) {
  for (;;) {
    const std::uint64_t buffer_end = buffer_offset_ + buffer_.size();
    std::size_t want = kReadChunk;
    if (from >= buffer_offset_ && from + kFrameMagicBytes.size() <= buffer_end) {
      want = static_cast<std::size_t>(buffer_end - from);
    }
    TRY(const std::string_view bytes, BytesAt(from, want));
    if (bytes.size() < kFrameMagicBytes.size()) return std::optional<std::uint64_t>();
    const std::size_t magic = bytes.find(kFrameMagicBytes);
    if (magic == std::string_view::npos) {
      from += bytes.size() - (kFrameMagicBytes.size() - 1);
      continue;
    }
    from += magic;
    TRY(const Parsed parsed, ParseAt(from, frame));
    if (parsed == Parsed::kRecord) return std::optional(from);
    ++from;
  }
}

Result<std::optional<Frame>> SegmentReader::Next() {
  Frame frame;
  TRY(const Parsed parsed, ParseAt(offset_, &frame));
  if (parsed != Parsed::kRecord) {
    TRY(const std::uint64_t size, FileSize(fd_.get()));
    if (size <= offset_ || size == searched_size_) {
      buffer_.clear();
      return std::optional<Frame>();
    }
    TRY(const auto found, FindRecord(offset_ + 1, &frame));
    if (!found) {
      // What is buffered may be cut off and rewritten by the writer before the next call.
      buffer_.clear();
      searched_size_ = size;
      return std::optional<Frame>();
    }
    on_damage_({offset_, *found - offset_, false});
    offset_ = *found;
  }
  offset_ += kRecordOverheadBytes + frame.payload.size();
  searched_size_ = 0;
  return std::optional<Frame>(std::move(frame));
}

void SegmentReader::Finish() {
  const auto size = FileSize(fd_.get());
  if (!size || *size <= offset_) return;
  on_damage_({offset_, *size - offset_, IsTornTail(*size)});
}

bool SegmentReader::IsTornTail(std::uint64_t size) {
  buffer_.clear();
  const std::uint64_t left = size - offset_;
  const auto bytes = BytesAt(
      offset_, static_cast<std::size_t>(std::min<std::uint64_t>(left, kMaxJournalPayloadBytes)));
  if (!bytes || bytes->empty()) return true;
  if (std::all_of(bytes->begin(), bytes->end(), [](char c) { return c == '\0'; })) return true;
  const std::size_t magic = std::min(bytes->size(), kFrameMagicBytes.size());
  if (bytes->substr(0, magic) != kFrameMagicBytes.substr(0, magic)) return false;
  if (left < kRecordOverheadBytes) return true;
  const auto header = DecodeFrameHeader(bytes->substr(0, kFrameHeaderBytes));
  return header && kRecordOverheadBytes + header->payload_len > left;
}

Status SegmentReader::Seek(std::uint64_t offset) {
  if (offset < kSegmentHeaderBytes) return InvalidArgument("seek into the segment header");
  offset_ = offset;
  searched_size_ = 0;
  buffer_.clear();
  return Ok();
}

}  // namespace culprit
