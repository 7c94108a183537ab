// SPDX-License-Identifier: Apache-2.0
// The recording: an event file written by `run --record FILE` and read back by `replay FILE`.
// Stage: source. Pure: bytes <-> entries, no I/O. Thread: values. Specified in DESIGN.md "Formats";
// little-endian.
//
//   file   = header (64 bytes) ‖ entry*
//   header: 0 u64 magic "CULPREC1" | 8 u32 version = 1 | 12 u32 ABI version of the kernel records |
//   16 u8[16] boot id |
//           32 u64 boot_ns | 40 i64 wall_ns | 48 u8 sync | 49 u8 owner mode (0 unknown, 1
//           last_sender, 2 creator) | 50 u8[10] zero | 60 u32 crc32c of bytes 0..59
//   entry  = u32 body length (<= 64 KiB) ‖ u16 kind ‖ u16 zero ‖ u32 crc32c(first 8 bytes ‖ body) ‖
//   body kinds: 1 a record of bpf/abi.h | 2 clock: u64 boot_ns, i64 wall_ns, u64 sync | 3
//   executable hash | 4 process text |
//          5 end of a sweep: u64 boot_ns | 6 counters of an interface | 7 pass over all processes
//   Bodies of 3, 4, 6 and 7 are the fields of ExeHashEvent, ProcfsEvent, InterfaceCountersEvent and
//   ResyncEvent in their order (of ExeHashEvent its package last, which older recordings lack):
//   integers as u64, texts as u32 length and bytes, lists as u32 count and texts.
#ifndef CULPRIT_AGENT_SOURCE_RECORDING_H_
#define CULPRIT_AGENT_SOURCE_RECORDING_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "agent/model/event.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

inline constexpr std::size_t kRecordingHeaderBytes = 64;
inline constexpr std::size_t kRecordingEntryHeadBytes = 12;
inline constexpr std::uint32_t kMaxRecordingBodyBytes = 64U << 10;

struct RecordingHeader {
  std::uint32_t abi_version = CULPRIT_ABI_VERSION;
  Uuid boot_id;
  ClockPair clock;
  std::string owner_mode;  // "last_sender", "creator" or empty
};

enum class RecordingKind : std::uint16_t {
  kKernelRecord = 1,
  kClock = 2,
  kExeHash = 3,
  kProcessText = 4,
  kSweepEnd = 5,
  kInterfaceCounters = 6,
  kResync = 7,
};

std::string EncodeRecordingHeader(const RecordingHeader& header);
// Total on any bytes. Errors: not a recording, another version, another ABI version, bad checksum.
Result<RecordingHeader> DecodeRecordingHeader(std::string_view bytes);

// Appends one entry to `out`. A body over kMaxRecordingBodyBytes is refused (false).
bool AppendRecordingEntry(RecordingKind kind, std::string_view body, std::string* out);

std::string EncodeClock(const ClockPair& clock);
std::string EncodeExeHash(const ExeHashEvent& event);
std::string EncodeProcessText(const ProcfsEvent& event);
std::string EncodeBootNs(BootTime at);
std::string EncodeInterfaceCounters(const InterfaceCountersEvent& event);
std::string EncodeResync(const ResyncEvent& event);

// All total on any bytes.
Result<ClockPair> DecodeClock(std::string_view body);
Result<ExeHashEvent> DecodeExeHash(std::string_view body);
Result<ProcfsEvent> DecodeProcessText(std::string_view body);
Result<BootTime> DecodeBootNs(std::string_view body);
Result<InterfaceCountersEvent> DecodeInterfaceCounters(std::string_view body);
Result<ResyncEvent> DecodeResync(std::string_view body);

// The head of an entry. `plausible` false: its length or kind cannot be right, so the next entry
// cannot be found.
struct RecordingEntryHead {
  std::uint32_t length = 0;
  RecordingKind kind = RecordingKind::kKernelRecord;
  std::uint32_t crc = 0;
  bool plausible = false;
};
RecordingEntryHead DecodeRecordingEntryHead(std::string_view bytes);
bool RecordingEntryIntact(std::string_view head, std::string_view body);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_RECORDING_H_
