// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/access.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit {
namespace {

TEST(AccessTest, EachCallIsForWhomTheTableSays) {
  PeerIdentity agent;
  agent.role = PeerRole::kAgent;
  agent.name = "i-1";
  const auto op = [](OperatorRole role) {
    PeerIdentity peer;
    peer.role = PeerRole::kOperator;
    peer.operator_role = role;
    peer.name = "night";
    return peer;
  };
  struct Case {
    const char* method;
    bool agent, viewer, responder, admin;
  };
  const Case cases[] = {
      {"/culprit.v1.Ingest/Stream", true, false, false, false},
      {"/culprit.v1.Renewal/Renew", true, false, false, false},
      {"/culprit.v1.Query/ListHosts", false, true, true, true},
      {"/culprit.v1.Query/FetchPackets", false, false, true, true},
      {"/culprit.v1.Findings/ListFindings", false, true, true, true},
      {"/culprit.v1.Findings/SetFindingState", false, false, true, true},
      {"/culprit.v1.LoginQuery/ListLogins", false, true, true, true},
      {"/culprit.v1.PostureQuery/GetPosture", false, true, true, true},
      {"/culprit.v1.Alerts/ListAlertTargets", false, true, true, true},
      {"/culprit.v1.Alerts/TestAlerts", false, false, true, true},
      {"/culprit.v1.Custody/GetEvidenceHead", false, true, true, true},
      {"/culprit.v1.Snapshots/ListSnapshots", false, true, true, true},
      {"/culprit.v1.Snapshots/TakeSnapshot", false, false, true, true},
      {"/culprit.v1.Snapshots/ReadSnapshot", false, false, true, true},
      {"/culprit.v1.Snapshots/RemoveSnapshot", false, false, false, true},
      {"/culprit.v1.Custody/GetEvidenceHead", false, true, true, true},
      {"/culprit.v1.Audit/ListAudit", false, false, false, true},
      {"/culprit.v1.Forgotten/Call", false, false, false, true},
      {"/culprit.v1.QueryX/ListHosts", false, false, false, true},
      {"/culprit.v1.Ingest/StreamX", false, false, false, true},
      {"", false, false, false, true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(MayCall(agent, c.method).has_value(), c.agent) << c.method;
    EXPECT_EQ(MayCall(op(OperatorRole::kViewer), c.method).has_value(), c.viewer) << c.method;
    EXPECT_EQ(MayCall(op(OperatorRole::kResponder), c.method).has_value(), c.responder) << c.method;
    EXPECT_EQ(MayCall(op(OperatorRole::kAdmin), c.method).has_value(), c.admin) << c.method;
  }
}

}  // namespace
}  // namespace culprit
