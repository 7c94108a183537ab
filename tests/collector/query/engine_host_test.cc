// SPDX-License-Identifier: Apache-2.0
// Health of hosts, and views of what has no process.
#include <gmock/gmock.h>

#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::Contains;

class EngineHostTest : public QueryFixture {
 protected:
  v1::HostRow Health(const std::string& host) {
    v1::ListHostsRequest request;
    request.set_host(host);
    request.set_health(true);
    const auto answer = engine_->ListHosts(request);
    EXPECT_TRUE(answer);
    EXPECT_EQ(answer->hosts_size(), 1);
    return answer->hosts(0);
  }
  void TakeForwarded() {
    v1::EvidenceBatch batch;
    Row row;
    row.flow = 90;
    row.process = 0;
    row.remote = "203.0.113.77";
    row.direction = v1::FLOW_DIRECTION_FORWARDED;
    row.flags = v1::FLOW_FLAG_LINK | v1::FLOW_FLAG_REREAD;
    row.tx = 999;
    AppendRow(row, batch.mutable_flows());
    batch.mutable_flows()->add_in_ifindex(2);
    batch.mutable_flows()->add_out_ifindex(3);
    Take(MakeStored(++lsn_, batch, 12, 1));
  }
};

TEST_F(EngineHostTest, ResidualIsTheInterfaceMinusWhatIsKnownAndMayBeNegative) {
  v1::EvidenceBatch batch;
  v1::Coverage* coverage = batch.mutable_coverage();
  coverage->set_since_boot_ns(BootAt(1));
  coverage->set_at_boot_ns(BootAt(11));
  v1::Coverage::Interface* eth = coverage->add_interfaces();
  eth->set_name("eth0");
  eth->set_ifindex(2);
  eth->set_readable(true);
  eth->mutable_tx()->set_process_bytes(700);
  eth->mutable_tx()->set_kernel_bytes(100);
  eth->mutable_tx()->set_forwarded_bytes(50);
  eth->mutable_tx()->set_unknown_bytes(25);
  eth->mutable_tx()->set_interface_bytes(1000);
  eth->mutable_rx()->set_process_bytes(INT64_MAX);
  eth->mutable_rx()->set_unknown_bytes(INT64_MAX);
  eth->mutable_rx()->set_process_packets(3);
  eth->mutable_rx()->set_interface_packets(1);
  v1::Coverage::Interface* gone = coverage->add_interfaces();
  gone->mutable_tx()->set_process_bytes(5);
  Take(MakeStored(++lsn_, batch, 12, 1));
  const v1::HostRow row = Health("web-1");
  EXPECT_EQ(row.coverage().at_ns(), WallAt(11));
  EXPECT_EQ(row.coverage().since_ns(), WallAt(1));
  ASSERT_EQ(row.coverage().interfaces_size(), 2);
  EXPECT_EQ(row.coverage().interfaces(0).tx().residual_bytes(), 125);
  EXPECT_EQ(row.coverage().interfaces(0).rx().residual_bytes(), INT64_MIN);
  EXPECT_EQ(row.coverage().interfaces(0).rx().residual_packets(), -2);
  EXPECT_EQ(row.coverage().interfaces(1).tx().residual_bytes(), 0);
  EXPECT_EQ(row.coverage().interfaces(1).tx().process_bytes(), 5U);
}

