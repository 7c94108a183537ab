// SPDX-License-Identifier: Apache-2.0
// What an agent says about itself and about its processes' activity, through the index and back:
// live, reopened and rebuilt from the journal.
#include <gmock/gmock.h>

#include "collector/store/indexer.h"
#include "tests/collector/store/memory_journal.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

WallTime Wall(double seconds) { return WallTimeFromNs(WallAt(seconds)); }

class RowMakerTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }
  void Send(const v1::EvidenceBatch& batch, double at) {
    StoredFrame stored = MakeStored(++lsn_, batch, at);
    journal_.Add(stored);
    Take(stored);
  }
  // Calls `check` on the index as it is, after a restart, and rebuilt from the journal.
  void Thrice(const std::function<void(const char*)>& check) {
    check("live");
    Open();
    check("reopened");
    store_.reset();
    ASSERT_TRUE(Reindex(journal_, options_, nullptr));
    Open();
    check("rebuilt");
  }
  HostRecord Host() { return store_->Hosts().at(0); }

  MemoryJournal journal_;
};

v1::EvidenceBatch CoverageOf(double since, double at, std::uint64_t tx) {
  v1::EvidenceBatch batch;
  v1::Coverage* coverage = batch.mutable_coverage();
  coverage->set_since_boot_ns(BootAt(since));
  coverage->set_at_boot_ns(BootAt(at));
  v1::Coverage::Interface* interface = coverage->add_interfaces();
  interface->set_name("eth0");
  interface->set_readable(true);
  interface->mutable_tx()->set_interface_bytes(tx);
  return batch;
}

TEST_F(RowMakerTest, TheNewestCoverageIsKept) {
  Send(CoverageOf(0, 10, 100), 10);
  Send(CoverageOf(0, 20, 200), 20);
  Send(CoverageOf(0, 15, 150), 21);  // overtaken on its way
  Thrice([&](const char* when) {
    ASSERT_NE(Host().coverage, nullptr) << when;
    EXPECT_EQ(Host().coverage->interfaces(0).tx().interface_bytes(), 200U) << when;
    EXPECT_EQ(Host().coverage->interfaces(0).name(), "eth0") << when;
    EXPECT_EQ(Host().coverage_at, Wall(20)) << when;
  });
  Send(CoverageOf(5, 6, 7), 30);  // another run
  EXPECT_EQ(Host().coverage->interfaces(0).tx().interface_bytes(), 7U);
}

TEST_F(RowMakerTest, AHostWithoutCoverageHasNone) {
  TakeRows({Row{}}, 10);
  Open();
  EXPECT_EQ(Host().coverage, nullptr);
}

TEST_F(RowMakerTest, CostLiesBetweenTwoHeartbeatsOfOneRun) {
  const auto beat = [](double at, std::uint64_t cpu_us) {
    v1::EvidenceBatch batch;
    batch.mutable_heartbeat()->set_at_boot_ns(BootAt(at));
    batch.mutable_heartbeat()->set_agent_cpu_us(cpu_us);
    return batch;
  };
  Send(beat(10, 5000), 10);
  EXPECT_EQ(Host().heartbeat_before, nullptr);
  Send(beat(20, 9000), 20);
  ASSERT_NE(Host().heartbeat_before, nullptr);
  EXPECT_EQ(Host().heartbeat_before->agent_cpu_us(), 5000U);
  Thrice([&](const char* when) {
    EXPECT_EQ(Host().heartbeat_at, Wall(20)) << when;
    EXPECT_EQ(Host().heartbeat.agent_cpu_us(), 9000U) << when;
  });
  Send(beat(30, 100), 30);  // the agent was restarted
  EXPECT_EQ(Host().heartbeat_before, nullptr);
}

