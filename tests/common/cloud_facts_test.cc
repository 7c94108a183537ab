// SPDX-License-Identifier: Apache-2.0
// Whether a group starts the same image again, and what to do: from what IMDS said, and said alone.
#include "common/cloud_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Case {
  const char* what;
  const char* json;
  Relaunch will;
  const char* text;
  const char* remedy;
};

const Case kCases[] = {
    {"the group's name is known",
     R"j({"answers":{"meta-data/instance-id":"i-1\n","meta-data/ami-id":"ami-1",
       "meta-data/tags/instance/":"aws:autoscaling:groupName",
       "meta-data/tags/instance/aws:autoscaling:groupName":"web",
       "meta-data/tags/instance/aws:ec2launchtemplate:id":"lt-1",
       "meta-data/tags/instance/aws:ec2launchtemplate:version":"7"}})j",
     Relaunch::kYes, "the Auto Scaling group web starts ami-1 again",
     "detach-instances --auto-scaling-group-name web --instance-ids i-1 "},
    {"tags are not in the metadata, the state is",
     R"j({"answers":{"meta-data/instance-id":"i-1","meta-data/ami-id":"ami-1",
       "meta-data/autoscaling/target-lifecycle-state":"InService"}})j",
     Relaunch::kYes, "(target state InService)", "--instance-ids i-1` names it"},
    {"tags are there, and none is a group's",
     R"j({"answers":{"meta-data/ami-id":"ami-1","meta-data/tags/instance/":"Name"}})j",
     Relaunch::kNo, "in no Auto Scaling group", ""},
    {"neither tags nor a state",
     R"j({"answers":{"meta-data/instance-id":"i-1","meta-data/ami-id":"ami-1"}})j",
     Relaunch::kNotKnown, "would start ami-1 again: the metadata service has no tags",
     "--instance-ids i-1` tells"},
    {"nothing was answered", R"j({"answers":{}})j", Relaunch::kNotKnown, "did not tell",
     "INSTANCE"},
    {"a name that a shell would run",
     R"j({"answers":{"meta-data/tags/instance/aws:autoscaling:groupName":"$(rm -rf ~)'; x"}})j",
     Relaunch::kYes, "starts the same image again",
     R"(--auto-scaling-group-name '$(rm -rf ~)'\''; x' --scaling-processes)"},
};

TEST(CloudFacts, WhatIsToldDecidesWhetherAGroupStartsTheImageAgain) {
  for (const Case& c : kCases) {
    const auto facts = ParseCloudFacts(c.json);
    ASSERT_TRUE(facts) << c.what;
    const RelaunchAdvice advice = AdviseRelaunch(*facts);
    EXPECT_EQ(advice.will, c.will) << c.what;
    EXPECT_THAT(advice.text, HasSubstr(c.text)) << c.what;
    EXPECT_THAT(advice.remedy, HasSubstr(c.remedy)) << c.what;
    EXPECT_EQ(advice.remedy.empty(), c.will == Relaunch::kNo) << c.what;
  }
  EXPECT_THAT(AdviseRelaunch({}).text, AllOf(HasSubstr("not known"), HasSubstr("did not tell")));
}

TEST(CloudFacts, WhatAHostWritesInsteadIsRefusedOrBounded) {
  for (const char* bad : {"", "{", "[]", "{}", R"({"answers":[]})", R"({"answers":"x"})"})
    EXPECT_FALSE(ParseCloudFacts(bad)) << bad;
  EXPECT_FALSE(ParseCloudFacts(std::string(100'000, '[')));
  const auto odd = ParseCloudFacts(R"({"answers":{"meta-data/ami-id":7,"meta-data/mac":null}})");
  ASSERT_TRUE(odd);
  EXPECT_TRUE(odd->image_id.empty());
  const auto big =
      ParseCloudFacts(R"({"answers":{"meta-data/ami-id":")" + std::string(5'000, 'a') + "\"}}");
  ASSERT_TRUE(big);
  EXPECT_TRUE(big->image_id.empty());
}

}  // namespace
}  // namespace culprit
