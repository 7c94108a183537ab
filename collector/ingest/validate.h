// SPDX-License-Identifier: Apache-2.0
// Decides whether what an agent sent can be taken as evidence. A bad frame is refused as a whole;
// bad records inside a good frame are only counted, because the frame is evidence as it stands.
//
// Stage: ingest. Pure: no I/O, no clock. Thread: one caller an object (its buffers are reused).
// Total on any bytes; memory is bounded by the limits of common/frame.h and kMaxRecords, whatever a
// compressed payload unfolds to.
#ifndef CULPRIT_COLLECTOR_INGEST_VALIDATE_H_
#define CULPRIT_COLLECTOR_INGEST_VALIDATE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "common/frame.h"
#include "common/ids.h"
#include "common/result.h"
#include "culprit/v1/evidence.pb.h"
#include "culprit/v1/ingest.pb.h"

namespace culprit {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kMaxRecords = 65'536;       // messages at the top level of a batch
inline constexpr std::size_t kMaxNestedItems = 262'144;  // strings and messages inside those

enum class Refusal : std::uint8_t {
  kHeader,     // not a frame header of this version
  kSize,       // header, hash or payload has another length than it must
  kHash,       // SHA-256 over the bytes is not what came with them
  kKind,       // a kind that no agent may send
  kLane,       // a loss frame outside the evidence lane
  kStream,     // not the stream of the hello
  kInflate,    // the payload does not decompress to what the header says
  kMalformed,  // not an EvidenceBatch, or one with too many parts
  kCount,      // more records announced than the payload can hold
};
std::string_view RefusalName(Refusal refusal);

struct FrameRefusal {
  Refusal reason = Refusal::kHeader;
  std::string detail;  // for a person; never bytes of the peer's
};

struct ValidFrame {
  Frame frame;
  std::uint64_t records = 0, rejected_records = 0;
};

class FrameValidator {
 public:
  explicit FrameValidator(const Uuid& stream_id) : stream_id_(stream_id) {}
  // Takes the bytes over.
  tl::expected<ValidFrame, FrameRefusal> Validate(std::string header, std::string payload,
                                                  std::string_view hash);

 private:
  tl::expected<void, FrameRefusal> CheckBatch(ValidFrame* out);

  Uuid stream_id_;
  std::string inflated_;
  v1::EvidenceBatch batch_;
};

struct LaneClaim {
  std::uint64_t oldest_seq = 1, newest_seq = 0;
};
// What a hello says, checked for form only.
struct HelloClaim {
  std::string agent_version;
  Uuid stream_id, boot_id, run_id, previous_stream_id;  // zeros = not given
  std::array<LaneClaim, kLaneCount> lanes{};
  std::string stream_reason;
};
// Errors: kFailedPrecondition (protocol version), kInvalidArgument (form).
Result<HelloClaim> ValidateHello(const v1::Hello& hello);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_VALIDATE_H_
