// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;

WallTime Wall(double seconds) { return WallTimeFromNs(WallAt(seconds)); }

std::vector<std::uint64_t> Flows(const AggregateResult& result) {
  std::vector<std::uint64_t> out;
  for (const FlowTotal& f : result.flows) out.push_back(f.facts.flow.value());
  return out;
}

class SqliteStoreTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }
};

TEST_F(SqliteStoreTest, FlowIsTheSumOfWhatWasAddedAndItsNewestState) {
  Row row;
  row.tx = 3'000'000'000;
  row.emitted = 10;
  TakeRows({row}, 10);
  row.tx = 209'000'000'000;
  row.rx = 77;
  row.emitted = 20;
  row.state = v1::FLOW_STATE_CLOSED;
  TakeRows({row}, 20);
  const AggregateResult result = Ask({});
  ASSERT_EQ(result.flows.size(), 1U);
  EXPECT_EQ(result.flows[0].sum.tx_wire_bytes, 209'000'000'000U);
  EXPECT_EQ(result.flows[0].sum.rx_wire_bytes, 77U);
  EXPECT_EQ(result.flows[0].facts.state, v1::FLOW_STATE_CLOSED);
  EXPECT_EQ(result.flows[0].facts.local.ToString(), "192.0.2.10");
}

TEST_F(SqliteStoreTest, TimeRangeGetsItsShareOfEachRow) {
  Row row;
  for (int i = 1; i <= 3; ++i) {
    row.emitted = 10 * i;
    row.tx = static_cast<std::uint64_t>(i) * 1000;
    TakeRows({row}, row.emitted);
  }
  AggregatePlan plan;
  plan.where.from = Wall(5);
  plan.where.to = Wall(25);
  for (const OrderBy order : {OrderBy::kTime, OrderBy::kBytes}) {
    plan.order = order;
    const AggregateResult result = Ask(plan);
    ASSERT_EQ(result.flows.size(), 1U);
    EXPECT_EQ(result.flows[0].sum.tx_wire_bytes, 2000U);
  }
  plan.by = GroupBy::kProcess;
  EXPECT_EQ(Ask(plan).groups.at(0).sum.tx_wire_bytes, 2000U);
}

TEST_F(SqliteStoreTest, SameFramesTwiceChangeNothing) {
  Row row;
  row.tx = 1000;
  const StoredFrame first = MakeStored(1, {row}, 10);
  Take(first);
  Take(first);
  EXPECT_EQ(store_->stats().rows, 1U);
  EXPECT_EQ(store_->applied_lsn(), 1U);
  TakeRows({row}, 10);  // LSN 1 again, from lsn_
  TakeRows({row}, 10);  // LSN 2: the same record in another frame
  EXPECT_EQ(Ask({}).flows.at(0).sum.tx_wire_bytes, 1000U);
}

TEST_F(SqliteStoreTest, AQuestionThatIsToldTwiceIsOneQuestion) {
  v1::EvidenceBatch batch;
  batch.set_boot_id(std::string(16, 'b'));
  batch.set_run_id(std::string(16, 'r'));
  for (const char* name : {"www.example.com", "www.example.org"}) {
    v1::DnsQuestion& question = *batch.add_dns();
    question.set_server("\xc6\x33\x64\x35");
    question.set_name(name);
    question.set_at_boot_ns(BootAt(5));
    question.set_process_id(100);
    question.set_questions(1);
  }
  Take(MakeStored(1, batch, 10));
  Take(MakeStored(2, batch, 20));
  const auto found = store_->Dns({}, 10);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 2U);
}

struct RemoteCase {
  std::string name, remote;
  std::vector<std::uint64_t> flows;
};
class RemoteTest : public SqliteStoreTest, public ::testing::WithParamInterface<RemoteCase> {};

TEST_P(RemoteTest, AddressRangesFindTheirFlowsOnBothPaths) {
  const std::vector<std::string> remotes{"198.51.100.7", "198.51.100.200", "198.51.101.1",
                                         "2001:db8::1", "2001:db8:1::1"};
  std::vector<Row> rows;
  for (std::size_t i = 0; i < remotes.size(); ++i) {
    Row row;
    row.flow = i + 1;
    row.remote = remotes[i];
    row.last = static_cast<double>(9 - i);
    rows.push_back(row);
  }
  TakeRows(rows, 10);
  AggregatePlan plan;
  plan.where.remote = Cidr::Parse(GetParam().remote).value();
  EXPECT_EQ(Flows(Ask(plan)), GetParam().flows);
  // More rows than a range is read for without the index.
  rows.clear();
  for (std::uint64_t i = 0; i < 25'000; ++i) {
    Row row;
    row.flow = 1000 + i;
    row.remote = "203.0.113." + std::to_string(i % 200);
    row.last = 0.5;
    rows.push_back(row);
    if (rows.size() == 5000) {
      TakeRows(rows, 10);
      rows.clear();
    }
  }
  EXPECT_EQ(Flows(Ask(plan)), GetParam().flows);
}

