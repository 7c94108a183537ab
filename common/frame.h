// SPDX-License-Identifier: Apache-2.0
// The frame: the unit of evidence that is written to the agent's spool, sent, acknowledged, journalled and chained.
//
// Stage: common, shared by agent/spool, agent/stream, collector/ingest and collector/journal. Pure: no I/O.
// Thread: values. The byte layout is fixed (little-endian) and specified in DESIGN.md "Formats".
//
//   header (96 bytes)
//     0  u32  magic 0x31524643 ("CFR1")
//     4  u16  version = 1
//     6  u8   kind        FrameKind
//     7  u8   lane        Lane
//     8  u8[16] stream_id
//    24  u64  seq         per (stream, lane), starts at 1, runs on across restarts
//    32  u64  boot_ns     CLOCK_BOOTTIME at which the frame was made
//    40  i64  wall_ns     CLOCK_REALTIME read together with it
//    48  u32  record_count
//    52  u32  payload_len  bytes of payload as stored (<= kMaxPayloadBytes; journal entries: kMaxJournalPayloadBytes)
//    56  u32  inflated_len bytes after decompression (<= kMaxInflatedBytes)
//    60  u8   codec       Codec
//    61  u8   sync        ClockSync
//    62  u16  reserved = 0
//    64  u8[32] prev_hash  hash of the frame before it in (stream, lane); zeros for seq 1
//   hash = SHA-256(header ‖ payload): prev_hash is part of the header, hence of the hash.
#ifndef CULPRIT_COMMON_FRAME_H_
#define CULPRIT_COMMON_FRAME_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/result.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

inline constexpr std::uint32_t kFrameMagic = 0x31524643U;
inline constexpr std::uint16_t kFrameVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 96;
inline constexpr std::uint32_t kMaxPayloadBytes = 1U << 20;
inline constexpr std::uint32_t kMaxInflatedBytes = 8U << 20;
// A journal entry wraps an agent's frame with its header, hash and the collector's stamp.
inline constexpr std::uint32_t kMaxJournalPayloadBytes = kMaxPayloadBytes + (64U << 10);

enum class Lane : std::uint8_t { kEvidence = 0, kBulk = 1 };
inline constexpr std::size_t kLaneCount = 2;

enum class FrameKind : std::uint8_t {
  kBatch = 1,         // payload: culprit.v1.EvidenceBatch
  kLoss = 2,          // payload: culprit.v1.EvidenceBatch that holds only losses; always in the evidence lane
  kJournalEntry = 16,  // collector's journal only; payload: JournalEntry (see collector/journal)
};

constexpr std::uint32_t MaxPayloadBytes(FrameKind kind) {
  return kind == FrameKind::kJournalEntry ? kMaxJournalPayloadBytes : kMaxPayloadBytes;
}

enum class Codec : std::uint8_t { kNone = 0, kZstd = 1 };

struct FrameHeader {
  FrameKind kind = FrameKind::kBatch;
  Lane lane = Lane::kEvidence;
  Uuid stream_id;
  std::uint64_t seq = 0;
  ClockPair clock;
  std::uint32_t record_count = 0;
  std::uint32_t payload_len = 0;
  std::uint32_t inflated_len = 0;
  Codec codec = Codec::kNone;
  Sha256Digest prev_hash{};
  friend bool operator==(const FrameHeader&, const FrameHeader&);
};

// A whole frame. Owns its bytes. `hash` is FrameHash(header_bytes, payload).
struct Frame {
  FrameHeader header;
  std::string header_bytes;  // exactly kFrameHeaderBytes; what was hashed
  std::string payload;       // as stored, compressed
  Sha256Digest hash{};
};

std::string EncodeFrameHeader(const FrameHeader& header);
// Total on any bytes. Errors: wrong size, magic, version, unknown lane, kind or codec, or lengths over the limits.
Result<FrameHeader> DecodeFrameHeader(std::string_view bytes);
Sha256Digest FrameHash(std::string_view header_bytes, std::string_view payload);

// Completes `header` (lengths, codec) and returns the frame. `inflated` is compressed with zstd, with its content size
// in the zstd frame; stored as it is where that would not make it shorter.
// Errors: `inflated` over kMaxInflatedBytes, or its compressed form over kMaxPayloadBytes.
Result<Frame> MakeFrame(FrameHeader header, std::string_view inflated);
// The decompressed payload. Errors: not what the header announces. Never allocates more than kMaxInflatedBytes.
Result<std::string> InflatePayload(const FrameHeader& header, std::string_view payload);
// The same into a buffer that the caller reuses.
Status InflatePayloadInto(const FrameHeader& header, std::string_view payload, std::string* out);

}  // namespace culprit

#endif  // CULPRIT_COMMON_FRAME_H_
