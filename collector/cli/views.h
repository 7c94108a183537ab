// SPDX-License-Identifier: Apache-2.0
// What each command prints for a person, from the answer of the collector.
// Stage: cli. Pure: answers in, text out (tests/collector/cli/golden shows each). Thread: any.
#ifndef CULPRIT_COLLECTOR_CLI_VIEWS_H_
#define CULPRIT_COLLECTOR_CLI_VIEWS_H_

#include <string>
#include <string_view>
#include <vector>

#include "collector/cli/render.h"
#include "culprit/v1/findings.pb.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/query_login.pb.h"
#include "culprit/v1/query_posture.pb.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit::cli {

std::string RenderHosts(const v1::ListHostsResponse& hosts, const View& view);
// One host with `health`: what its agent covers, lost, costs and cannot see.
std::string RenderHealth(const v1::HostRow& host, const View& view);
std::string RenderFlows(const std::vector<v1::FlowRow>& flows, const View& view);
// `group_by` as in the request: titles the first column.
std::string RenderGroups(const std::vector<v1::FlowGroup>& groups, std::string_view group_by,
                         const View& view);
// The same with where the remote end is, which way it goes and what that costs.
std::string RenderFlowsWhere(const std::vector<v1::FlowRow>& flows, const View& view);
std::string RenderWhere(const v1::WhereResponse& where, const View& view);
// Groups by what they cost.
std::string RenderCost(const v1::ListFlowsResponse& costs, std::string_view group_by,
                       const View& view);
// The lines under costs: total, what has no price, the free allowance.
std::string CostNotes(const v1::ListFlowsResponse& costs, const View& view);
std::string RenderDns(const std::vector<v1::DnsRow>& rows, const View& view);
std::string RenderLogins(const std::vector<v1::LoginRow>& rows, const View& view);
std::string RenderLoginFailures(const std::vector<v1::LoginFailureRow>& rows, const View& view);
// What sessions that began with one key did.
std::string RenderKeyUse(const std::vector<v1::GetSessionResponse>& sessions, const View& view);
// `changes`: of the host's SSH, by its processes.
std::string RenderSession(const v1::GetSessionResponse& answer,
                          const std::vector<v1::PostureChangeRow>& changes, const View& view);
std::string RenderPostureChanges(const std::vector<v1::PostureChangeRow>& rows, const View& view);
std::string RenderPosture(const v1::HostPosture& host, const View& view);
std::string RenderKeys(const std::vector<v1::KeyRow>& rows, const View& view);
// One line, for --follow: columns of fixed width, since later rows are not known.
std::string RenderFlowLine(const v1::FlowRow& flow, const View& view);
std::string FlowLineHeader(const View& view);

// One process that talked to the address, with who it is where that was found.
struct WhoMatch {
  v1::FlowGroup group;
  v1::GetProcessResponse process;  // empty: not known (any more)
};
// `where`: of the address that was asked for; null = not one address.
std::string RenderWho(const std::vector<WhoMatch>& matches, const v1::PlaceRow* where,
                      const View& view);

// "$1.53", "$1.53 + ?" where a part has no price, "-" where nothing was moved.
std::string FindingCostText(const v1::Finding& finding);
std::string RenderFindings(const std::vector<v1::Finding>& findings, const View& view);
// The whole story of one.
std::string RenderFinding(const v1::Finding& finding, const View& view);

std::string RenderSnapshots(const std::vector<v1::Snapshot>& snapshots, const View& view);
std::string RenderSnapshot(const v1::Snapshot& snapshot, const View& view);

std::string RenderProcess(const v1::GetProcessResponse& process, const View& view);
std::string RenderTop(const v1::TopResponse& top, const View& view);
std::string RenderStatus(const v1::GetStatusResponse& status, const View& view);

// "python3 relay.py --port 8080", else the path, else the name.
std::string CommandLineOf(const v1::ProcessInfo& process);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_VIEWS_H_
