// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/finding_trigger.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/collector/snapshot/agent_with_bundle.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

class FindingTriggerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto findings = OpenFindingStore(directory_ / "findings.db");
    ASSERT_TRUE(findings) << findings.error().message;
    findings_ = std::move(*findings);
    SnapshotStoreLimits limits;
    limits.min_free_bytes = 0;
    auto snapshots = Snapshots::Open(directory_ / "snapshots", limits, agent_);
    ASSERT_TRUE(snapshots) << snapshots.error().message;
    snapshots_ = std::move(*snapshots);
  }
  void TearDown() override { thread_ = {}; }

  void Find(const std::string& id, v1::Severity severity, const Uuid& agent) {
    v1::Finding finding;
    finding.set_id(id);
    finding.set_rule("scan");
    finding.set_subject(id);
    finding.set_severity(severity);
    finding.set_agent_id(agent.ToString());
    finding.set_host("web-1");
    finding.set_state(v1::FINDING_STATE_OPEN);
    finding.set_first_ns(1'000'000'000);
    finding.set_last_ns(++last_ns_);
    finding.set_trigger_lsn(++lsn_);
    finding.set_last_lsn(lsn_);
    ASSERT_TRUE(findings_->Put(finding, ReadWallClock()));
    ASSERT_TRUE(findings_->Commit(lsn_));
  }
  void Start() {
    trigger_ = std::make_unique<FindingTrigger>(*findings_, *snapshots_, FindingTriggerOptions{});
    thread_ = std::jthread([this](const std::stop_token& stop) { trigger_->Run(stop); });
  }
  std::vector<v1::Snapshot> AwaitCount(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::vector<v1::Snapshot> taken;
    for (std::uint64_t seen = 0; std::chrono::steady_clock::now() < deadline;) {
      taken = snapshots_->List(std::nullopt, 100);
      if (taken.size() >= count) break;
      seen = snapshots_->WaitChange(seen, std::chrono::milliseconds(50));
    }
    return taken;
  }

  TempDir directory_;
  AgentWithBundle agent_{directory_ / "key"};
  std::unique_ptr<FindingStore> findings_;
  std::unique_ptr<Snapshots> snapshots_;
  std::unique_ptr<FindingTrigger> trigger_;
  std::int64_t last_ns_ = 2'000'000'000;
  Lsn lsn_ = 0;
  std::jthread thread_;
};

TEST_F(FindingTriggerTest, TheFirstFindingOfAHostTakesOneAndTheNextDoesNot) {
  const Uuid first = Uuid::Random(), second = Uuid::Random(), quiet = Uuid::Random();
  Find("00000000000000aa", v1::SEVERITY_CRITICAL, Uuid::Random());  // before the start
  Start();
  Find("0000000000000001", v1::SEVERITY_MEDIUM, quiet);
  Find("0000000000000002", v1::SEVERITY_HIGH, first);
  ASSERT_EQ(AwaitCount(1).size(), 1U);
  Find("0000000000000003", v1::SEVERITY_CRITICAL, first);
  Find("0000000000000004", v1::SEVERITY_CRITICAL, second);
  const std::vector<v1::Snapshot> taken = AwaitCount(2);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].agent_id(), second.ToString());
  EXPECT_EQ(taken[1].agent_id(), first.ToString());
  EXPECT_THAT(taken[1].trigger(), HasSubstr("finding 0000000000000002"));
  EXPECT_EQ(taken[1].last_tier(), 1U);
}

}  // namespace
}  // namespace culprit