INSTANTIATE_TEST_SUITE_P(
    Cidrs, RemoteTest,
    ::testing::Values(RemoteCase{"one_v4", "198.51.100.7", {1}},
                      RemoteCase{"block_v4", "198.51.100.0/24", {1, 2}},
                      RemoteCase{"wide_v4", "198.0.0.0/8", {1, 2, 3}},
                      RemoteCase{"one_v6", "2001:db8::1", {4}},
                      RemoteCase{"block_v6", "2001:db8::/48", {4}},
                      RemoteCase{"wide_v6", "2001::/16", {4, 5}},
                      RemoteCase{"none", "192.0.2.1", {}}),
    [](const auto& param) { return param.param.name; });

TEST_F(SqliteStoreTest, GroupsThroughTheIndexCountEachRowOnceOverManyChunks) {
  std::uint64_t sum = 0, flows = 0;
  std::vector<Row> rows;
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    Row row;
    row.flow = 1000 + i;
    row.remote = "203.0.113." + std::to_string(i % 200);
    row.tx = i + 1;
    row.last = 0.5;
    rows.push_back(row);
    const bool within = i % 200 >= 8 && i % 200 < 12 && i % 8 != 3;
    if (within) {
      sum += row.tx;
      ++flows;
    }
    rows.back().remote_port = i % 8 == 3 ? 80 : 443;
    if (rows.size() == 5000) {
      TakeRows(rows, 10);
      rows.clear();
    }
  }
  AggregatePlan plan;
  plan.by = GroupBy::kProcess;
  plan.where.remote = Cidr::Parse("203.0.113.8/30").value();
  plan.where.remote_port = 443;
  const AggregateResult answer = Ask(plan);
  ASSERT_EQ(answer.groups.size(), 1U);
  EXPECT_EQ(answer.groups[0].sum.tx_wire_bytes, sum);
  EXPECT_EQ(answer.groups[0].flows, flows);
}

TEST_F(SqliteStoreTest, PagesOverTiesShowEachFlowOnceAlsoWhileTheIndexGrows) {
  std::vector<Row> rows;
  for (std::uint64_t flow = 1; flow <= 25; ++flow) {
    Row row;
    row.flow = flow;
    row.tx = 100;
    rows.push_back(row);
  }
  TakeRows(rows, 10);
  for (const OrderBy order : {OrderBy::kTime, OrderBy::kBytes}) {
    AggregatePlan plan;
    plan.order = order;
    plan.limit = 4;
    std::vector<std::uint64_t> seen;
    for (int page = 0; page < 20; ++page) {
      const AggregateResult result = Ask(plan);
      for (const std::uint64_t flow : Flows(result)) seen.push_back(flow);
      if (!result.next) break;
      plan.after = result.next;
      plan.where.as_of = result.as_of;
      Row late;
      late.flow = 1000 + static_cast<std::uint64_t>(lsn_);
      late.tx = 100;
      TakeRows({late}, 10);
    }
    std::vector<std::uint64_t> unique = seen;
    std::sort(unique.begin(), unique.end());
    EXPECT_EQ(std::unique(unique.begin(), unique.end()), unique.end());
    EXPECT_GE(seen.size(), 25U);
    EXPECT_TRUE(std::includes(unique.begin(), unique.end(), seen.begin(), seen.begin()));
  }
}

TEST_F(SqliteStoreTest, GroupsCountFlowsFailuresAndDestinations) {
  v1::EvidenceBatch batch;
  *batch.add_processes() = MakeProcess(100, 0, 10, "/usr/bin/curl", "alice");
  *batch.add_processes() = MakeProcess(101, 100, 11, "/usr/bin/ssh", "alice");
  for (std::uint64_t flow = 1; flow <= 6; ++flow) {
    Row row;
    row.flow = flow;
    row.process = flow <= 4 ? 100 : 101;
    row.remote = flow % 2 == 0 ? "198.51.100.1" : "198.51.100.2";
    row.tx = flow * 10;
    row.state = flow == 1 ? v1::FLOW_STATE_FAILED : v1::FLOW_STATE_CLOSED;
    AppendRow(row, batch.mutable_flows());
  }
  Take(MakeStored(++lsn_, batch, 10));
  AggregatePlan plan;
  plan.order = OrderBy::kBytes;
  plan.by = GroupBy::kExe;
  const AggregateResult by_exe = Ask(plan);
  ASSERT_EQ(by_exe.groups.size(), 2U);
  EXPECT_EQ(by_exe.groups[0].key, "/usr/bin/ssh");
  EXPECT_EQ(by_exe.groups[0].sum.tx_wire_bytes, 110U);
  EXPECT_EQ(by_exe.groups[1].flows, 4U);
  EXPECT_EQ(by_exe.groups[1].failed, 1U);
  EXPECT_EQ(by_exe.groups[1].destinations, 2U);
  plan.by = GroupBy::kUser;
  const AggregateResult by_user = Ask(plan);
  ASSERT_EQ(by_user.groups.size(), 1U);
  EXPECT_EQ(by_user.groups[0].key, "alice");
  EXPECT_EQ(by_user.groups[0].flows, 6U);
  plan.where.state = v1::FLOW_STATE_FAILED;
  plan.by = GroupBy::kDestination;
  ASSERT_EQ(Ask(plan).groups.size(), 1U);
  EXPECT_EQ(Ask(plan).groups[0].key, "198.51.100.2");
}

