// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/access.h"

#include <algorithm>
#include <array>
#include <string>

namespace culprit {
namespace {

struct Rule {
  std::string_view method;  // ends with '/': all of a service that is not named before
  OperatorRole least;
};

constexpr std::array kAgentMethods = {std::string_view("/culprit.v1.Ingest/Stream"),
                                      std::string_view("/culprit.v1.Renewal/Renew")};

// Reading what is stored is the viewer's; what reaches into a host or changes a case the
// responder's.
constexpr std::array kOperatorRules = {
    Rule{"/culprit.v1.Query/FetchPackets", OperatorRole::kResponder},
    Rule{"/culprit.v1.Query/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Findings/SetFindingState", OperatorRole::kResponder},
    Rule{"/culprit.v1.Findings/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Alerts/TestAlerts", OperatorRole::kResponder},
    Rule{"/culprit.v1.Alerts/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Custody/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Snapshots/TakeSnapshot", OperatorRole::kResponder},
    Rule{"/culprit.v1.Snapshots/ReadSnapshot", OperatorRole::kResponder},
    Rule{"/culprit.v1.Snapshots/RemoveSnapshot", OperatorRole::kAdmin},
    Rule{"/culprit.v1.Snapshots/", OperatorRole::kViewer},
    Rule{"/culprit.v1.LoginQuery/", OperatorRole::kViewer},
    Rule{"/culprit.v1.PostureQuery/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Custody/", OperatorRole::kViewer},
    Rule{"/culprit.v1.Alerts/TestAlerts", OperatorRole::kResponder},
    Rule{"/culprit.v1.Alerts/", OperatorRole::kViewer},
    // What a bundle holds is more than what a viewer's questions tell.
    Rule{"/culprit.v1.Snapshots/RemoveSnapshot", OperatorRole::kAdmin},
    Rule{"/culprit.v1.Snapshots/TakeSnapshot", OperatorRole::kResponder},
    Rule{"/culprit.v1.Snapshots/ReadSnapshot", OperatorRole::kResponder},
    Rule{"/culprit.v1.Snapshots/", OperatorRole::kViewer},
};

OperatorRole LeastRole(std::string_view method) {
  const auto* rule = std::ranges::find_if(kOperatorRules, [&](const Rule& r) {
    return r.method.ends_with('/') ? method.starts_with(r.method) : method == r.method;
  });
  return rule == kOperatorRules.end() ? OperatorRole::kAdmin : rule->least;
}

}  // namespace

Status MayCall(const PeerIdentity& peer, std::string_view method) {
  const bool for_agents = std::ranges::find(kAgentMethods, method) != kAgentMethods.end();
  if (peer.role == PeerRole::kAgent) {
    if (for_agents) return Ok();
    return MakeError(Code::kPermissionDenied,
                     "this call needs an operator's certificate, not an agent's");
  }
  if (for_agents) {
    return MakeError(Code::kPermissionDenied,
                     "this call needs an agent's certificate, not an operator's");
  }
  const OperatorRole least = LeastRole(method);
  if (peer.operator_role >= least) return Ok();
  return MakeError(Code::kPermissionDenied,
                   "this needs the role " + std::string(NameOf(least)) + ", and " + peer.name +
                       " is " + std::string(NameOf(peer.operator_role)) +
                       " (`culprit-collector issue operator NAME --role ROLE` gives roles)");
}

}  // namespace culprit
