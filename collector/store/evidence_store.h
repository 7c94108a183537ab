// SPDX-License-Identifier: Apache-2.0
// EvidenceStore: the index over the journal that queries are answered from. It holds nothing that the journal does not;
// it can be thrown away and rebuilt (collector/store/reindex.h).
//
// Stage: store (edge). Thread: Append(), Flush() and Retain() from one thread (the indexer); everything else from any.
// Failure: a write that fails is kept and tried again by the next Flush(); damaged files are reported by stats().
// The interface speaks of rows, conditions and plans only, so that another engine fits behind it.
#ifndef CULPRIT_COLLECTOR_STORE_EVIDENCE_STORE_H_
#define CULPRIT_COLLECTOR_STORE_EVIDENCE_STORE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "collector/store/flow_record.h"
#include "collector/store/login_record.h"
#include "collector/store/posture_record.h"
#include "common/result.h"

namespace culprit {

// The place of a row in the order in which the index took them. Parts are named by their first LSN.
struct RowPosition {
  std::uint64_t part = 0;
  std::int64_t row = 0;
  friend auto operator<=>(const RowPosition&, const RowPosition&) = default;
};

// All given conditions must hold. A row belongs to a time range if any part of (t0, t1] lies in it.
struct FlowPredicate {
  std::optional<WallTime> from;  // inclusive
  std::optional<WallTime> to;    // exclusive
  std::optional<std::uint32_t> host;
  // Charged process; unset = any, empty = none.
  std::optional<std::unordered_set<std::uint64_t>> processes;
  std::optional<std::unordered_set<std::uint64_t>> flows;  // likewise
  std::optional<std::uint64_t> not_flow;
  std::optional<Cidr> remote;
  std::optional<std::uint16_t> remote_port, local_port;
  std::optional<std::uint8_t> protocol;
  std::optional<v1::FlowDirection> direction;
  // Of the flow's newest row within the range.
  std::optional<v1::FlowState> state;
  std::uint32_t exclude_flags = 0;  // bits of FlowFlag
  bool exclude_listeners = false;
  // Smallest sum of wire bytes of a flow, both ways, within the range.
  std::uint64_t min_bytes = 0;
  // Only rows up to this position: makes the pages of one answer agree while the index grows.
  std::optional<RowPosition> as_of;
};

enum class GroupBy : std::uint8_t { kFlow, kProcess, kDestination, kUser, kExe, kHost, kPlace };
enum class OrderBy : std::uint8_t { kTime, kBytes, kTx, kRx, kFlows };

// Where the next page starts: behind this element of the (descending) order.
struct PageCursor {
  std::uint64_t value = 0;
  std::string key;
};

struct AggregatePlan {
  FlowPredicate where;
  GroupBy by = GroupBy::kFlow;
  OrderBy order = OrderBy::kTime;
  std::uint32_t limit = 100;
  std::optional<PageCursor> after;
  // Of kPlace: the key of a remote address.
  std::function<std::string(const IpAddress& remote)> place_of;
  // A short number for the way from a host to an address: groups then sum bytes by it.
  std::function<std::uint32_t(std::uint32_t host, const IpAddress& remote)> route_of;
};

// Wire bytes of a group that went one way.
struct RouteBytes {
  std::uint32_t route = 0;  // AggregatePlan::route_of
  std::uint64_t tx = 0, rx = 0;
};

// A flow within the asked range: facts of its newest row, prorated sum of what was added.
struct FlowTotal {
  std::uint32_t host = 0;
  FlowFacts facts;
  FlowCounters sum;
};

// Whether the conditions on a flow hold for it; those on times are not looked at.
bool FlowMatches(const FlowPredicate& where, const FlowTotal& flow);

struct GroupTotal {
  std::string key;         // see GroupBy: process id (16 hex digits), address, user, path, agent id, place
  std::uint32_t host = 0;  // kProcess: where it runs; kHost: the host; else 0
  ProcessId process;       // kProcess
  FlowCounters sum;        // wire and payload bytes, packets; the others are not summed by group
  std::uint64_t flows = 0, failed = 0, forwarded = 0, destinations = 0;
  WallTime first, last;
  std::vector<RouteBytes> routes;  // each once; empty without AggregatePlan::route_of
};

struct AggregateResult {
  std::vector<FlowTotal> flows;    // GroupBy::kFlow
  std::vector<GroupTotal> groups;  // all others
  std::optional<PageCursor> next;  // unset = no more
  std::uint32_t parts_scanned = 0;
  RowPosition as_of;  // the newest row when the answer was made
};

// Activity by process in a window, for the live view.
struct ProcessActivity {
  std::uint32_t host = 0;
  ProcessId process;
  std::uint64_t flows = 0, destinations = 0, tx_wire_bytes = 0, rx_wire_bytes = 0;
  std::uint64_t attempts = 0, failed = 0;
  std::uint64_t crafted_packets = 0;  // sent through raw and packet sockets
  IpAddress busiest_remote;
  std::uint64_t busiest_bytes = 0;
  bool is_agent = false;
};

struct ProcessPredicate {
  std::optional<std::uint32_t> host;
  std::optional<std::uint32_t> tgid;
  std::optional<std::uint64_t> parent;
  std::vector<std::uint64_t> parents;  // any of them; empty = any at all
  std::optional<std::uint32_t> audit_session;
  std::optional<std::uint64_t> id;
  std::string exe_substring;
  std::string exe_sha256;  // 32 bytes
  std::string user;        // name, or uid in digits
  std::optional<WallTime> from, to;  // alive at some time in [from, to)
  std::optional<WallTime> told_since;  // spares the parts that were full long before
};

struct NamePredicate {
  std::optional<std::uint32_t> host;
  std::string name;  // this name, and with a leading dot every name below it
  std::optional<std::unordered_set<std::uint64_t>> processes;  // of dns only
  std::optional<WallTime> from, to;
};

struct RetentionPolicy {
  std::uint64_t max_bytes = 0;         // 0 = no limit
  std::optional<WallTime> older_than;  // whole parts whose newest row is older go
};

struct StoreStats {
  Lsn applied_lsn = 0;
  std::uint64_t bytes = 0, rows = 0;
  std::uint32_t parts = 0;
  std::uint64_t rejected_records = 0, rebased_flows = 0;
  // One line a problem, with its remedy.
  std::vector<std::string> degraded;
};

// Given to long reads: return true to stop early (client gone, deadline over).
using Cancelled = std::function<bool()>;

class EvidenceStore {
 public:
  virtual ~EvidenceStore() = default;

