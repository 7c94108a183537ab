// SPDX-License-Identifier: Apache-2.0
// Records: what agent/enrich and agent/aggregate make of events, and what agent/model/wire puts
// into frames. Stage: model. Thread: values. A record is an immutable fact with cumulative
// counters: repeating one is harmless.
#ifndef CULPRIT_AGENT_MODEL_RECORD_H_
#define CULPRIT_AGENT_MODEL_RECORD_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/login.h"
#include "agent/model/package.h"
#include "agent/model/posture_facts.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

// Values as in culprit.v1.ExePathSource; a higher one is not always better: fanotify > procfs >
// dentry.
enum class ExePathSource : std::uint8_t { kNone = 0, kFanotify = 1, kDentry = 2, kProcfs = 3 };

// Definition of one program image of one process, or an amendment (same id, fields that became
// known since).
struct ProcessFacts {
  ProcessId id, parent;  // parent 0 = unknown
  ProcessKey key;
  BootTime exec_at;  // zero: not observed
  std::string exe;
  ExePathSource exe_source = ExePathSource::kNone;
  std::string comm;
  std::vector<std::string> argv;
  bool argv_truncated = false;
  Uid uid, euid;
  std::uint32_t gid = 0;
  std::string user;
  Uid login_uid = kNoUid;
  std::string login_user;
  std::uint32_t session_id = kNoSession;
  std::string container_id;
  std::string cgroup;
  std::optional<ExeIdentity> exe_file;
  std::optional<Sha256Digest> exe_sha256;
  PackageFacts exe_package;
  bool exe_deleted = false, exe_memfd = false;
  bool preexisting = false, is_agent = false;
  bool forked = false;              // no exec since the fork: exe and argv are its parent's
  bool execed_over_parent = false;  // parent = the image that this one replaced, of the same tgid
  std::uint32_t netns = 0;
  std::string cwd;
  friend bool operator==(const ProcessFacts&, const ProcessFacts&) = default;
};

struct ExitFacts {
  ProcessId id;
  BootTime at;
  std::int32_t wait_status = 0;
  friend bool operator==(const ExitFacts&, const ExitFacts&) = default;
};

// Values as in culprit.v1.FlowState.
enum class FlowState : std::uint8_t {
  kNone = 0,
  kAttempt = 1,
  kOpen = 2,
  kClosed = 3,
  kFailed = 4,
  kAborted = 5,
  kNotSent = 6,
  kHandedOver = 7,
  kListening = 8,
};

// Bits as in culprit.v1.FlowFlag.
inline constexpr std::uint32_t kFlowFlagPreexisting = 1;
inline constexpr std::uint32_t kFlowFlagKernel = 2;
inline constexpr std::uint32_t kFlowFlagPeer = 4;
inline constexpr std::uint32_t kFlowFlagShared = 8;
inline constexpr std::uint32_t kFlowFlagRaw = 16;
inline constexpr std::uint32_t kFlowFlagOverflow = 32;
inline constexpr std::uint32_t kFlowFlagOwnerByCreator = 64;
inline constexpr std::uint32_t kFlowFlagAgent = 128;
inline constexpr std::uint32_t kFlowFlagLink = 256;
inline constexpr std::uint32_t kFlowFlagReread = 512;

// Times of flow rows are cut to 1,024 ns (start) and 65,536 ns (last): their lowest bits say
// nothing and would be a tenth of what a row costs on disk.
constexpr BootTime CutTime(BootTime t, unsigned bits) {
  return BootTimeFromNs(ToNs(t) >> bits << bits);
}
inline constexpr unsigned kStartCutBits = 10;
inline constexpr unsigned kLastCutBits = 16;

// One flow charged to one process. `totals` are cumulative over (flow, process): the row replaces
// older ones. The rows of one flow over all its processes add up to the socket's own totals.
struct FlowRow {
  FlowId flow;
  SocketCookie cookie;
  std::uint32_t generation = 0;
  ProcessId process, creator;  // 0 = unknown
  Endpoint local, remote;
  std::uint8_t protocol = 0;
  Direction direction = Direction::kUnknown;
  FlowState state = FlowState::kNone;
  std::int32_t error = 0;   // errno
  std::uint32_t flags = 0;  // kFlowFlag*
  BootTime start, last;     // last packet; never before start
  BootTime emitted;
  FlowTotals totals;
  std::uint32_t netns = 0;
  std::uint32_t n_senders = 1;
  std::uint32_t in_ifindex = 0, out_ifindex = 0;  // forwarded flows only
  friend bool operator==(const FlowRow&, const FlowRow&) = default;
};