TEST_F(EngineHostTest, ProgramsCostWhatTheyUsedBetweenTheNewestHeartbeats) {
  for (const std::uint64_t beat : {1U, 2U}) {
    v1::EvidenceBatch batch;
    v1::Heartbeat* h = batch.mutable_heartbeat();
    h->set_at_boot_ns(BootAt(static_cast<double>(10 * beat)));
    h->set_agent_cpu_us(beat * 40'000);
    h->set_agent_pss_bytes(77);
    auto* cost = h->add_program_costs();
    cost->set_name("egress");
    cost->set_run_count(beat * 1000);
    cost->set_run_time_ns(beat * 90'000);
    Take(MakeStored(++lsn_, batch, 20, 1));
  }
  const v1::HostRow row = Health("i-0web");
  EXPECT_EQ(row.cost_span_ns(), 10'000'000'000U);
  EXPECT_EQ(row.cost_cpu_us(), 40'000U);
  EXPECT_EQ(row.heartbeat_ns(), WallAt(20));
  ASSERT_EQ(row.programs_size(), 1);
  EXPECT_EQ(row.programs(0).run_time_ns(), 180'000U);
  EXPECT_EQ(row.programs(0).span_run_count(), 1000U);
  EXPECT_EQ(row.programs(0).span_run_time_ns(), 90'000U);
}

TEST_F(EngineHostTest, LossesAreNamedAndMissingHooksSayWhatStandsIn) {
  v1::EvidenceBatch batch;
  batch.add_losses()->set_cause(v1::LOSS_CAUSE_PROCESS_BUDGET);
  batch.mutable_losses(0)->set_count(4);
  auto* hook = batch.mutable_fidelity()->add_hooks();
  hook->set_name("sock_send_length");
  hook->set_note("owner is the creator");
  Take(MakeStored(++lsn_, batch, 12, 1));
  const v1::HostRow row = Health("agent-1");
  ASSERT_EQ(row.losses_size(), 1);
  EXPECT_EQ(row.losses(0).cause(), "process_budget");
  EXPECT_EQ(row.losses(0).count(), 4U);
  ASSERT_EQ(row.missing_size(), 1);
  EXPECT_EQ(row.missing(0).note(), "owner is the creator");
}

TEST_F(EngineHostTest, HealthIsOnlyThereWhereItIsAskedForAndUnknownHostsAreNotFound) {
  v1::EvidenceBatch batch;
  batch.mutable_coverage();
  Take(MakeStored(++lsn_, batch, 12, 1));
  EXPECT_TRUE(Health("web-1").has_coverage());
  const auto all = engine_->ListHosts({});
  ASSERT_EQ(all->hosts_size(), 2);
  EXPECT_FALSE(all->hosts(0).has_coverage());
  v1::ListHostsRequest request;
  request.set_host("nobody");
  EXPECT_EQ(engine_->ListHosts(request).error().code, Code::kNotFound);
}

TEST_F(EngineHostTest, TheHeadIsThatOfTheStreamThatTheAgentAnnounced) {
  AgentIngestStats agent;
  agent.agent_id = Uuid::Random();
  agent.connected = true;
  v1::GetEvidenceHeadRequest request;
  request.set_agent_id(agent.agent_id.ToString());
  EXPECT_EQ(engine_->GetEvidenceHead(request).error().code, Code::kNotFound);
  activity_.stats.agents = {agent};
  EXPECT_TRUE(engine_->GetEvidenceHead(request)->stream_id().empty());
  activity_.stats.agents[0].stream_id = Uuid::Random();
  activity_.stats.agents[0].durable_evidence = 7;
  activity_.stats.agents[0].durable_bulk = 3;
  const auto head = engine_->GetEvidenceHead(request);
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->connected());
  EXPECT_EQ(head->stream_id(), activity_.stats.agents[0].stream_id.ToString());
  EXPECT_EQ(head->evidence_seq(), 7U);
  EXPECT_EQ(head->bulk_seq(), 3U);
  request.set_agent_id("web-1");
  EXPECT_EQ(engine_->GetEvidenceHead(request).error().code, Code::kInvalidArgument);
}

TEST_F(EngineHostTest, WhatPassedThroughIsShownInEveryView) {
  TakeForwarded();
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_direction("forwarded");
  const auto flows = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(flows) << flows.error().message;
  ASSERT_EQ(flows->flows_size(), 1);
  const v1::FlowRow& row = flows->flows(0);
  EXPECT_EQ(row.direction(), "forwarded");
  EXPECT_EQ(row.in_ifindex(), 2U);
  EXPECT_EQ(row.out_ifindex(), 3U);
  for (const char* flag : {"link", "reread", "forwarded"}) EXPECT_THAT(row.flags(), Contains(flag));
  request.mutable_filter()->clear_direction();
  request.mutable_filter()->set_remote("203.0.113.77");
  for (const char* by : {"process", "user", "exe"}) {
    request.set_group_by(by);
    const auto groups = engine_->ListFlows(request, nullptr);
    ASSERT_EQ(groups->groups_size(), 1) << by;
    EXPECT_EQ(groups->groups(0).label(), "(forwarded)") << by;
  }
  const auto top = engine_->Top({}, nullptr);
  EXPECT_EQ(top->rows(top->rows_size() - 2).process().process_id(), "0000000000000000");
}

TEST_F(EngineHostTest, ActivityOfAProcessIsShownWithTheTimeOfItsWindow) {
  v1::EvidenceBatch batch;
  v1::ProcessCounters* c = batch.add_counters();
  c->set_process_id(100);
  c->set_at_boot_ns(BootAt(15));
  c->set_tcp_attempts(10);
  c->set_first_contacts(9);
  c->set_first_contacts_failed(8);
  c->set_accepted_rx_wire_bytes(7);
  c->set_raw_packets(6);
  c->set_bare_syns(5);
  c->set_window_boot_ns(BootAt(10));
  c->set_window_addresses(4);
  Take(MakeStored(++lsn_, batch, 16, 1));
  v1::GetProcessRequest request;
  request.set_process("0000000000000064");
  const v1::Counters counters = engine_->GetProcess(request, nullptr)->counters();
  EXPECT_EQ(counters.first_contacts(), 9U);
  EXPECT_EQ(counters.first_contacts_failed(), 8U);
  EXPECT_EQ(counters.accepted_rx_wire_bytes(), 7U);
  EXPECT_EQ(counters.raw_packets(), 6U);
  EXPECT_EQ(counters.bare_syns(), 5U);
  EXPECT_EQ(counters.window_addresses(), 4U);
  EXPECT_EQ(counters.window_start_ns(), WallAt(10));
  EXPECT_EQ(counters.at_ns(), WallAt(15));
  v1::TopRequest top;
  top.set_order_by("crafted");
  EXPECT_EQ(engine_->Top(top, nullptr)->rows(0).crafted_packets(), 6U);
}

}  // namespace
}  // namespace culprit::testing
