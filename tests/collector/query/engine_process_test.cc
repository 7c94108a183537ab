// SPDX-License-Identifier: Apache-2.0
#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using EngineProcessTest = QueryFixture;

TEST_F(EngineProcessTest, ByIdOrByPidAndHostWithAncestryUpToPidOne) {
  v1::GetProcessRequest request;
  request.set_process("0000000000000064");
  const auto by_id = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(by_id) << by_id.error().message;
  EXPECT_EQ(by_id->process().exe(), "/usr/bin/curl");
  ASSERT_EQ(by_id->ancestors_size(), 2);
  EXPECT_EQ(by_id->ancestors(0).comm(), "bash");
  EXPECT_EQ(by_id->ancestors(1).pid(), 1U);
  EXPECT_EQ(by_id->flows_size(), 6);
  EXPECT_EQ(by_id->totals().tx_wire_bytes(), 21'000U);
  EXPECT_EQ(by_id->counters().tcp_attempts(), 6U);
  request.set_process("1000");
  EXPECT_EQ(engine_->GetProcess(request, nullptr).error().code, Code::kInvalidArgument);
  request.set_host("db-1");
  EXPECT_EQ(engine_->GetProcess(request, nullptr)->process().exe(), "/usr/sbin/server");
}

TEST_F(EngineProcessTest, APidNamesTheLastImageAlsoWhenItHasEndedAndTheReplacedOneHasNoExit) {
  v1::EvidenceBatch batch;
  v1::Process* before = batch.add_processes();
  *before = MakeProcess(900, 50, 3000, "/usr/bin/ip", "root");
  before->set_exec_id(4);
  v1::Process* last = batch.add_processes();
  *last = MakeProcess(901, 900, 3000, "/tmp/stream", "root");
  last->set_exec_id(5);
  last->set_exec_boot_ns(0);  // its exec was not seen
  v1::ProcessExit* exit = batch.add_exits();
  exit->set_process_id(901);
  exit->set_exit_boot_ns(BootAt(5));
  Take(MakeStored(++lsn_, batch, 10, 1));
  v1::GetProcessRequest request;
  request.set_process("3000");
  request.set_host("web-1");
  const auto found = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->process().exe(), "/tmp/stream");
}

TEST_F(EngineProcessTest, WithoutFlowsTheRestIsTheSame) {
  v1::GetProcessRequest request;
  request.set_process("0000000000000064");
  auto whole = engine_->GetProcess(request, nullptr);
  request.set_without_flows(true);
  const auto lean = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(whole && lean);
  EXPECT_EQ(lean->flows_size(), 0);
  EXPECT_FALSE(lean->has_totals());
  whole->clear_flows();
  whole->clear_totals();
  EXPECT_EQ(lean->SerializeAsString(), whole->SerializeAsString());
}

TEST_F(EngineProcessTest, ChildrenAreListed) {
  v1::GetProcessRequest request;
  request.set_process("500");
  request.set_host("web-1");
  const auto shell = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(shell);
  ASSERT_EQ(shell->children_size(), 2);
  EXPECT_EQ(shell->children(0).pid() + shell->children(1).pid(), 2001U);
}

TEST_F(EngineProcessTest, UnknownProcessesAndNonsenseAreToldApart) {
  v1::GetProcessRequest request;
  request.set_process("00000000000000ff");
  EXPECT_EQ(engine_->GetProcess(request, nullptr).error().code, Code::kNotFound);
  for (const char* text : {"", "xyz", "0", "-1", "99999999999"}) {
    request.set_process(text);
    EXPECT_EQ(engine_->GetProcess(request, nullptr).error().code, Code::kInvalidArgument) << text;
  }
}

TEST_F(EngineProcessTest, TopRanksProcessesAndLeavesTheAgentOut) {
  v1::TopRequest request;
  const auto top = engine_->Top(request, nullptr);
  ASSERT_TRUE(top) << top.error().message;
  ASSERT_EQ(top->rows_size(), 3);
  EXPECT_EQ(top->rows(0).process().comm(), "ssh");
  EXPECT_EQ(top->rows(0).busiest_remote(), "203.0.113.9");
  EXPECT_EQ(top->rows(0).flows(), 4U);
  request.set_order_by("attempts");
  request.set_limit(1);
  EXPECT_EQ(engine_->Top(request, nullptr)->rows(0).process().comm(), "curl");
  request.set_order_by("colour");
  EXPECT_FALSE(engine_->Top(request, nullptr));
}

TEST_F(EngineProcessTest, StatusShowsTheIndex) {
  activity_.stats.frames_rejected = 4;
  const auto status = engine_->GetStatus();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->index_lsn(), 2U);
  EXPECT_GT(status->index_bytes(), 0U);
  EXPECT_EQ(status->frames_rejected(), 4U);
}

}  // namespace
}  // namespace culprit::testing
