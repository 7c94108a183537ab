// SPDX-License-Identifier: Apache-2.0
// The typed rows of the index: what a query gets back.
// Stage: store. Thread: values. Wall times were computed once, from the clock pair of the frame that carried the record.
#ifndef CULPRIT_COLLECTOR_STORE_FLOW_RECORD_H_
#define CULPRIT_COLLECTOR_STORE_FLOW_RECORD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collector/model/decoded_frame.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {

// One stored row: what was added in (t0, t1].
struct FlowDelta {
  std::uint32_t host = 0;  // HostRecord::ref
  WallTime t0, t1;
  FlowFacts facts;
  FlowCounters added;
};

// A name of a flow, or the destination that its client asked a proxy for.
struct FlowNameRecord {
  std::uint32_t host = 0;
  FlowId flow;
  ProcessId process;
  WallTime at;
  v1::NameSource source = v1::NAME_SOURCE_UNSPECIFIED;
  v1::NameConfidence confidence = v1::NAME_CONFIDENCE_UNSPECIFIED;
  std::string name, alpn;
  std::uint16_t port = 0;
  std::uint8_t command = 0;
};

// Questions to the DNS, coalesced by the agent.
struct DnsRecord {
  std::uint32_t host = 0;
  ProcessId process;
  FlowId flow;
  WallTime at;
  Endpoint server;
  std::string name;
  std::uint16_t type = 0;
  std::int32_t rcode = -1;  // -1: no answer was seen
  std::string answers;      // separated by spaces
  std::uint32_t questions = 0, suppressed = 0;
  std::uint64_t query_bytes = 0, answer_bytes = 0;
};

// A process as the collector knows it. Text is the agent's claim.
struct ProcessRecord {
  std::uint32_t host = 0;
  v1::Process definition;
  WallTime start, exec;  // exec = epoch where it was not observed
  WallTime exit;         // epoch = still running as far as is known
  std::int32_t wait_status = 0;
  v1::ProcessCounters counters;  // newest, cumulative
  bool exited() const { return exit != WallTime{}; }
  ProcessId id() const { return ProcessId{definition.process_id()}; }
};

// Name of the user, else the number; empty where neither is known (a capture does not say).
inline std::string UserOf(const v1::Process& p) {
  constexpr std::uint32_t kNotSet = 0xffffffff;
  if (!p.user().empty() || p.uid() == kNotSet) return p.user();
  return std::to_string(p.uid());
}

// What a host lost for one cause, over all runs of its agent.
struct HostLoss {
  std::uint64_t count = 0, bytes = 0;
  std::string detail;  // the last one, for a person
};

// A host as the index knows it: the agent's claims under what the collector stamped.
struct HostRecord {
  std::uint32_t ref = 0;  // the index's own short name for the agent
  Uuid agent_id;
  std::string agent_name;
  v1::HostInfo info;
  v1::Fidelity fidelity;
  v1::Heartbeat heartbeat;
  WallTime heartbeat_at;  // by the host's clock
  // The one before, of the same run: what the agent costs lies between. Null after a restart of
  // either side.
  std::shared_ptr<const v1::Heartbeat> heartbeat_before;
  std::shared_ptr<const v1::Coverage> coverage;  // newest; null = none yet
  WallTime coverage_at;                          // by the host's clock
  WallTime first_received, last_received;
  std::int64_t clock_skew_ns = 0;
  std::uint64_t frames = 0, records = 0, gaps = 0, forks = 0, rollbacks = 0, rejected = 0;
  std::uint64_t lost_events = 0, lost_frames = 0;
  std::map<v1::LossCause, HostLoss> losses;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_FLOW_RECORD_H_
