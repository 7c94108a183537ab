// SPDX-License-Identifier: Apache-2.0
// Findings of a real store, told to real receivers.
#include "collector/alert/alerter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "collector/sqlite/sqlite_db.h"
#include "tests/collector/alert/alert_builder.h"
#include "tests/collector/alert/http_receiver.h"
#include "tests/support/small_disk.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class Condition>
bool Eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

class AlerterTest : public ::testing::Test {
 protected:
  AlerterTest() : findings_(*OpenFindingStore(dir_ / "findings.db")) {}

  void Start(const std::vector<AlertTarget>& targets) {
    alerter_.reset();
    AlerterOptions options;
    options.path = queue_path_.empty() ? dir_ / "alerts.db" : queue_path_;
    options.targets = targets;
    options.version = "1";
    options.annotate = [](v1::Finding* finding) {
      finding->mutable_targets(0)->set_region("looked up");
    };
    alerter_ = Alerter::Start(options, *findings_);
  }
  AlertTarget Webhook(const std::string& name = "hook") {
    AlertTarget target = MakeTarget(name);
    target.url = receiver_.url();
    target.retry_max = std::chrono::seconds(1);
    return target;
  }
  void Put(const std::string& id, v1::Severity severity = v1::SEVERITY_HIGH) {
    v1::Finding finding = MakeFinding(id, severity);
    finding.set_last_lsn(++lsn_);
    ASSERT_TRUE(findings_->Put(finding, WallTimeFromNs(kStart)));
    ASSERT_TRUE(findings_->Commit(lsn_));
  }
  void Decide(const std::string& id, v1::FindingState state) {
    ASSERT_TRUE(
        findings_->Decide(id, {state, "because", "operator", WallTimeFromNs(kStart + ++decided_)}));
  }
  v1::AlertTarget State(const std::string& name = "hook") const {
    const v1::ListAlertTargetsResponse all = alerter_->Targets();
    for (const v1::AlertTarget& target : all.targets()) {
      if (target.name() == name) return target;
    }
    return {};
  }
  std::vector<std::string> Keys(std::size_t count) {
    std::vector<std::string> keys;
    for (const Received& one : receiver_.Await(count))
      keys.push_back(one.headers.at("idempotency-key"));
    return keys;
  }

  TempDir dir_{TempDir::Where::kMemory};
  std::string queue_path_;
  HttpReceiver receiver_;
  std::unique_ptr<FindingStore> findings_;
  std::unique_ptr<Alerter> alerter_;
  Lsn lsn_ = 0;
  int decided_ = 0;
};

TEST_F(AlerterTest, TellsWhatOpensRisesAndClosesOnceEach) {
  Start({Webhook()});
  Put("a1", v1::SEVERITY_LOW);
  Put("b2");
  Keys(1);
  Put("b2");
  Put("b2", v1::SEVERITY_CRITICAL);
  Keys(2);
  Decide("b2", v1::FINDING_STATE_ACKNOWLEDGED);
  Decide("b2", v1::FINDING_STATE_CLOSED);
  Keys(3);
  Put("c3");
  EXPECT_THAT(Keys(4), ElementsAre("b2-opened-high", "b2-raised-critical",
                                   "b2-closed-" + std::to_string(kStart + 2), "c3-opened-high"));
  const auto body = nlohmann::json::parse(receiver_.Await(4).at(0).body);
  EXPECT_EQ(body["finding"]["id"], "b2");
  EXPECT_EQ(body["finding"]["targets"][0]["region"], "looked up");
  EXPECT_TRUE(Eventually([&] { return State().delivered() == 4 && State().queued() == 0; }));
}

TEST_F(AlerterTest, AReceiverThatFailsGetsTheSameAlertUntilItTakesIt) {
  receiver_.Script({Answer(500), "", "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhalf"});
  Start({Webhook()});
  Put("a1");
  Put("b2");
  EXPECT_THAT(Keys(5), ElementsAre("a1-opened-high", "a1-opened-high", "a1-opened-high",
                                   "a1-opened-high", "b2-opened-high"));
  const auto got = receiver_.Await(5);
  EXPECT_EQ(got[0].body, got[3].body) << "every attempt says the same";
  EXPECT_EQ(got[3].headers.at("x-culprit-attempt"), "4");
  EXPECT_TRUE(Eventually([&] { return State().failures() == 0 && State().delivered() == 2; }));
  EXPECT_THAT(State().last_error(), HasSubstr("transfer closed"));
}

TEST_F(AlerterTest, WhatIsRefusedForGoodStopsNoOtherAndIsDeclared) {
  receiver_.Script({Answer(400), Answer(400), Answer(400), Answer(400), Answer(400)});
  Start({Webhook()});
  Put("a1");
  Put("b2");
  EXPECT_EQ(Keys(6).back(), "b2-opened-high");
  EXPECT_TRUE(Eventually([&] { return State().lost() == 1 && State().delivered() == 1; }));
  const auto body = nlohmann::json::parse(receiver_.Await(6).at(5).body);
  EXPECT_EQ(body["finding"]["id"], "b2");
}

TEST_F(AlerterTest, ATargetThatHangsHoldsUpNoOther) {
  HttpReceiver stuck;
  stuck.Script({HttpReceiver::kHang});
  AlertTarget other = Webhook("stuck");
  other.url = stuck.url();
  other.timeout = std::chrono::seconds(60);
  Start({other, Webhook()});
  Put("a1");
  Put("b2");
  EXPECT_EQ(Keys(2).size(), 2U);
  EXPECT_EQ(State("stuck").queued(), 2U);
  alerter_.reset();  // does not wait for the minute either
}

