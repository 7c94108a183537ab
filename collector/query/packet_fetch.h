// SPDX-License-Identifier: Apache-2.0
// PacketFetcher: an operator's request for packets, turned into questions to the agent that kept
// them, window by window, and passed on as they come.
//
// Stage: query. Thread: any number of callers at once; each waits for its agent. Memory: a window a
// fetch. An agent that goes away is waited for, and asked to go on where it stopped.
#ifndef CULPRIT_COLLECTOR_QUERY_PACKET_FETCH_H_
#define CULPRIT_COLLECTOR_QUERY_PACKET_FETCH_H_

#include <atomic>
#include <functional>
#include <string>

#include "collector/model/agent_control.h"
#include "collector/query/ports.h"
#include "collector/store/evidence_store.h"
#include "common/result.h"
#include "culprit/v1/packets.pb.h"

namespace culprit {

struct PacketFetchDeps {
  const EvidenceStore& store;    // all three outlive the fetcher
  AgentControl* control;         // null: no agent can be asked
  const HostActivity* activity;  // may be null
  std::function<WallTime()> now = &ReadWallClock;
  std::chrono::milliseconds patience = std::chrono::seconds(60);  // with an agent that went away
};

class PacketFetcher {
 public:
  static constexpr int kMaxFetches = 32;                              // at a time, of all operators
  using Send = std::function<bool(const v1::FetchPacketsResponse&)>;  // false: the caller is gone

  explicit PacketFetcher(PacketFetchDeps deps) : deps_(std::move(deps)) {}

  // Errors: kInvalidArgument and kNotFound for the request, those of AgentControl for the agent,
  // kFailedPrecondition if it is not connected.
  Status Fetch(const v1::FetchPacketsRequest& request, const std::string& operator_name,
               const Cancelled& cancelled, const Send& send);

 private:
  struct Plan {
    Uuid agent_id;
    std::string host;
    v1::PacketRequest request;  // with the offset to begin at
    v1::FetchPacketsRequest resume;
  };
  Result<Plan> MakePlan(const v1::FetchPacketsRequest& request) const;
  Result<HostRecord> FindHost(const v1::FetchPacketsRequest& request) const;
  Status AddProcesses(const v1::FetchPacketsRequest& request, const HostRecord& host,
                      v1::PacketSelection* selection) const;
  Status Run(Plan* plan, const Cancelled& cancelled, const Send& send);
  Status WaitForAgent(const Plan& plan, const std::string& why, const Cancelled& cancelled,
                      const Send& send) const;

  const PacketFetchDeps deps_;
  std::atomic<int> running_{0};
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_PACKET_FETCH_H_
