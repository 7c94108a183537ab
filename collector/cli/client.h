// SPDX-License-Identifier: Apache-2.0
// The collector's query service over mutual TLS; the one file of the CLI that knows gRPC.
//
// Stage: cli (edge: network). Thread: one caller; Cancel() from any thread. Every error says what
// to do and has one of the codes kUnavailable (cannot connect), kUnauthenticated or
// kPermissionDenied (not authorised), kInvalidArgument, kNotFound, kDeadlineExceeded, kInternal.
#ifndef CULPRIT_COLLECTOR_CLI_CLIENT_H_
#define CULPRIT_COLLECTOR_CLI_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/credentials.h"
#include "common/result.h"
#include "culprit/v1/alerts.pb.h"
#include "culprit/v1/audit.pb.h"
#include "culprit/v1/findings.pb.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/query_login.pb.h"
#include "culprit/v1/query_posture.pb.h"
#include "culprit/v1/report.pb.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit::cli {

struct ClientOptions {
  std::string collector;  // "host:port"
  CredentialPaths credentials;
  std::chrono::milliseconds timeout{10'000};  // of a call, connecting included
};

// The bytes of a bundle as the collector has them, in order and checked. The client outlives it.
class SnapshotStream {
 public:
  virtual ~SnapshotStream() = default;
  // 0: the end.
  virtual Result<std::size_t> Read(std::span<char> buffer) = 0;
};

class Client {
 public:
  // Checks the credentials; connects with the first call.
  static Result<std::unique_ptr<Client>> Create(const ClientOptions& options);
  virtual ~Client() = default;

  virtual Result<v1::ListHostsResponse> ListHosts(const v1::ListHostsRequest& request) = 0;
  virtual Result<v1::ListFlowsResponse> ListFlows(const v1::ListFlowsRequest& request) = 0;
  // Calls `visit` for rows as they arrive, until it returns false, Cancel() (both Ok) or an error.
  virtual Status FollowFlows(const v1::ListFlowsRequest& request,
                             const std::function<bool(const v1::FlowRow&)>& visit) = 0;
  virtual Result<v1::ListDnsResponse> ListDns(const v1::ListDnsRequest& request) = 0;
  virtual Result<v1::GetProcessResponse> GetProcess(const v1::GetProcessRequest& request) = 0;
  virtual Result<v1::TopResponse> Top(const v1::TopRequest& request) = 0;
  virtual Result<v1::GetStatusResponse> GetStatus() = 0;
  virtual Result<v1::GetPostureResponse> GetPosture(const v1::GetPostureRequest& request) = 0;
  virtual Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request) = 0;
  virtual Result<v1::WhereResponse> Where(const v1::WhereRequest& request) = 0;
  // Calls `visit` for the messages as they come, until the end, an error, Cancel() or its error,
  // which is returned. No time is set to it: what stands still is ended by the collector.
  virtual Status FetchPackets(
      const v1::FetchPacketsRequest& request,
      const std::function<Status(const v1::FetchPacketsResponse&)>& visit) = 0;
  virtual Result<v1::ListFindingsResponse> ListFindings(const v1::ListFindingsRequest& request) = 0;
  // As FollowFlows().
  virtual Status FollowFindings(const v1::ListFindingsRequest& request,
                                const std::function<bool(const v1::Finding&)>& visit) = 0;
  virtual Result<v1::Finding> SetFindingState(const v1::SetFindingStateRequest& request) = 0;
  virtual Result<v1::ListAlertTargetsResponse> ListAlertTargets() = 0;
  virtual Result<v1::TestAlertsResponse> TestAlerts(const v1::TestAlertsRequest& request) = 0;
  virtual Result<v1::ListLoginsResponse> ListLogins(const v1::ListLoginsRequest& request) = 0;
  virtual Result<v1::GetSessionResponse> GetSession(const v1::GetSessionRequest& request) = 0;
  virtual Result<v1::ListAuditResponse> ListAudit(const v1::ListAuditRequest& request) = 0;
  virtual Result<v1::EvidenceHead> GetEvidenceHead(const std::string& agent_id) = 0;
  // Begins one and returns at once.
  virtual Result<v1::Snapshot> TakeSnapshot(const v1::TakeSnapshotRequest& request) = 0;
  virtual Result<v1::Snapshot> GetSnapshot(const std::string& id) = 0;
  // Calls `visit` for it as it is and at each change, until it is final, `visit` returns false (both
  // Ok) or an error.
  virtual Status WatchSnapshot(const std::string& id,
                               const std::function<bool(const v1::Snapshot&)>& visit) = 0;
  virtual Result<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) = 0;
  virtual Result<v1::Snapshot> RemoveSnapshot(const std::string& id) = 0;
  // One at a time, and no other call while it is open.
  virtual std::unique_ptr<SnapshotStream> ReadSnapshot(const std::string& id) = 0;
  // Ends the call that is running and all later ones.
  virtual void Cancel() = 0;
};

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_CLIENT_H_
