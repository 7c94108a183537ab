// SPDX-License-Identifier: Apache-2.0
// What a collector may ask of a running agent, and the answers, as values.
// proto/culprit/v1/control.proto is their form on the wire and says what each field means. Stage:
// model. Thread: values.
#ifndef CULPRIT_AGENT_MODEL_CONTROL_H_
#define CULPRIT_AGENT_MODEL_CONTROL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "common/net_address.h"

namespace culprit {

enum class ControlFault : std::uint8_t {
  kNone = 0,
  kUnsupported,
  kDisabled,
  kBusy,
  kGone,
  kInvalid,
  kFailed,
};

inline constexpr std::size_t kMaxControlDetail = 512;

inline constexpr std::size_t kMaxFetchIds = 64;  // processes, and flows
inline constexpr std::uint32_t kMaxFetchWindow = 1U << 20;
inline constexpr std::size_t kMaxFetchPart = 256U << 10;

// A question about packets.
struct PacketFetch {
  std::uint64_t request_id = 0;
  Uuid fetch_id;
  std::int64_t from_ns = 0, to_ns = 0;  // inclusive
  std::vector<ProcessId> processes;
  std::vector<FlowId> flows;
  std::optional<IpAddress> address;
  std::optional<std::uint16_t> port;
  std::uint64_t max_bytes = 0;  // of the file; 0 = no bound
  std::uint64_t offset = 0;
  std::uint32_t prefix_crc32c = 0;
  std::uint32_t window_bytes = 0;
  bool release = false;
};

inline constexpr std::size_t kMaxOrderText = 256;
inline constexpr std::size_t kMaxStepText = 128;

// A question about a snapshot.
struct SnapshotFetch {
  std::uint64_t request_id = 0;
  Uuid snapshot_id;
  bool may_begin = false;  // the order, if so:
  unsigned last_tier = 0;
  std::string trigger, operator_name, case_id;
  std::uint64_t offset = 0;
  std::uint32_t prefix_crc32c = 0;
  std::uint32_t window_bytes = 0;
  bool release = false;
};

// A wish to be told of snapshots that the agent begins by itself.
struct SnapshotWatch {
  std::uint64_t request_id = 0;
};

struct SnapshotOffer {
  Uuid snapshot_id;
  std::string trigger;
  unsigned last_tier = 0;
  std::int64_t begun_ns = 0;  // wall clock
};

using ControlQuestion = std::variant<PacketFetch, SnapshotFetch, SnapshotWatch>;

struct PacketTotals {
  std::uint64_t packets = 0, wire_bytes = 0, kept_bytes = 0;
  bool cut_off = false;
  std::uint64_t damaged_segments = 0, unfrozen_segments = 0;
};

struct SnapshotStep {
  std::uint64_t collected_bytes = 0;
  std::string name;
  unsigned tier = 0;
};

struct SnapshotTotals {
  std::uint64_t bundle_bytes = 0;
  std::array<std::uint8_t, 32> sha256{};
  std::uint64_t members = 0, member_bytes = 0, skipped = 0;
  std::string broken;
  std::uint64_t peak_rss_bytes = 0, cpu_us = 0;
};

enum class ControlSubject : std::uint8_t { kPackets = 0, kSnapshot };

// A part of an answer; with a fault it is all of it.
struct ControlAnswer {
  std::uint64_t request_id = 0;
  ControlSubject subject = ControlSubject::kPackets;
  ControlFault fault = ControlFault::kNone;
  std::string detail;
  std::uint64_t offset = 0;
  std::string data;
  std::uint32_t crc32c = 0;
  bool window_end = false;
  std::optional<PacketTotals> totals;  // of packets
  std::optional<SnapshotStep> step;    // of a snapshot
  std::optional<SnapshotTotals> snapshot_totals;
  std::optional<SnapshotOffer> offer;  // and nothing else
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_CONTROL_H_