// Connect attempts and outcomes of one process image; cumulative.
struct CounterFacts {
  ProcessId process;
  BootTime at;
  std::uint64_t tcp_attempts = 0;
  std::array<std::uint64_t, CULPRIT_OUTCOME_COUNT> outcome{};
  std::uint64_t accepts = 0;
  std::uint64_t tx_wire_bytes = 0, rx_wire_bytes = 0, tx_packets = 0, rx_packets = 0;
  std::uint64_t suppressed_flows = 0;
  Activity activity;
  friend bool operator==(const CounterFacts&, const CounterFacts&) = default;
};

// How sure it is that a flow goes to a name. Values as in culprit.v1.NameConfidence.
enum class NameConfidence : std::uint8_t {
  kNone = 0,
  kOtherAsked = 1,    // another process of this host was given the address under this name
  kProcessAsked = 2,  // the flow's own process was
  kInFlow = 3,        // the flow's payload says so
};

// A name of a flow's remote end, or the destination that its client asked a proxy for (kSocks,
// kHttpConnect).
struct FlowNameFacts {
  FlowId flow;
  ProcessId process;
  BootTime at;
  NameSource source = NameSource::kNone;
  NameConfidence confidence = NameConfidence::kNone;
  std::string name;
  std::string alpn;          // comma-separated, as offered
  std::uint16_t port = 0;    // requests to a proxy only
  std::uint8_t command = 0;  // SOCKS only
  friend bool operator==(const FlowNameFacts&, const FlowNameFacts&) = default;
};

inline constexpr std::int32_t kNoAnswer = -1;

// Questions of one process for one name and type, with the newest answer.
struct DnsFacts {
  BootTime at;  // of the newest answer, or of the question where there was none
  ProcessId process;
  FlowId flow;
  Endpoint server;
  std::string name;
  std::uint16_t type = 0;
  std::int32_t rcode = kNoAnswer;
  std::vector<std::string> answers;  // addresses and names, the first few
  std::uint32_t questions = 0;       // since the record before
  std::uint64_t query_bytes = 0, answer_bytes = 0;
  std::uint32_t suppressed = 0;  // other questions of the process that got no record since then
  friend bool operator==(const DnsFacts&, const DnsFacts&) = default;
};

// Values as in culprit.v1.LossCause.
enum class LossCause : std::uint8_t {
  kNone = 0,
  kRingFull = 1,
  kSocketStorage = 2,
  kPeerTableFull = 3,
  kProcessTableFull = 4,
  kSpoolCap = 5,
  kSpoolCorrupt = 6,
  kSpoolWrite = 7,
  kQuarantined = 8,
  kAgentTableFull = 9,
  kQueueFull = 10,
  kHashQueue = 11,
  kForwardTableFull = 12,
  kLedgerFull = 13,
  kProcessBudget = 14,
};

struct LossFacts {
  LossCause cause = LossCause::kNone;
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint32_t lane_plus_one =
      0;  // spool causes only, with the range of sequence numbers, both inclusive
  std::uint64_t first_seq = 0, last_seq = 0;
  std::optional<Sha256Digest> end_hash;
  std::string detail;
  BootTime at;
  friend bool operator==(const LossFacts&, const LossFacts&) = default;
};

