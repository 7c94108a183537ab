// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_rules.h"

#include <gtest/gtest.h>

#include "collector/alert/retry_delay.h"
#include "tests/collector/alert/alert_builder.h"

namespace culprit::testing {
namespace {

constexpr auto kNone = v1::ALERT_EVENT_UNSPECIFIED;
constexpr auto kLow = v1::SEVERITY_LOW, kMedium = v1::SEVERITY_MEDIUM, kHigh = v1::SEVERITY_HIGH,
               kCritical = v1::SEVERITY_CRITICAL;
constexpr auto kOpen = v1::FINDING_STATE_OPEN, kAck = v1::FINDING_STATE_ACKNOWLEDGED,
               kClosed = v1::FINDING_STATE_CLOSED, kFalse = v1::FINDING_STATE_FALSE_POSITIVE;

struct Case {
  const char* what;
  std::optional<Told> told;
  v1::Severity severity;
  v1::FindingState state;
  v1::AlertEvent expected;
};

TEST(AlertRulesTest, ATargetHearsOfWhatOpensRisesAndCloses) {
  const Case cases[] = {
      {"new", std::nullopt, kHigh, kOpen, v1::ALERT_EVENT_OPENED},
      {"new, not severe enough", std::nullopt, kLow, kOpen, kNone},
      {"seen before it was told", std::nullopt, kHigh, kAck, v1::ALERT_EVENT_OPENED},
      {"suppressed from the start", std::nullopt, kHigh, kFalse, kNone},
      {"closed before it was told", std::nullopt, kHigh, kClosed, kNone},
      {"goes on", Told{kHigh, true}, kHigh, kOpen, kNone},
      {"acknowledged", Told{kHigh, true}, kHigh, kAck, kNone},
      {"rises", Told{kMedium, true}, kHigh, kOpen, v1::ALERT_EVENT_RAISED},
      {"falls", Told{kCritical, true}, kHigh, kOpen, kNone},
      {"closed", Told{kHigh, true}, kHigh, kClosed, v1::ALERT_EVENT_CLOSED},
      {"a false positive", Told{kHigh, true}, kHigh, kFalse, v1::ALERT_EVENT_CLOSED},
      {"closed, while the filter has become stricter", Told{kLow, true}, kLow, kClosed,
       v1::ALERT_EVENT_CLOSED},
      {"stays closed", Told{kHigh, false}, kHigh, kClosed, kNone},
      {"rises while closed", Told{kHigh, false}, kCritical, kClosed, kNone},
      {"opened again", Told{kHigh, false}, kHigh, kOpen, v1::ALERT_EVENT_OPENED},
  };
  for (const Case& one : cases) {
    v1::Finding finding = MakeFinding("a1", one.severity);
    finding.set_state(one.state);
    const auto decision = DecideAlert(MakeTarget("t"), finding, one.told ? &*one.told : nullptr);
    EXPECT_EQ(decision ? decision->event : kNone, one.expected) << one.what;
    if (!decision) continue;
    EXPECT_FALSE(DecideAlert(MakeTarget("t"), finding, &decision->now)) << one.what << ", again";
  }
}

TEST(AlertRulesTest, FiltersAreByRuleHostAndEvent) {
  const v1::Finding finding = MakeFinding();
  AlertTarget target = MakeTarget("t");
  target.rules = {"scan"};
  EXPECT_FALSE(DecideAlert(target, finding, nullptr));
  target.rules = {"scan", "ssh-relay"};
  EXPECT_TRUE(DecideAlert(target, finding, nullptr));
  target.hosts = {"db"};
  EXPECT_FALSE(DecideAlert(target, finding, nullptr));
  target.hosts = {"web-1"};
  EXPECT_TRUE(DecideAlert(target, finding, nullptr)->wanted);
  target.events = {"closed"};
  const auto unwanted = DecideAlert(target, finding, nullptr);
  ASSERT_TRUE(unwanted) << "it is remembered as told, so that its end is";
  EXPECT_FALSE(unwanted->wanted);
}

TEST(AlertRulesTest, AKeyIsOfTheCauseAlone) {
  v1::Finding finding = MakeFinding();
  const std::string opened = AlertKey(finding, v1::ALERT_EVENT_OPENED);
  EXPECT_EQ(opened, "4f1c09a2b7d3e865-opened-high");
  finding.set_last_ns(finding.last_ns() + 1);
  EXPECT_EQ(AlertKey(finding, v1::ALERT_EVENT_OPENED), opened);
  finding.set_severity(kCritical);
  EXPECT_EQ(AlertKey(finding, v1::ALERT_EVENT_RAISED), "4f1c09a2b7d3e865-raised-critical");
  finding.set_state_ns(5);
  const std::string closed = AlertKey(finding, v1::ALERT_EVENT_CLOSED);
  finding.set_state_ns(6);
  EXPECT_NE(AlertKey(finding, v1::ALERT_EVENT_CLOSED), closed) << "closed a second time";
  EXPECT_NE(AlertKey(finding, v1::ALERT_EVENT_OPENED), opened) << "opened again";
}

TEST(RetryDelayTest, GrowsToItsLimitAndIsNeverLessThanAskedFor) {
  using std::chrono::milliseconds;
  const milliseconds max(300'000);
  EXPECT_EQ(RetryDelay(1, max, {}, 1), milliseconds(1000));
  EXPECT_EQ(RetryDelay(1, max, {}, 0), milliseconds(500));
  EXPECT_EQ(RetryDelay(4, max, {}, 1), milliseconds(8000));
  EXPECT_EQ(RetryDelay(1000, max, {}, 1), max);
  EXPECT_EQ(RetryDelay(1, max, milliseconds(7000), 1), milliseconds(7000));
  EXPECT_EQ(RetryDelay(9, max, milliseconds(7000), 1), milliseconds(256'000));
}

}  // namespace
}  // namespace culprit::testing