TEST_F(AlerterTest, WhatWaitedIsToldAfterAnotherStartAndWhatWasToldIsNot) {
  AlertTarget down = Webhook();
  down.url = "http://127.0.0.1:1/";
  Start({down});
  Put("a1");
  Put("b2");
  ASSERT_TRUE(Eventually([&] { return State().queued() == 2 && State().failures() > 0; }));
  Start({Webhook()});
  EXPECT_THAT(Keys(2), ElementsAre("a1-opened-high", "b2-opened-high"));
  ASSERT_TRUE(Eventually([&] { return State().queued() == 0; }));
  Start({Webhook()});
  Put("a1");
  Put("c3");
  EXPECT_EQ(Keys(3).back(), "c3-opened-high");
}

TEST_F(AlerterTest, FindingsThatCameWhileThereWasNoCollectorAreToldOfANewTargetTheOldAreNot) {
  Put("old");
  Start({Webhook()});
  Put("a1");
  EXPECT_THAT(Keys(1), ElementsAre("a1-opened-high"));
  ASSERT_TRUE(Eventually([&] { return State().queued() == 0; }));
  alerter_.reset();
  Put("b2");
  Start({Webhook()});
  EXPECT_EQ(Keys(2).back(), "b2-opened-high");
}

TEST_F(AlerterTest, ATestIsMarkedAndWaitsItsTurn) {
  Start({Webhook()});
  ASSERT_TRUE(Eventually([&] {
    return !alerter_->Targets().targets().empty() &&
           alerter_->Test({}, [] { return true; }).has_value();
  }));
  const auto got = receiver_.Await(1);
  EXPECT_EQ(got.at(0).headers.at("x-culprit-event"), "test");
  v1::TestAlertsRequest request;
  request.set_target("hook");
  const auto tested = alerter_->Test(request, [] { return false; });
  ASSERT_TRUE(tested);
  EXPECT_TRUE(tested->tests(0).delivered()) << tested->tests(0).error();
  request.set_target("none");
  EXPECT_EQ(alerter_->Test(request, [] { return false; }).error().code, Code::kNotFound);
}

TEST_F(AlerterTest, AQueueThatCannotBeOpenedIsAProblemThatEndsWithItsCause) {
  { std::ofstream(dir_ / "alerts.db") << std::string(8192, 'x'); }
  Start({Webhook()});
  ASSERT_TRUE(Eventually([&] { return !alerter_->Problems().empty(); }));
  EXPECT_THAT(alerter_->Problems().at(0), HasSubstr("alerts: nothing new can be queued"));
  EXPECT_FALSE(State().kind().empty()) << "it is shown nevertheless";
  Put("a1");
  ASSERT_EQ(unlink((dir_ / "alerts.db").c_str()), 0);
  EXPECT_THAT(Keys(1), ElementsAre("a1-opened-high"));
  EXPECT_THAT(alerter_->Problems(), IsEmpty());
}

TEST_F(AlerterTest, AFullDiskLosesNoFinding) {
  const SmallDisk disk(2);
  queue_path_ = disk / "alerts.db";
  AlertTarget down = Webhook();
  down.url = "http://127.0.0.1:1/";
  down.max_queued = 100'000;
  Start({down});
  Put("first");
  ASSERT_TRUE(Eventually([&] { return State().queued() == 1; }));
  disk.Fill();
  int put = 1;
  ASSERT_TRUE(Eventually([&] {
    for (int i = 0; i < 100; ++i) Put("f" + std::to_string(put++));
    return !alerter_->Targets().failing().empty();
  }));
  EXPECT_THAT(alerter_->Problems().at(0), HasSubstr("full"));
  disk.Free();
  EXPECT_TRUE(Eventually([&] { return State().queued() == static_cast<std::uint64_t>(put); }));
  EXPECT_TRUE(Eventually([&] { return alerter_->Targets().failing().empty(); }));
}

TEST_F(AlerterTest, OtherTargetsWhileItRunsLoseNothingAndTellNothingTwice) {
  Start({Webhook()});
  Put("a1");
  Keys(1);
  receiver_.Script({Answer(503), Answer(503)});
  Put("b2");
  Keys(2);
  // What was told of the first target goes on with it; the new one hears of what comes.
  alerter_->SetTargets({Webhook(), Webhook("second")});
  Keys(4);
  Put("c3");
  EXPECT_TRUE(Eventually([&] {
    return State().delivered() == 3 && State("second").delivered() == 1 && State().queued() == 0;
  }));
  alerter_->SetTargets({Webhook("second")});
  Put("d4");
  EXPECT_TRUE(Eventually([&] { return State("second").delivered() == 2; }));
  EXPECT_FALSE(State().configured());
}

TEST_F(AlerterTest, TheFirstTargetWhileItRunsHearsOfWhatComesAlone) {
  Start({});
  Put("a1");
  alerter_->SetTargets({Webhook()});
  ASSERT_TRUE(
      Eventually([&] { return State().configured() && alerter_->Targets().failing().empty(); }));
  Put("b2");
  EXPECT_THAT(Keys(1), ElementsAre("b2-opened-high"));
}

TEST_F(AlerterTest, WithoutTargetsThereIsNoFile) {
  Start({});
  Put("a1");
  alerter_.reset();
  EXPECT_NE(access((dir_ / "alerts.db").c_str(), F_OK), 0);
}

TEST_F(AlerterTest, WhatATargetThatIsGoneLeftIsShown) {
  AlertTarget down = Webhook();
  down.url = "http://127.0.0.1:1/";
  Start({down});
  Put("a1");
  ASSERT_TRUE(Eventually([&] { return State().queued() == 1; }));
  Start({});
  ASSERT_TRUE(Eventually([&] { return State().queued() == 1; }));
  EXPECT_FALSE(State().configured());
}

}  // namespace
}  // namespace culprit::testing
