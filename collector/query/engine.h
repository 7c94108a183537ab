// SPDX-License-Identifier: Apache-2.0
// Answers operators' questions from the index: requests and responses are the proto messages,
// without gRPC. Stage: query. Thread: any number of callers at once. Holds no state of its own.
#ifndef CULPRIT_COLLECTOR_QUERY_ENGINE_H_
#define CULPRIT_COLLECTOR_QUERY_ENGINE_H_

#include <functional>

#include "collector/query/ports.h"
#include "collector/store/evidence_store.h"
#include "common/result.h"
#include "common/time.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/query_login.pb.h"
#include "culprit/v1/query_posture.pb.h"
#include "culprit/v1/report.pb.h"

namespace culprit {

struct QueryEngineDeps {
  const EvidenceStore& store;    // outlives the engine
  const HostActivity* activity;  // may be null
  const StatusSource* status;    // may be null
  std::function<WallTime()> now = &ReadWallClock;
  const PlaceSource* places = nullptr;  // null: no region, no cost is known
};

class QueryEngine {
 public:
  explicit QueryEngine(QueryEngineDeps deps) : deps_(std::move(deps)) {}

  Result<v1::ListHostsResponse> ListHosts(const v1::ListHostsRequest& request) const;
  Result<v1::ListFlowsResponse> ListFlows(const v1::ListFlowsRequest& request,
                                          const Cancelled& cancelled) const;
  // Sends rows as they become visible, until `cancelled` or `send` returns false.
  Status FollowFlows(const v1::ListFlowsRequest& request, const Cancelled& cancelled,
                     const std::function<bool(const v1::FlowRow&)>& send) const;
  Result<v1::GetProcessResponse> GetProcess(const v1::GetProcessRequest& request,
                                            const Cancelled& cancelled) const;
  Result<v1::ListDnsResponse> ListDns(const v1::ListDnsRequest& request) const;
  Result<v1::ListLoginsResponse> ListLogins(const v1::ListLoginsRequest& request) const;
  Result<v1::GetSessionResponse> GetSession(const v1::GetSessionRequest& request,
                                            const Cancelled& cancelled) const;
  Result<v1::GetPostureResponse> GetPosture(const v1::GetPostureRequest& request) const;
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request) const;
  Result<v1::EvidenceHead> GetEvidenceHead(const v1::GetEvidenceHeadRequest& request) const;
  Result<v1::TopResponse> Top(const v1::TopRequest& request, const Cancelled& cancelled) const;
  Result<v1::GetStatusResponse> GetStatus() const;
  Result<v1::WhereResponse> Where(const v1::WhereRequest& request) const;

 private:
  QueryEngineDeps deps_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_ENGINE_H_