// Claims about the host, filled by the edge. Names as in culprit.v1.HostInfo.
struct HostFacts {
  std::string hostname, identity_source, instance_id, account_id, region, availability_zone;
  std::string image_id, instance_type, machine_id_hash, kernel, os, architecture, agent_version;
  std::vector<IpAddress> addresses;
  IpAddress public_address;  // as the metadata service tells it; unspecified = none
  friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

struct HookFacts {
  std::string name;
  bool active = false;
  std::string note;
  bool required = false;
  friend bool operator==(const HookFacts&, const HookFacts&) = default;
};

struct FidelityFacts {
  std::vector<HookFacts> hooks;
  std::string owner_mode, exe_hash_mode, source;
  friend bool operator==(const FidelityFacts&, const FidelityFacts&) = default;
};

struct ProgramCostFacts {
  std::string name;
  std::uint64_t run_count = 0, run_time_ns = 0;
  friend bool operator==(const ProgramCostFacts&, const ProgramCostFacts&) = default;
};

struct HeartbeatFacts {
  BootTime at;
  std::uint64_t flows_live = 0, processes_live = 0;
  std::uint64_t spool_bytes = 0, spool_cap_bytes = 0;
  std::uint64_t agent_cpu_us = 0, agent_rss_bytes = 0, agent_pss_bytes = 0;
  std::uint64_t events_received = 0, events_lost = 0;
  std::vector<ProgramCostFacts> program_costs;
  std::vector<std::string> degraded;
  // About the agent itself, so that what is done to it shows; see the proto.
  std::uint64_t at_mono_ns = 0;
  std::uint32_t interval_ms = 0;
  std::vector<std::uint32_t> link_ids, program_ids;
  std::uint32_t links_made = 0;
  std::optional<Sha256Digest> exe_sha256, config_sha256;
  std::uint32_t spool_files_missing = 0;
  std::string stop_reason, previous_run;
  friend bool operator==(const HeartbeatFacts&, const HeartbeatFacts&) = default;
};

// One direction of one interface: who is known to have moved what, and what the device says. L3
// bytes.
struct TrafficFacts {
  std::array<std::uint64_t, CULPRIT_CLASS_COUNT> bytes{}, packets{};  // by culprit_class
  std::uint64_t interface_bytes = 0, interface_packets = 0;
  friend bool operator==(const TrafficFacts&, const TrafficFacts&) = default;
};

struct InterfaceFacts {
  std::uint32_t netns = 0, ifindex = 0;
  std::string name;
  bool hardware = false, readable = false;
  TrafficFacts tx, rx;
  friend bool operator==(const InterfaceFacts&, const InterfaceFacts&) = default;
};

struct CoverageFacts {
  BootTime at, since;
  std::vector<InterfaceFacts> interfaces;
  friend bool operator==(const CoverageFacts&, const CoverageFacts&) = default;
};

// What one frame holds. The aggregator fills ids, processes, exits, flows, counters and losses; the
// edge adds the rest.
struct RecordBatch {
  Uuid boot_id, run_id;
  std::optional<HostFacts> host;
  std::vector<ProcessFacts> processes;
  std::vector<ExitFacts> exits;
  std::vector<FlowRow> flows;
  std::vector<CounterFacts> counters;
  std::vector<LossFacts> losses;
  std::vector<FlowNameFacts> names;
  std::vector<DnsFacts> dns;
  std::vector<LoginFacts> logins;
  std::vector<LoginFailureFacts> login_failures;
  std::vector<SessionFacts> sessions;
  std::optional<FidelityFacts> fidelity;
  std::optional<HeartbeatFacts> heartbeat;
  std::optional<CoverageFacts> coverage;
  std::optional<PostureFacts> posture;
  std::vector<PostureChangeFacts> posture_changes;

  std::uint32_t RecordCount() const {
    const std::size_t n = processes.size() + exits.size() + flows.size() + counters.size() +
                          losses.size() + names.size() + dns.size() + logins.size() +
                          login_failures.size() + sessions.size() + (host ? 1U : 0U) +
                          (fidelity ? 1U : 0U) + (heartbeat ? 1U : 0U) + (coverage ? 1U : 0U) +
                          (posture ? 1U : 0U) + posture_changes.size();
    return static_cast<std::uint32_t>(n);
  }
  bool empty() const { return RecordCount() == 0; }
  friend bool operator==(const RecordBatch&, const RecordBatch&) = default;
};

// A flow event whose processes have been named. `event` is valid only during the call that hands it
// over.
struct AttributedFlow {
  const FlowEvent& event;
  ProcessId process, creator;  // 0 = unknown
  bool is_agent = false;       // charged to the agent itself
};

// Where enrich puts its results: the aggregator, or a test. Definitions come before the first
// referral to them.
class EnrichSink {
 public:
  virtual ~EnrichSink() = default;
  virtual void OnProcess(ProcessFacts facts) = 0;
  virtual void OnExit(const ExitFacts& exit) = 0;
  virtual void OnFlow(const AttributedFlow& flow) = 0;
  virtual void OnCounters(const CounterFacts& counters) = 0;
  // `count` is cumulative since the run began for (cause, source); the sink adds the sources of a
  // cause up.
  virtual void OnLoss(LossCause cause, std::string_view source, std::uint64_t count,
                      BootTime at) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_RECORD_H_