TEST_F(RowMakerTest, LossesAreSummedByCauseOverRuns) {
  const auto lose = [](char run, int cause, std::uint64_t count) {
    v1::EvidenceBatch batch;
    batch.set_run_id(std::string(16, run));
    v1::Loss* loss = batch.add_losses();
    loss->set_cause(static_cast<v1::LossCause>(cause));
    loss->set_count(count);
    loss->set_detail("run " + std::string(1, run));
    return batch;
  };
  Send(lose('a', v1::LOSS_CAUSE_FORWARD_TABLE_FULL, 3), 1);
  Send(lose('a', v1::LOSS_CAUSE_FORWARD_TABLE_FULL, 5), 2);  // cumulative
  Send(lose('b', v1::LOSS_CAUSE_FORWARD_TABLE_FULL, 7), 3);
  Send(lose('b', v1::LOSS_CAUSE_SPOOL_CAP, 2), 4);
  Send(lose('b', 9999, 1), 5);  // of a newer agent
  Thrice([&](const char* when) {
    std::vector<std::pair<v1::LossCause, std::uint64_t>> counts;
    for (const auto& [cause, loss] : Host().losses) counts.emplace_back(cause, loss.count);
    EXPECT_THAT(counts,
                ElementsAre(Pair(v1::LOSS_CAUSE_UNSPECIFIED, 1), Pair(v1::LOSS_CAUSE_SPOOL_CAP, 2),
                            Pair(v1::LOSS_CAUSE_FORWARD_TABLE_FULL, 12)))
        << when;
    EXPECT_EQ(Host().losses[v1::LOSS_CAUSE_FORWARD_TABLE_FULL].detail, "run b") << when;
    EXPECT_EQ(Host().lost_events, 13U) << when;
    EXPECT_EQ(Host().lost_frames, 2U) << when;
  });
}

v1::EvidenceBatch Raw(double at, std::uint64_t packets) {
  v1::EvidenceBatch batch;
  v1::ProcessCounters* c = batch.add_counters();
  c->set_process_id(100);
  c->set_at_boot_ns(BootAt(at));
  c->set_raw_packets(packets);
  c->set_link_packets(packets / 2);
  c->set_bare_syns(packets);
  c->set_window_addresses(packets / 10);
  return batch;
}

TEST_F(RowMakerTest, PacketsPastTheSocketsCountAsActivityOfTheirTime) {
  Send(Raw(10, 100), 10);
  Send(Raw(20, 300), 20);
  Send(Raw(100, 30), 100);  // the agent was restarted: counting began anew
  Thrice([&](const char* when) {
    const auto crafted = [&](double from, double to) -> std::uint64_t {
      const auto found = store_->Activity(std::nullopt, Wall(from), Wall(to), nullptr);
      EXPECT_TRUE(found);
      return found->empty() ? 0 : found->at(0).crafted_packets;
    };
    EXPECT_EQ(crafted(11, 21), 270U) << when;       // 9 of the 10 s of the second record
    EXPECT_EQ(crafted(0, 101), 495U) << when;       // from rows
    EXPECT_EQ(crafted(-3600, 3600), 495U) << when;  // from minutes
    const auto process = store_->FindProcess(1, ProcessId{100});
    ASSERT_TRUE(process && *process) << when;
    EXPECT_EQ((*process)->counters.window_addresses(), 3U) << when;  // newest, not a sum
  });
}

TEST_F(RowMakerTest, ForwardedFlowsKeepTheirInterfacesAndOthersHaveNone) {
  v1::EvidenceBatch batch;
  Row row;
  row.process = 0;
  row.flow = 7;
  row.tx = 5000;
  row.direction = v1::FLOW_DIRECTION_FORWARDED;
  AppendRow(row, batch.mutable_flows());
  row.flow = 8;
  row.process = 100;
  row.creator = 101;
  row.direction = v1::FLOW_DIRECTION_OUTBOUND;
  AppendRow(row, batch.mutable_flows());
  for (int i = 0; i < 2; ++i) {
    batch.mutable_flows()->add_in_ifindex(UINT32_MAX);
    batch.mutable_flows()->add_out_ifindex(3);
  }
  Send(batch, 10);
  Thrice([&](const char* when) {
    AggregatePlan plan;
    plan.where.direction = v1::FLOW_DIRECTION_FORWARDED;
    const AggregateResult forwarded = Ask(plan);
    ASSERT_EQ(forwarded.flows.size(), 1U) << when;
    const FlowFacts& facts = forwarded.flows[0].facts;
    EXPECT_EQ(facts.in_ifindex, UINT32_MAX) << when;
    EXPECT_EQ(facts.out_ifindex, 3U) << when;
    EXPECT_EQ(facts.creator, ProcessId{0}) << when;
    EXPECT_EQ(forwarded.flows[0].sum.tx_wire_bytes, 5000U) << when;
    plan.where.direction = v1::FLOW_DIRECTION_OUTBOUND;
    const AggregateResult own = Ask(plan);
    ASSERT_EQ(own.flows.size(), 1U) << when;
    EXPECT_EQ(own.flows[0].facts.in_ifindex, 0U) << when;
    EXPECT_EQ(own.flows[0].facts.creator, ProcessId{101}) << when;
  });
}

}  // namespace
}  // namespace culprit::testing
