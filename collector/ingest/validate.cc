// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/validate.h"

#include <algorithm>

#include "collector/ingest/wire_scan.h"
#include "collector/model/evidence_rules.h"

namespace culprit {
namespace {

// Buffers that one large frame has grown are given back: an idle agent must not hold megabytes
// here.
constexpr std::size_t kKeepBufferBytes = 1U << 20;
constexpr std::size_t kMaxVersionBytes = 64;

tl::unexpected<FrameRefusal> Refuse(Refusal reason, std::string detail) {
  return tl::unexpected<FrameRefusal>(FrameRefusal{reason, std::move(detail)});
}

Result<Uuid> OptionalUuid(std::string_view bytes) {
  if (bytes.empty()) return Uuid{};
  return Uuid::FromBytes(bytes);
}

bool IsReason(std::string_view text) {
  return text.size() <= 32 &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool IsVersion(std::string_view text) {
  return text.size() <= kMaxVersionBytes &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

Status ReadLanes(const v1::Hello& hello, HelloClaim* claim) {
  std::array<bool, kLaneCount> seen{};
  for (const v1::LaneRange& range : hello.lanes()) {
    if (range.lane() >= kLaneCount || seen[range.lane()]) {
      return InvalidArgument("hello: unknown or repeated lane");
    }
    if (range.oldest_seq() == 0 || range.oldest_seq() - 1 > range.newest_seq()) {
      return InvalidArgument("hello: a lane's oldest frame is behind its newest");
    }
    seen[range.lane()] = true;
    claim->lanes[range.lane()] = {range.oldest_seq(), range.newest_seq()};
  }
  return Ok();
}

}  // namespace

std::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kHeader:
      return "header";
    case Refusal::kSize:
      return "size";
    case Refusal::kHash:
      return "hash";
    case Refusal::kKind:
      return "kind";
    case Refusal::kLane:
      return "lane";
    case Refusal::kStream:
      return "stream";
    case Refusal::kInflate:
      return "inflate";
    case Refusal::kMalformed:
      return "malformed";
    case Refusal::kCount:
      return "count";
  }
  return "unknown";
}

tl::expected<ValidFrame, FrameRefusal> FrameValidator::Validate(std::string header,
                                                                std::string payload,
                                                                std::string_view hash) {
  if (hash.size() != sizeof(Sha256Digest)) return Refuse(Refusal::kSize, "hash is not 32 bytes");
  const Result<FrameHeader> decoded = DecodeFrameHeader(header);
  if (!decoded) return Refuse(Refusal::kHeader, decoded.error().message);
  ValidFrame out;
  out.frame.header = *decoded;
  const FrameHeader& h = out.frame.header;
  if (h.kind != FrameKind::kBatch && h.kind != FrameKind::kLoss) {
    return Refuse(Refusal::kKind, "a kind that only the collector writes");
  }
  if (h.kind == FrameKind::kLoss && h.lane != Lane::kEvidence) {
    return Refuse(Refusal::kLane, "a loss frame outside the evidence lane");
  }
  if (payload.size() != h.payload_len) {
    return Refuse(Refusal::kSize, "payload of " + std::to_string(payload.size()) +
                                      " bytes, header says " + std::to_string(h.payload_len));
  }
  if (h.stream_id != stream_id_) return Refuse(Refusal::kStream, "not the stream of the hello");
  if (h.seq == 0) return Refuse(Refusal::kHeader, "sequence numbers start at 1");
  out.frame.hash = FrameHash(header, payload);
  if (AsBytes(out.frame.hash) != hash) {
    return Refuse(Refusal::kHash, "the hash is not that of the bytes");
  }
  out.frame.header_bytes = std::move(header);
  out.frame.payload = std::move(payload);
  if (auto checked = CheckBatch(&out); !checked) return tl::unexpected(checked.error());
  return out;
}

tl::expected<void, FrameRefusal> FrameValidator::CheckBatch(ValidFrame* out) {
  const FrameHeader& h = out->frame.header;
  if (const Status s = InflatePayloadInto(h, out->frame.payload, &inflated_); !s) {
    return Refuse(Refusal::kInflate, s.error().message);
  }
  const WireCount parts = CountWireParts(inflated_);
  if (!parts.well_formed || parts.top_level > kMaxRecords || parts.nested > kMaxNestedItems) {
    return Refuse(Refusal::kMalformed,
                  parts.well_formed ? "a batch of too many parts" : "not an EvidenceBatch");
  }
  if (!batch_.ParseFromString(inflated_)) {
    return Refuse(Refusal::kMalformed, "not an EvidenceBatch");
  }
  if (h.record_count > inflated_.size()) {
    return Refuse(Refusal::kCount, "more records announced than the payload has bytes");
  }
  const EvidenceVerdict verdict = ApplyEvidenceRules(&batch_);
  out->records = verdict.records;
  out->rejected_records = verdict.rejected;
  if (inflated_.size() > kKeepBufferBytes) {
    inflated_ = std::string();
    batch_ = v1::EvidenceBatch();
  }
  return {};
}

Result<HelloClaim> ValidateHello(const v1::Hello& hello) {
  if (hello.protocol_version() != kProtocolVersion) {
    return FailedPrecondition("this collector speaks protocol version " +
                              std::to_string(kProtocolVersion) + ", the agent version " +
                              std::to_string(hello.protocol_version()) +
                              ": upgrade the older of the two");
  }
  HelloClaim claim;
  const Result<Uuid> stream = Uuid::FromBytes(hello.stream_id());
  if (!stream || *stream == Uuid{}) return InvalidArgument("hello: stream id is not 16 bytes");
  claim.stream_id = *stream;
  TRY(claim.boot_id, OptionalUuid(hello.boot_id()));
  TRY(claim.run_id, OptionalUuid(hello.run_id()));
  TRY(claim.previous_stream_id, OptionalUuid(hello.previous_stream_id()));
  if (!IsVersion(hello.agent_version())) return InvalidArgument("hello: agent version");
  if (!IsReason(hello.stream_reason())) return InvalidArgument("hello: stream reason");
  claim.agent_version = hello.agent_version();
  claim.stream_reason = hello.stream_reason();
  TRY_VOID(ReadLanes(hello, &claim));
  return claim;
}

}  // namespace culprit