  // Takes frames in LSN order; those at or below what was taken already are passed over. They become visible, together
  // with their applied_lsn, in one step at the next Flush(), or earlier by the store's own choice. After an error nothing
  // of what was taken is lost: Flush() again once the cause (a full disk) is gone.
  virtual Status Append(std::span<const DecodedFrame> frames) = 0;
  virtual Status Flush() = 0;
  // Everything up to here is visible.
  virtual Lsn applied_lsn() const = 0;

  // Calls `visit` for every row that matches, newest chunks first, until it returns false. `state` and `min_bytes`
  // do not apply to single rows.
  virtual Status Scan(const FlowPredicate& where, const Cancelled& cancelled,
                      const std::function<bool(const FlowDelta&)>& visit) const = 0;
  // Errors: kResourceExhausted if the answer needs more memory than allowed (narrow the range), kCancelled.
  virtual Result<AggregateResult> Aggregate(const AggregatePlan& plan,
                                            const Cancelled& cancelled) const = 0;
  // Processes with traffic or connect attempts in [from, to), unordered. Long windows are rounded out to whole minutes.
  virtual Result<std::vector<ProcessActivity>> Activity(std::optional<std::uint32_t> host,
                                                        WallTime from, WallTime to,
                                                        const Cancelled& cancelled) const = 0;

