// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <functional>
#include <set>
#include <thread>

#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using EngineTest = QueryFixture;

struct FilterCase {
  std::string name;
  std::function<void(v1::FlowFilter*)> set;
  int flows;
};
class FilterTest : public QueryFixture, public ::testing::WithParamInterface<FilterCase> {};

TEST_P(FilterTest, KeepsTheFlowsThatMatch) {
  v1::ListFlowsRequest request;
  GetParam().set(request.mutable_filter());
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->flows_size(), GetParam().flows);
}

INSTANTIATE_TEST_SUITE_P(
    All, FilterTest,
    ::testing::Values(
        FilterCase{"none", [](v1::FlowFilter*) {}, 11},
        FilterCase{"hostname", [](v1::FlowFilter* f) { f->set_host("web-1"); }, 10},
        FilterCase{"instance", [](v1::FlowFilter* f) { f->set_host("i-0web"); }, 10},
        FilterCase{"process_id", [](v1::FlowFilter* f) { f->add_process_ids("0000000000000064"); }, 6},
        FilterCase{"pid_of_two_hosts", [](v1::FlowFilter* f) { f->set_pid(1000); }, 7},
        FilterCase{"pid_of_a_host",
                   [](v1::FlowFilter* f) {
                     f->set_pid(1000);
                     f->set_host("db-1");
                   },
                   1},
        FilterCase{"exe", [](v1::FlowFilter* f) { f->set_exe("ssh"); }, 4},
        FilterCase{"no_such_exe", [](v1::FlowFilter* f) { f->set_exe("nginx"); }, 0},
        FilterCase{"sha256",
                   [](v1::FlowFilter* f) {
                     std::string hex;
                     for (int i = 0; i < 32; ++i) hex += "65";  // process 101
                     f->set_exe_sha256(hex);
                   },
                   4},
        FilterCase{"user", [](v1::FlowFilter* f) { f->set_user("bob"); }, 4},
        FilterCase{"uid", [](v1::FlowFilter* f) { f->set_user("1000"); }, 11},
        FilterCase{"remote", [](v1::FlowFilter* f) { f->set_remote("203.0.113.0/24"); }, 4},
        FilterCase{"remote_v6", [](v1::FlowFilter* f) { f->set_remote("2001:db8::/32"); }, 1},
        FilterCase{"remote_port", [](v1::FlowFilter* f) { f->set_remote_port(22); }, 4},
        FilterCase{"local_port", [](v1::FlowFilter* f) { f->set_local_port(5432); }, 1},
        FilterCase{"protocol", [](v1::FlowFilter* f) { f->set_protocol("udp"); }, 0},
        FilterCase{"direction", [](v1::FlowFilter* f) { f->set_direction("in"); }, 1},
        FilterCase{"state", [](v1::FlowFilter* f) { f->set_state("failed"); }, 1},
        FilterCase{"min_bytes", [](v1::FlowFilter* f) { f->set_min_bytes(8000); }, 3},
        FilterCase{"agent", [](v1::FlowFilter* f) { f->set_include_agent(true); }, 12},
        FilterCase{"listeners", [](v1::FlowFilter* f) { f->set_include_listeners(true); }, 12},
        FilterCase{"listen_direction", [](v1::FlowFilter* f) { f->set_direction("listen"); }, 1},
        FilterCase{"before",
                   [](v1::FlowFilter* f) { f->mutable_time()->set_to_ns(WallAt(-1)); }, 0},
        FilterCase{"after",
                   [](v1::FlowFilter* f) { f->mutable_time()->set_from_ns(WallAt(11)); }, 0}),
    [](const auto& param) { return param.param.name; });

struct BadCase {
  std::string name;
  std::function<void(v1::ListFlowsRequest*)> set;
  std::string field;
};
class BadRequestTest : public QueryFixture, public ::testing::WithParamInterface<BadCase> {};

