// SPDX-License-Identifier: Apache-2.0
// What the schemas ask of every document: attributes that must be there, values that must agree.
// The whole documents are in the golden files of alerts and of flow exports.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "collector/format/ecs.h"
#include "collector/format/ocsf.h"
#include "tests/collector/alert/alert_builder.h"

namespace culprit {
namespace {

using nlohmann::json;

// Paths that must be there, by JSON pointer.
void ExpectPaths(const json& document, const std::vector<const char*>& paths) {
  for (const char* path : paths)
    EXPECT_TRUE(document.contains(json::json_pointer(path))) << path << " in " << document;
}

std::vector<v1::FlowRow> Flows() {
  std::ifstream in(CULPRIT_SOURCE_DIR "/tests/collector/cli/golden/export.textproto");
  std::stringstream text;
  text << in.rdbuf();
  v1::ListFlowsResponse flows;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text.str(), &flows));
  return {flows.flows().begin(), flows.flows().end()};
}

void ExpectOcsfBase(const json& document, int class_uid) {
  ExpectPaths(document, {"/activity_id", "/category_uid", "/class_uid", "/severity_id", "/time",
                         "/type_uid", "/metadata/version", "/metadata/product/vendor_name",
                         "/metadata/product/name", "/device/type_id", "/device/uid"});
  EXPECT_EQ(document["class_uid"], class_uid);
  EXPECT_EQ(document["category_uid"], class_uid / 1000);
  EXPECT_EQ(document["type_uid"], class_uid * 100 + document["activity_id"].get<int>());
  EXPECT_EQ(document["metadata"]["version"], "1.2.0");
  EXPECT_TRUE(document["time"].is_number_integer());
  EXPECT_GT(document["time"], 1'000'000'000'000) << "milliseconds";
}

TEST(OcsfTest, AFindingHasWhatItsClassAsksFor) {
  const json document = json::parse(OcsfFinding(testing::MakeFinding(), OcsfActivity::kCreate));
  ExpectOcsfBase(document, 2004);
  ExpectPaths(document,
              {"/finding_info/uid", "/finding_info/title", "/finding_info/analytic/type_id",
               "/evidences/0/actor/process/pid", "/evidences/0/actor/process/file/type_id",
               "/evidences/0/src_endpoint/ip", "/evidences/1/dst_endpoint/ip",
               "/evidences/1/data/aws_region", "/finding_info/attacks/1/sub_technique/uid"});
  EXPECT_EQ(document["severity_id"], 4);
  EXPECT_EQ(document["status_id"], 1);
}

TEST(OcsfTest, ActivityAndStatusFollowTheState) {
  struct Case {
    v1::FindingState state;
    int activity, status;
  };
  for (const Case& one :
       {Case{v1::FINDING_STATE_OPEN, 1, 1}, Case{v1::FINDING_STATE_ACKNOWLEDGED, 2, 2},
        Case{v1::FINDING_STATE_FALSE_POSITIVE, 3, 3}, Case{v1::FINDING_STATE_CLOSED, 3, 4}}) {
    v1::Finding finding = testing::MakeFinding();
    finding.set_state(one.state);
    const json document = json::parse(OcsfFinding(finding, OcsfActivityOf(finding)));
    EXPECT_EQ(document["activity_id"], one.activity);
    EXPECT_EQ(document["status_id"], one.status);
  }
}

TEST(OcsfTest, AFlowHasWhatItsClassAsksFor) {
  for (const v1::FlowRow& flow : Flows()) {
    if (flow.direction() == "listen") continue;
    const json document = json::parse(OcsfFlow(flow));
    ExpectOcsfBase(document, 4001);
    ExpectPaths(document, {"/src_endpoint/ip", "/dst_endpoint/ip", "/connection_info/direction_id",
                           "/actor/process/uid", "/traffic/bytes_out"});
  }
}

TEST(OcsfTest, TheSourceIsWhoBeganTheConnection) {
  const auto flows = Flows();
  const json out = json::parse(OcsfFlow(flows[0])), in = json::parse(OcsfFlow(flows[1]));
  EXPECT_EQ(out["src_endpoint"]["ip"], flows[0].local());
  EXPECT_EQ(out["traffic"]["bytes_out"], flows[0].tx_wire_bytes());
  EXPECT_EQ(in["src_endpoint"]["ip"], flows[1].remote());
  EXPECT_EQ(in["traffic"]["bytes_out"], flows[1].rx_wire_bytes());
  EXPECT_EQ(in["connection_info"]["direction_id"], 1);
}

TEST(EcsTest, AFindingIsAnAlertOfItsRule) {
  const json document = json::parse(EcsFinding(testing::MakeFinding()));
  ExpectPaths(document, {"/@timestamp", "/ecs/version", "/event/id", "/rule/id", "/rule/name",
                         "/threat/technique/id/0", "/host/name", "/process/entity_id", "/source/ip",
                         "/destination/ip", "/related/ip/0", "/culprit/session/key_fingerprint"});
  EXPECT_EQ(document["event"]["kind"], "alert");
  EXPECT_EQ(document["event"]["category"][0], "intrusion_detection");
  EXPECT_EQ(document["@timestamp"], "2026-03-01T00:00:02Z");
  EXPECT_EQ(document["threat"]["technique"]["subtechnique"]["id"], json::array({"T1090.002"}));
}

// An index refuses a document whose "ip" is none.
TEST(FormatTest, WhatIsNoAddressIsNotCalledOne) {
  const v1::Finding hostile = testing::MakeHostileFinding();
  const json ecs = json::parse(EcsFinding(hostile));
  EXPECT_FALSE(ecs["destination"].contains("ip"));
  EXPECT_FALSE(ecs["source"].contains("ip"));
  EXPECT_FALSE(ecs["related"].contains("ip"));
  const json ocsf = json::parse(OcsfFinding(hostile, OcsfActivity::kCreate));
  EXPECT_FALSE(ocsf["evidences"][0].contains("src_endpoint"));
  EXPECT_FALSE(ocsf["evidences"][1]["dst_endpoint"].contains("ip"));
}

TEST(FormatTest, AFindingOfNothingKnownIsStillADocument) {
  v1::Finding bare;
  bare.set_id("1");
  EXPECT_TRUE(json::accept(OcsfFinding(bare, OcsfActivity::kCreate)));
  EXPECT_TRUE(json::accept(EcsFinding(bare)));
  EXPECT_TRUE(json::accept(OcsfFlow({})));
}

}  // namespace
}  // namespace culprit
