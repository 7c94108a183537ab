// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/flow_log_join.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

VpcFlowRow Row(const std::string& source, const std::string& destination) {
  VpcFlowRow row;
  row.source = *Endpoint::Parse(source);
  row.destination = *Endpoint::Parse(destination);
  row.protocol = 6;
  row.start_s = 1000;
  row.end_s = 1060;
  return row;
}

v1::FlowRow Flow(const std::string& process, std::uint32_t local_port, std::int64_t from_s,
                 std::int64_t to_s) {
  v1::FlowRow flow;
  flow.set_process_id(process);
  flow.set_local("10.0.0.5");
  flow.set_local_port(local_port);
  flow.set_remote("198.51.100.7");
  flow.set_remote_port(22);
  flow.set_direction("out");
  flow.set_start_ns(from_s * kSecond);
  flow.set_last_ns(to_s * kSecond);
  return flow;
}

OwnHosts Own() {
  v1::ListHostsResponse hosts;
  auto* host = hosts.add_hosts();
  host->set_agent_id("a");
  host->add_addresses("203.0.113.5");
  return OwnHosts(hosts);
}

TEST(FlowLogJoinTest, WhichEndIsOurs) {
  const OwnHosts own = Own();
  struct Case {
    VpcFlowRow row;
    const char* direction;
    const char* remote;
  };
  const Case cases[] = {
      {Row("203.0.113.5:9", "198.51.100.7:22"), "", "198.51.100.7:22"},  // a host says so
      {Row("198.51.100.7:22", "203.0.113.5:9"), "egress", "198.51.100.7:22"},
      {Row("10.0.0.5:9", "10.0.0.6:22"), "ingress", "10.0.0.5:9"},  // the log says so
      {Row("10.0.0.5:9", "10.0.0.6:22"), "egress", "10.0.0.6:22"},
      {Row("198.51.100.7:22", "10.0.0.5:9"), "", "198.51.100.7:22"},  // ours are private
      {Row("10.0.0.5:9", "198.51.100.7:22"), "", "198.51.100.7:22"},
  };
  for (const Case& tested : cases) {
    VpcFlowRow row = tested.row;
    row.direction = tested.direction;
    EXPECT_EQ(EndsOf(row, own).remote.ToString(), tested.remote)
        << row.source.ToString() << " " << row.direction;
  }
}

TEST(FlowLogJoinTest, AsksForTheRemoteEndWithinTheWindow) {
  const VpcFlowRow row = Row("10.0.0.5:40000", "198.51.100.7:22");
  const v1::ListFlowsRequest request = JoinRequest(row, EndsOf(row, Own()));
  EXPECT_EQ(request.filter().remote(), "198.51.100.7");
  EXPECT_EQ(request.filter().remote_port(), 22U);
  EXPECT_EQ(request.filter().protocol(), "tcp");
  EXPECT_EQ(request.filter().time().from_ns(), 995 * kSecond);
  EXPECT_EQ(request.filter().time().to_ns(), 1066 * kSecond);
}

TEST(FlowLogJoinTest, BothPortsGoBeforeOne) {
  const VpcFlowRow row = Row("10.0.0.5:40000", "198.51.100.7:22");
  const JoinedRow joined =
      JoinRow(row, EndsOf(row, Own()),
              {Flow("other", 40001, 1000, 1060), Flow("right", 40000, 1050, 1060)});
  EXPECT_TRUE(joined.exact);
  ASSERT_EQ(joined.flows.size(), 1U);
  EXPECT_EQ(joined.flows[0].process_id(), "right");
}

TEST(FlowLogJoinTest, BehindANatTheLongestOverlapComesFirstAndIsNotExact) {
  const VpcFlowRow row = Row("10.0.0.9:1025", "198.51.100.7:22");
  const JoinedRow joined = JoinRow(
      row, EndsOf(row, Own()), {Flow("short", 40001, 1059, 1100), Flow("long", 40000, 900, 2000)});
  EXPECT_FALSE(joined.exact);
  ASSERT_EQ(joined.flows.size(), 2U);
  EXPECT_EQ(joined.flows[0].process_id(), "long");
}

}  // namespace
}  // namespace culprit
