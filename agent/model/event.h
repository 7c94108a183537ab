// SPDX-License-Identifier: Apache-2.0
// Typed events: what agent/decode makes of kernel records and agent/enrich and agent/aggregate work
// on. Stage: model. Thread: values. All counters are cumulative u64; all times BootTime.
#ifndef CULPRIT_AGENT_MODEL_EVENT_H_
#define CULPRIT_AGENT_MODEL_EVENT_H_

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "agent/model/observation.h"
#include "agent/model/package.h"
#include "bpf/abi.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

struct ExeIdentity {
  std::uint32_t dev_major = 0, dev_minor = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t ctime_ns = 0;
  friend auto operator<=>(const ExeIdentity&, const ExeIdentity&) = default;
};

struct ExecEvent {
  BootTime at;
  ProcessKey key, previous, parent;  // a zero tgid = none known
  Uid uid, euid;
  std::uint32_t gid = 0;
  Uid login_uid = kNoUid;
  std::uint32_t session_id = kNoSession;
  std::uint64_t cgroup_id = 0;
  std::uint32_t netns = 0;
  std::string comm, cgroup, path;
  ExeIdentity exe;
  bool exe_deleted = false, memfd = false, from_iterator = false, kernel_thread = false;
  std::vector<std::string> argv;
  bool argv_truncated = false, path_truncated = false;
};

struct ForkEvent {
  BootTime at;
  ProcessKey child, parent;
  Uid uid, login_uid = kNoUid;
  std::uint32_t session_id = kNoSession;
  std::uint32_t netns = 0;
  std::uint64_t cgroup_id = 0;
  std::string comm;
};

inline constexpr std::int32_t kWaitStatusUnknown = -1;  // that it ended is known, not how

struct ExitEvent {
  BootTime at;
  ProcessKey key;
  std::int32_t wait_status = 0;
};

enum class FlowReason : std::uint8_t {
  kAttempt = CULPRIT_FLOW_ATTEMPT,
  kEstablished = CULPRIT_FLOW_ESTABLISHED,
  kFailed = CULPRIT_FLOW_FAILED,
  kOwner = CULPRIT_FLOW_OWNER,
  kEnd = CULPRIT_FLOW_END,
  kSnapshot = CULPRIT_FLOW_SNAPSHOT,
  kFirst = CULPRIT_FLOW_FIRST,
};
enum class Direction : std::uint8_t {
  kUnknown = 0,
  kOut = 1,
  kIn = 2,
  kListen = 3,
  kForwarded = 4
};

// Cumulative over one generation of a socket. Wire = L3 bytes as segmented, with retransmits; skb =
// super-packets.
struct FlowTotals {
  std::uint64_t tx_wire_bytes = 0, rx_wire_bytes = 0;
  std::uint64_t tx_skb_bytes = 0, rx_skb_bytes = 0;
  std::uint64_t tx_packets = 0, rx_packets = 0;
  std::uint64_t tx_payload_bytes = 0, rx_payload_bytes = 0;
  std::uint64_t retransmitted_bytes = 0;
  friend bool operator==(const FlowTotals&, const FlowTotals&) = default;
};

struct FlowEvent {
  BootTime at;
  FlowReason reason = FlowReason::kSnapshot;
  ProcessKey owner, creator;
  SocketCookie cookie;
  std::uint32_t generation = 0;
  BootTime start, established, last, counted_from;  // zero = never
  FlowTotals totals;
  Endpoint local, remote;
  std::uint8_t protocol = 0;  // IPPROTO_*
  Direction direction = Direction::kUnknown;
  std::uint8_t tcp_state = 0;
  std::uint32_t flags = 0;  // CULPRIT_FLOW_*
  std::int32_t error = 0;   // errno
  Uid uid;
  std::uint32_t n_senders = 1;
  std::uint32_t netns = 0;
  std::uint32_t in_ifindex = 0, out_ifindex = 0;  // forwarded flows only
  std::uint64_t cgroup_id = 0;
  std::string comm;
};