  // Flows with rows that became visible behind `position`, oldest first, a row each, with what was added since
  // `from` (unset = since the flow began); at most `limit`. Moves `position`; an empty one starts at the end.
  virtual Result<std::vector<FlowTotal>> Follow(std::optional<RowPosition>& position,
                                                std::optional<WallTime> from,
                                                std::uint32_t limit) const = 0;
  // Blocks until applied_lsn() > `seen` or `timeout`.
  virtual bool WaitApplied(Lsn seen, std::chrono::milliseconds timeout) const = 0;

  virtual std::vector<HostRecord> Hosts() const = 0;
  virtual Result<std::optional<ProcessRecord>> FindProcess(std::uint32_t host, ProcessId id) const = 0;
  // Newest definition of each match, at most `limit` (kResourceExhausted beyond it).
  virtual Result<std::vector<ProcessRecord>> FindProcesses(const ProcessPredicate& where,
                                                           std::size_t limit) const = 0;

  // The surest name of a flow from each source, among equals the newest, the surest first. `since`
  // and `until`: when the flow began and was last seen, to look only into parts of that time.
  virtual Result<std::vector<FlowNameRecord>> FlowNames(std::uint32_t host, FlowId flow,
                                                        WallTime since, WallTime until) const = 0;
  // Flows by name; at most `limit` (kResourceExhausted beyond it).
  virtual Result<std::unordered_set<std::uint64_t>> FlowsNamed(const NamePredicate& where,
                                                               std::size_t limit) const = 0;
  // Newest first by when it was asked, at most `limit`.
  virtual Result<std::vector<DnsRecord>> Dns(const NamePredicate& where,
                                             std::size_t limit) const = 0;

  // Sessions with their logins, newest first by when they began, at most `limit`.
  virtual Result<std::vector<SessionRecord>> Sessions(const LoginPredicate& where,
                                                      std::size_t limit) const = 0;
  // By its id, which is that of its root process; `since`: not told of before.
  virtual Result<std::optional<SessionRecord>> FindSession(std::uint32_t host, ProcessId id,
                                                           WallTime since) const = 0;
  // By the kernel's audit session within the boot that began about `boot`.
  virtual Result<std::optional<SessionRecord>> FindAuditSession(std::uint32_t host,
                                                                std::uint32_t audit_session,
                                                                WallTime boot,
                                                                WallTime since) const = 0;
  // Failed logins, newest minutes first, at most `limit`.
  virtual Result<std::vector<LoginFailureRecord>> LoginFailures(const LoginPredicate& where,
                                                                std::size_t limit) const = 0;
  // The newest state of SSH of each host that told one, or of one host alone.
  virtual Result<std::vector<PostureRecord>> Postures(std::optional<std::uint32_t> host) const = 0;
  // Newest first, at most `limit`.
  virtual Result<std::vector<PostureChangeRecord>> PostureChanges(
      const PostureChangePredicate& where, std::size_t limit) const = 0;

  // Removes whole part files, oldest first. Never the one being written.
  virtual Status Retain(const RetentionPolicy& policy) = 0;
  virtual StoreStats stats() const = 0;
};

struct SqliteStoreOptions {
  std::string directory;
  std::uint64_t part_rows = 4'000'000;
  std::chrono::seconds part_age{3600};
  std::size_t transaction_rows = 20'000;  // flushed by itself at this many
  std::size_t max_flow_bases = 1'000'000;  // last cumulative values kept in memory
  std::size_t max_result_groups = 2'000'000;
};

// Opens or creates the index. Errors: kFailedPrecondition when the files are of another schema version or the
// directory is in use: the message names the remedy (reindex).
Result<std::unique_ptr<EvidenceStore>> OpenSqliteStore(const SqliteStoreOptions& options);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_EVIDENCE_STORE_H_
