// SPDX-License-Identifier: Apache-2.0
// Bytes of bpf/abi.h -> Event. Total on any bytes: lengths, enums and strings are checked, nothing is trusted.
// Stage: decode. Pure. Thread: DecodeRecord from any; one caller a Decoder.
#ifndef CULPRIT_AGENT_DECODE_DECODER_H_
#define CULPRIT_AGENT_DECODE_DECODER_H_

#include <cstdint>
#include <string_view>

#include "agent/model/event.h"
#include "common/result.h"

namespace culprit {

enum class DecodeFault : std::uint8_t {
  kNone = 0,
  kShort,        // less than a header, or than its kind needs
  kSize,         // header.size is not the length of the record
  kUnknownKind,
  kBadLength,    // a length inside the record does not fit
  kBadEnum,      // a value outside its enum
  kBadTime,      // over 2^62 ns: cannot be a boot time
};
inline constexpr std::size_t kDecodeFaultCount = 7;
std::string_view ToString(DecodeFault fault);

struct DecodeCounters {
  std::uint64_t records = 0;                      // well-formed
  std::uint64_t faults[kDecodeFaultCount] = {};   // by DecodeFault
  std::uint64_t total_faults() const;
};

// Error: kInvalidArgument with a message for a person.
Result<Event> DecodeRecord(std::string_view record);

// The same, counting. Returns the fault; `event` is set only for kNone. Reuses nothing of `event`'s former value.
class Decoder {
 public:
  DecodeFault Decode(std::string_view record, Event& event);
  const DecodeCounters& counters() const { return counters_; }

 private:
  DecodeCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_DECODE_DECODER_H_