// What a process image did on the network beyond plain bytes, cumulative but for the window
// (bpf/abi.h).
struct Activity {
  std::uint64_t first_contacts = 0, first_contacts_ok = 0, first_contacts_failed = 0;
  std::uint64_t initiated_tx_wire_bytes = 0, initiated_rx_wire_bytes = 0;
  std::uint64_t accepted_tx_wire_bytes = 0, accepted_rx_wire_bytes = 0;
  std::uint64_t raw_packets = 0, raw_bytes = 0;
  std::uint64_t link_packets = 0, link_bytes = 0;
  std::uint64_t bare_syns = 0;
  BootTime window;  // start of the 10 s that the two estimates cover; zero = none
  std::uint64_t window_addresses = 0, window_ports = 0;
  friend bool operator==(const Activity&, const Activity&) = default;
};

struct CountersEvent {
  BootTime at;
  ProcessKey key;
  std::uint64_t tcp_attempts = 0;
  std::array<std::uint64_t, CULPRIT_OUTCOME_COUNT> outcome{};
  std::uint64_t accepts = 0;
  std::uint64_t tx_wire_bytes = 0, rx_wire_bytes = 0, tx_packets = 0, rx_packets = 0;
  std::uint64_t suppressed_flows = 0;
  Activity activity;
  std::string comm;
  Uid uid;
};

// L3 bytes and packets by culprit_class, in one direction of one interface.
struct LedgerTotals {
  std::array<std::uint64_t, CULPRIT_CLASS_COUNT> skb_bytes{}, wire_bytes{}, packets{};
  friend bool operator==(const LedgerTotals&, const LedgerTotals&) = default;
};

// What the hooks counted on one interface since they were loaded.
struct InterfaceEvent {
  BootTime at;
  std::uint32_t netns = 0, ifindex = 0;
  bool hardware = false;
  std::uint32_t header_len = 0;
  std::string name;
  LedgerTotals tx, rx;
};

struct LostEvent {
  BootTime at;
  std::array<std::uint64_t, CULPRIT_STAT_COUNT> stat{};
};

// Made in user space (agent/source), not by the kernel: an executable was opened for exec and
// hashed.
struct ExeHashEvent {
  BootTime at;
  ExeIdentity exe;
  std::string path;  // readlink of the descriptor
  Sha256Digest sha256{};
  bool hashed = false;   // false: too big or unreadable; path and identity still hold
  PackageFacts package;  // of the file under this path
  Tgid opened_by;  // whose exec opened it under this path (hard links share an identity); 0 = not
                   // known
};

// Made in user space: what procfs adds about a process (text that the kernel record cannot give).
struct ProcfsEvent {
  BootTime at;
  Tgid tgid;
  BootTime start;  // to match the key; procfs has 10 ms ticks, so match within 20 ms
  std::string exe, cwd;
  std::vector<std::string> argv;
  std::string container_id;
};

// Made in user space: the interface's own counters, read beside an InterfaceEvent. Link headers are
// included in bytes.
struct InterfaceCountersEvent {
  BootTime at;
  std::uint32_t netns = 0;
  std::string name;
  std::uint64_t tx_bytes = 0, tx_packets = 0, rx_bytes = 0, rx_packets = 0;
};

// Made in user space: all living processes are about to be told once more, or have been.
struct ResyncEvent {
  BootTime at;
  bool end = false;
  bool sees_all = false;  // false: the agent's pid namespace hides processes, so that silence about
                          // one says nothing
};

// Made in user space: what the payload of a packet says.
struct ObservationEvent {
  BootTime at;
  Endpoint source, destination;  // of the packet that completed it
  std::uint8_t protocol = 0;     // IPPROTO_*
  bool from_client = false;
  Observation what;
};

using Event = std::variant<ExecEvent, ForkEvent, ExitEvent, FlowEvent, CountersEvent, LostEvent,
                           ExeHashEvent, ProcfsEvent, InterfaceEvent, InterfaceCountersEvent,
                           ResyncEvent, ObservationEvent>;

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_EVENT_H_
