// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/journal_entry.h"

#include <algorithm>

#include "collector/model/stamp_wire.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/framed_log.h"

namespace culprit {
namespace {

constexpr std::size_t kStampLengthBytes = 4;
constexpr std::size_t kHashBytes = 32;

}  // namespace

Result<EncodedEntry> EncodeEntry(const EntryPlace& place, const CollectorStamp& stamp,
                                 const Frame& frame) {
  const std::string stamp_bytes = EncodeStamp(stamp);
  const std::size_t payload_len = kStampLengthBytes + stamp_bytes.size() + kFrameHeaderBytes +
                                  kHashBytes + frame.payload.size();
  if (payload_len > kMaxJournalPayloadBytes || frame.header_bytes.size() != kFrameHeaderBytes) {
    return InvalidArgument("frame with its stamp is too large for the journal");
  }
  FrameHeader header;
  header.kind = FrameKind::kJournalEntry;
  header.stream_id = place.journal_id;
  header.seq = place.lsn;
  header.clock = place.clock;
  header.record_count = frame.header.record_count;
  header.payload_len = static_cast<std::uint32_t>(payload_len);
  header.inflated_len = header.payload_len;
  header.prev_hash = place.prev_hash;
  const std::string header_bytes = EncodeFrameHeader(header);

  std::string inner(kStampLengthBytes, '\0');
  StoreLe(inner.data(), static_cast<std::uint32_t>(stamp_bytes.size()));
  inner.append(stamp_bytes).append(frame.header_bytes).append(AsBytes(frame.hash));

  thread_local Sha256 hash;
  hash.Update(header_bytes);
  hash.Update(inner);
  hash.Update(frame.payload);
  EncodedEntry entry;
  entry.hash = hash.Finish();
  std::uint32_t crc = Crc32c(AsBytes(entry.hash), Crc32c(header_bytes));
  crc = Crc32c(frame.payload, Crc32c(inner, crc));
  char crc_bytes[sizeof(crc)];
  StoreLe(crc_bytes, crc);
  entry.head.reserve(kRecordOverheadBytes + inner.size());
  entry.head.append(header_bytes).append(AsBytes(entry.hash));
  entry.head.append(crc_bytes, sizeof(crc_bytes)).append(inner);
  return entry;
}

Result<StoredFrame> DecodeEntry(const Frame& record) {
  if (record.header.kind != FrameKind::kJournalEntry || record.header.codec != Codec::kNone) {
    return DataLoss("not a journal entry");
  }
  std::string_view rest = record.payload;
  if (rest.size() < kStampLengthBytes) return DataLoss("journal entry too short");
  const std::size_t stamp_len = LoadLe<std::uint32_t>(rest.data());
  rest.remove_prefix(kStampLengthBytes);
  if (rest.size() < stamp_len || rest.size() - stamp_len < kFrameHeaderBytes + kHashBytes) {
    return DataLoss("journal entry too short");
  }
  StoredFrame stored;
  stored.lsn = record.header.seq;
  TRY(stored.stamp, DecodeStamp(rest.substr(0, stamp_len)));
  rest.remove_prefix(stamp_len);
  stored.frame.header_bytes.assign(rest.substr(0, kFrameHeaderBytes));
  TRY(stored.frame.header, DecodeFrameHeader(stored.frame.header_bytes));
  rest.remove_prefix(kFrameHeaderBytes);
  std::copy_n(rest.begin(), kHashBytes, stored.frame.hash.begin());
  rest.remove_prefix(kHashBytes);
  if (rest.size() != stored.frame.header.payload_len) {
    return DataLoss("journal entry holds a frame of another length");
  }
  stored.frame.payload.assign(rest);
  return stored;
}

}  // namespace culprit