TEST_F(SqliteStoreTest, ProcessAmendmentsReplaceNonEmptyFieldsOnly) {
  v1::EvidenceBatch first, amendment;
  *first.add_processes() = MakeProcess(100, 0, 10, "/usr/bin/curl", "alice");
  first.mutable_processes(0)->clear_exe_sha256();
  Take(MakeStored(++lsn_, first, 10));
  amendment.add_processes()->set_process_id(100);
  amendment.mutable_processes(0)->set_tgid(10);
  amendment.mutable_processes(0)->set_exe_sha256(std::string(32, 'h'));
  auto* exit = amendment.add_exits();
  exit->set_process_id(100);
  exit->set_exit_boot_ns(BootAt(15));
  exit->set_wait_status(256);
  Take(MakeStored(++lsn_, amendment, 20));
  const auto found = store_->FindProcess(1, ProcessId{100});
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->start, Wall(0));
  EXPECT_EQ((*found)->definition.exe(), "/usr/bin/curl");
  EXPECT_EQ((*found)->definition.argv_size(), 2);
  EXPECT_EQ((*found)->definition.exe_sha256(), std::string(32, 'h'));
  EXPECT_EQ((*found)->exit, Wall(15));
  EXPECT_EQ((*found)->wait_status, 256);
}

TEST_F(SqliteStoreTest, ActivityOfMinutesAgreesWithActivityOfRows) {
  for (int i = 1; i <= 50; ++i) {
    v1::EvidenceBatch batch;
    Row row;
    row.flow = 1;
    row.emitted = i * 10;
    row.tx = static_cast<std::uint64_t>(i) * 1000;
    AppendRow(row, batch.mutable_flows());
    auto* counters = batch.add_counters();
    counters->set_process_id(100);
    counters->set_at_boot_ns(BootAt(i * 10));
    counters->set_tcp_attempts(static_cast<std::uint64_t>(i) * 5);
    counters->set_refused(static_cast<std::uint64_t>(i) * 2);
    Take(MakeStored(++lsn_, batch, i * 10));
  }
  const auto rows = store_->Activity({}, Wall(0), Wall(600), nullptr);
  const auto minutes = store_->Activity({}, Wall(0), Wall(660), nullptr);
  for (const auto* answer : {&rows, &minutes}) {
    ASSERT_TRUE(*answer);
    ASSERT_EQ((*answer)->size(), 1U);
    const ProcessActivity& a = (**answer)[0];
    EXPECT_EQ(a.tx_wire_bytes, 50'000U);
    EXPECT_EQ(a.flows, 1U);
    EXPECT_EQ(a.attempts, 250U);
    EXPECT_EQ(a.failed, 100U);
    EXPECT_EQ(a.destinations, 1U);
    EXPECT_EQ(a.busiest_remote.ToString(), "198.51.100.7");
  }
}

TEST_F(SqliteStoreTest, FollowerSeesEachNewFlowWithItsTotal) {
  Row row;
  row.tx = 100;
  TakeRows({row}, 10);
  std::optional<RowPosition> position;
  EXPECT_TRUE(store_->Follow(position, {}, 100)->empty());
  row.tx = 300;
  row.emitted = 20;
  TakeRows({row}, 20);
  const auto rows = store_->Follow(position, {}, 100);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ((*rows)[0].sum.tx_wire_bytes, 300U);
  EXPECT_TRUE(store_->Follow(position, {}, 100)->empty());
}

TEST_F(SqliteStoreTest, HostsKeepWhatTheyClaimAndWhatWasLost) {
  v1::EvidenceBatch batch;
  batch.set_run_id(std::string(16, 'r'));
  batch.mutable_host()->set_hostname("web-1");
  auto* loss = batch.add_losses();
  loss->set_cause(v1::LOSS_CAUSE_RING_FULL);
  loss->set_count(5);
  Take(MakeStored(++lsn_, batch, 10));
  batch.mutable_losses(0)->set_count(9);  // cumulative in a run
  loss = batch.add_losses();
  loss->set_cause(v1::LOSS_CAUSE_SPOOL_CAP);
  loss->set_count(3);
  loss->set_first_seq(7);
  loss->set_last_seq(9);
  Take(MakeStored(++lsn_, batch, 20));
  const std::vector<HostRecord> hosts = store_->Hosts();
  ASSERT_EQ(hosts.size(), 1U);
  EXPECT_EQ(hosts[0].info.hostname(), "web-1");
  EXPECT_EQ(hosts[0].lost_events, 9U);
  EXPECT_EQ(hosts[0].lost_frames, 3U);
  EXPECT_EQ(hosts[0].frames, 2U);
}

}  // namespace
}  // namespace culprit::testing