TEST_P(BadRequestTest, IsRefusedAndTheFieldNamed) {
  v1::ListFlowsRequest request;
  GetParam().set(&request);
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find(GetParam().field), std::string::npos)
      << answer.error().message;
  EXPECT_TRUE(answer.error().code == Code::kInvalidArgument || answer.error().code == Code::kNotFound);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRequestTest,
    ::testing::Values(
        BadCase{"remote", [](auto* r) { r->mutable_filter()->set_remote("1.2.3"); }, "remote"},
        BadCase{"port", [](auto* r) { r->mutable_filter()->set_remote_port(70000); }, "remote_port"},
        BadCase{"protocol", [](auto* r) { r->mutable_filter()->set_protocol("tpc"); }, "protocol"},
        BadCase{"state", [](auto* r) { r->mutable_filter()->set_state("ope"); }, "state"},
        BadCase{"direction", [](auto* r) { r->mutable_filter()->set_direction("up"); }, "direction"},
        BadCase{"id", [](auto* r) { r->mutable_filter()->add_process_ids("xyz"); }, "process_ids"},
        BadCase{"sha", [](auto* r) { r->mutable_filter()->set_exe_sha256("ab"); }, "exe_sha256"},
        BadCase{"host", [](auto* r) { r->mutable_filter()->set_host("nope"); }, "nope"},
        BadCase{"limit", [](auto* r) { r->set_limit(10'001); }, "limit"},
        BadCase{"group", [](auto* r) { r->set_group_by("colour"); }, "group_by"},
        BadCase{"order", [](auto* r) { r->set_order_by("size"); }, "order_by"},
        BadCase{"token", [](auto* r) { r->set_page_token("zz"); }, "page_token"},
        BadCase{"time",
                [](auto* r) {
                  r->mutable_filter()->mutable_time()->set_from_ns(10);
                  r->mutable_filter()->mutable_time()->set_to_ns(5);
                },
                "time"}),
    [](const auto& param) { return param.param.name; });

TEST_F(EngineTest, WhoTalkedToAnAddressAtATimeNamesTheProcess) {
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_remote("203.0.113.9");
  request.mutable_filter()->set_remote_port(22);
  request.mutable_filter()->mutable_time()->set_from_ns(WallAt(0));
  request.mutable_filter()->mutable_time()->set_to_ns(WallAt(5));
  request.set_order_by("bytes");
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->flows_size(), 4);
  const v1::FlowRow& row = answer->flows(0);
  EXPECT_EQ(row.host(), "web-1");
  EXPECT_EQ(row.exe(), "/usr/bin/ssh");
  EXPECT_EQ(row.command_line(), "ssh --verbose");
  EXPECT_EQ(row.user(), "bob");
  EXPECT_EQ(row.pid(), 1001U);
  EXPECT_EQ(row.state(), "failed");
  EXPECT_EQ(row.error(), "ECONNREFUSED");
  EXPECT_EQ(row.tx_wire_bytes(), 5000U);  // half of the row's ten seconds
  EXPECT_EQ(row.start_ns(), WallAt(0));
}

TEST_F(EngineTest, PageTokensGoOnWhereThePageEndedAndFitTheirQuestionOnly) {
  v1::ListFlowsRequest request;
  request.set_limit(3);
  request.set_order_by("bytes");
  std::set<std::string> seen;
  for (int page = 0; page < 4; ++page) {
    const auto answer = engine_->ListFlows(request, nullptr);
    ASSERT_TRUE(answer) << answer.error().message;
    for (const v1::FlowRow& row : answer->flows()) EXPECT_TRUE(seen.insert(row.flow_id()).second);
    request.set_page_token(answer->next_page_token());
  }
  EXPECT_EQ(seen.size(), 11U);
  EXPECT_EQ(request.page_token(), "");
  request.set_page_token(engine_->ListFlows(request, nullptr)->next_page_token());
  request.set_order_by("tx");
  EXPECT_FALSE(engine_->ListFlows(request, nullptr));
}

TEST_F(EngineTest, GroupsAreLabelledForAPerson) {
  v1::ListFlowsRequest request;
  request.set_group_by("process");
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->groups_size(), 3);
  EXPECT_EQ(answer->groups(0).label(), "ssh [1001]");
  EXPECT_EQ(answer->groups(0).host(), "web-1");
  EXPECT_EQ(answer->groups(0).failed(), 1U);
  EXPECT_EQ(answer->groups(0).tx_wire_bytes(), 34'000U);
}

TEST_F(EngineTest, HostsAreOnlineThenLateThenSilent) {
  const std::vector<std::pair<double, std::string>> cases{
      {20, "online"}, {41, "late"}, {101, "silent"}};
  for (const auto& [now, state] : cases) {
    now_ = now;
    const auto answer = engine_->ListHosts({});
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->hosts_size(), 2);
    EXPECT_EQ(answer->hosts(0).state(), state);
    EXPECT_EQ(answer->hosts(0).fidelity(), "last_sender; missing sock_release");
  }
  AgentIngestStats live;
  live.agent_id.bytes.fill(1);
  live.last_received = WallTimeFromNs(WallAt(100));
  activity_.stats.agents.push_back(live);
  live.agent_id.bytes.fill(9);  // connected, nothing indexed yet
  activity_.stats.agents.push_back(live);
  const auto answer = engine_->ListHosts({});
  ASSERT_EQ(answer->hosts_size(), 3);
  EXPECT_EQ(answer->hosts(0).state(), "online");
  EXPECT_EQ(answer->hosts(1).state(), "silent");
  EXPECT_EQ(answer->hosts(2).state(), "online");
}

TEST_F(EngineTest, FollowSendsWhatIsNewAndMatches) {
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_user("alice");
  std::vector<v1::FlowRow> rows;
  std::atomic<int> polls{0};
  std::jthread follower([&] {
    EXPECT_TRUE(engine_->FollowFlows(
        request, [&] { return ++polls > 10'000; },
        [&](const v1::FlowRow& row) {
          rows.push_back(row);
          return false;
        }));
  });
  while (polls < 1) std::this_thread::yield();
  Row other, mine;
  other.flow = 500;
  other.process = 101;
  mine.flow = 501;
  mine.process = 100;
  mine.tx = 42;
  TakeRows({other, mine}, 11);
  follower.join();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].tx_wire_bytes(), 42U);
  EXPECT_EQ(rows[0].exe(), "/usr/bin/curl");
}

TEST_F(EngineTest, CancelledQueriesEnd) {
  v1::ListFlowsRequest request;
  const auto answer = engine_->ListFlows(request, [] { return true; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace culprit::testing
