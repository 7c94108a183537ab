// SPDX-License-Identifier: Apache-2.0
// What one transaction of the index writes: all that was taken since the one before.
// Stage: store. Thread: the index writer's.
#ifndef CULPRIT_COLLECTOR_STORE_PENDING_BATCH_H_
#define CULPRIT_COLLECTOR_STORE_PENDING_BATCH_H_

#include <compare>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/store/delta_table.h"
#include "collector/store/login_record.h"
#include "collector/store/minute_rollup.h"

namespace culprit {

// RowPosition::part of a row that waits in this batch; its `row` is the index there.
inline constexpr std::uint64_t kPendingPart = std::numeric_limits<std::uint64_t>::max();

struct PendingFlow {
  FlowDelta row;
  std::uint64_t emitted_boot_ns = 0;
  bool rebased = false;
  RowPosition prev;          // of the same flow, {0, 0} = none
  FlowBase* base = nullptr;  // in the delta table
};

struct PendingCounter {
  std::uint32_t host = 0;
  std::uint64_t process = 0;
  WallTime t0, t1;
  std::uint64_t attempts = 0, failed = 0, crafted = 0;
};

struct LossKey {
  std::uint32_t host = 0;
  std::string run;
  int cause = 0;
  std::uint32_t lane_plus_one = 0;
  std::uint64_t first_seq = 0;
  friend auto operator<=>(const LossKey&, const LossKey&) = default;
};
struct LossValue {
  std::uint64_t count = 0, bytes = 0, last_seq = 0;
  std::string detail;
};

struct HostProcess {
  std::uint32_t host = 0;
  std::uint64_t process = 0;
  friend auto operator<=>(const HostProcess&, const HostProcess&) = default;
};
struct HostProcessHash {
  std::size_t operator()(const HostProcess& k) const noexcept {
    return (k.process ^ (std::uint64_t{k.host} << 32)) * 0x9e3779b97f4a7c15ULL;
  }
};
using SharedProcess = std::shared_ptr<const ProcessRecord>;

struct PendingBatch {
  std::vector<PendingFlow> flows;
  std::vector<PendingCounter> counters;
  std::unordered_map<HostProcess, SharedProcess, HostProcessHash> processes;
  std::map<LossKey, LossValue> losses;
  std::map<std::uint32_t, HostRecord> hosts;
  std::vector<FlowNameRecord> names;
  std::vector<DnsRecord> dns;
  std::vector<SessionRecord> sessions;
  std::vector<LoginRecord> logins;
  std::vector<LoginFailureRecord> login_failures;
  std::map<std::uint32_t, PostureRecord> postures;  // newest by host
  std::vector<PostureChangeRecord> posture_changes;
  std::map<MinuteKey, MinuteActivity> minutes;  // whole new values
  Lsn last_lsn = 0;
  WallTime last_received;
  std::uint64_t rejected = 0;

  bool empty() const { return last_lsn == 0; }
  std::size_t rows() const {
    return flows.size() + counters.size() + processes.size() + names.size() + dns.size() +
           sessions.size() + logins.size() + login_failures.size() +
           postures.size() + posture_changes.size();
  }
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_PENDING_BATCH_H_
