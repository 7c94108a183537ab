// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <map>
#include <string>

#include "tests/collector/query/query_fixture.h"
#include "tests/collector/store/login_builder.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;

constexpr std::uint32_t kNone = 0xffffffff;

// web-1: sshd 300 let alice in as session 310: sshd 310 (root), its child 311 that serves, bash
// 312, curl 313, and 314 whose parents are not known but whose audit session is.
class EngineLoginTest : public QueryFixture {
 protected:
  void SetUp() override {
    QueryFixture::SetUp();
    v1::EvidenceBatch batch;
    Add(&batch, 300, 1, "/usr/sbin/sshd", kNone);
    Add(&batch, 310, 300, "/usr/sbin/sshd", kNone);
    Add(&batch, 311, 310, "/usr/sbin/sshd", 11);
    Add(&batch, 312, 311, "/bin/bash", 11);
    Add(&batch, 313, 312, "/usr/bin/curl", 11);
    Add(&batch, 314, 9'999, "/usr/bin/nc", 11);
    Add(&batch, 320, 1, "/usr/sbin/cron", kNone);
    AddLogin(&batch, {.session = 310, .at = 3, .serving = 311, .flow = 900});
    Flow(&batch, 900, 310, v1::FLOW_DIRECTION_INBOUND, "203.0.113.5", 22, 50'000);
    Flow(&batch, 901, 311, v1::FLOW_DIRECTION_OUTBOUND, "198.51.100.80", 40'001, 80, 700);
    Flow(&batch, 902, 313, v1::FLOW_DIRECTION_OUTBOUND, "198.51.100.81", 40'002, 443, 5'000);
    Flow(&batch, 903, 314, v1::FLOW_DIRECTION_OUTBOUND, "198.51.100.82", 40'003, 443, 60);
    Flow(&batch, 904, 320, v1::FLOW_DIRECTION_OUTBOUND, "198.51.100.83", 40'004, 443, 1);
    Take(MakeStored(++lsn_, batch, 12, 1));
  }
  static void Add(v1::EvidenceBatch* batch, std::uint64_t id, std::uint64_t parent,
                  const std::string& exe, std::uint32_t audit) {
    v1::Process process =
        MakeProcess(id, parent, static_cast<std::uint32_t>(id) * 10, exe, "alice");
    process.set_session_id(audit);
    *batch->add_processes() = process;
  }
  static void Flow(v1::EvidenceBatch* batch, std::uint64_t id, std::uint64_t process,
                   v1::FlowDirection direction, const std::string& remote, std::uint32_t local_port,
                   std::uint32_t remote_port, std::uint64_t tx = 10'000) {
    Row row;
    row.flow = id;
    row.process = process;
    row.direction = direction;
    row.remote = remote;
    row.local_port = local_port;
    row.remote_port = remote_port;
    row.tx = tx;
    row.start = 4;
    AppendRow(row, batch->mutable_flows());
  }
  v1::GetSessionResponse Session(const std::string& id) {
    v1::GetSessionRequest request;
    request.set_session(id);
    auto answer = engine_->GetSession(request, nullptr);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? *answer : v1::GetSessionResponse();
  }
};

TEST_F(EngineLoginTest, ListsALoginWithItsSession) {
  const auto answer = engine_->ListLogins(v1::ListLoginsRequest());
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->logins_size(), 1);
  const v1::LoginRow& row = answer->logins(0);
  EXPECT_EQ(row.host(), "web-1");
  EXPECT_EQ(row.session_id(), "0000000000000136");
  EXPECT_EQ(row.kind(), "ssh");
  EXPECT_EQ(row.user(), "alice");
  EXPECT_EQ(row.address(), "203.0.113.5");
  EXPECT_EQ(row.key_fingerprint(), kLoginKey);
  EXPECT_EQ(row.failures_before(), 2U);
  EXPECT_EQ(row.links(0).confidence(), "medium");
  EXPECT_TRUE(row.logged());
}

TEST_F(EngineLoginTest, ASessionHasItsProcessesAndWhatTheySent) {
  const v1::GetSessionResponse answer = Session("0000000000000136");
  std::map<std::string, std::string> by;
  for (const auto& member : answer.processes()) by[member.process().exe()] = member.by();
  EXPECT_EQ(by, (std::map<std::string, std::string>{{"/usr/sbin/sshd", by["/usr/sbin/sshd"]},
                                                    {"/bin/bash", "descent and audit session"},
                                                    {"/usr/bin/curl", "descent and audit session"},
                                                    {"/usr/bin/nc", "audit session"}}));
  EXPECT_EQ(answer.processes_size(), 5);
  EXPECT_EQ(answer.connection().remote(), "203.0.113.5");
  EXPECT_EQ(answer.totals().tx_wire_bytes(), 5'760U);
  EXPECT_EQ(answer.totals().flows(), 3U);
  std::vector<std::string> remotes;
  for (const v1::FlowRow& flow : answer.flows()) remotes.push_back(flow.remote());
  EXPECT_THAT(remotes, ElementsAre("198.51.100.81", "198.51.100.80", "198.51.100.82"));
  EXPECT_EQ(answer.destinations_size(), 3);
  EXPECT_FALSE(answer.cut());
}

TEST_F(EngineLoginTest, FlowsShowTheirLoginAndWhatSshdMadeForItsClient) {
  const auto answer = engine_->ListFlows(v1::ListFlowsRequest(), nullptr);
  ASSERT_TRUE(answer);
  std::map<std::uint32_t, v1::FlowRow> by_port;
  for (const v1::FlowRow& flow : answer->flows()) by_port[flow.local_port()] = flow;
  for (const std::uint32_t port : {22U, 40'001U, 40'002U, 40'003U}) {
    EXPECT_EQ(by_port[port].session_id(), "0000000000000136") << port;
    EXPECT_EQ(by_port[port].session_address(), "203.0.113.5") << port;
    EXPECT_EQ(by_port[port].key_fingerprint(), kLoginKey) << port;
    EXPECT_EQ(by_port[port].session_user(), "alice") << port;
    EXPECT_EQ(by_port[port].forwarded_by_session(), port == 40'001U) << port;
  }
  EXPECT_TRUE(by_port[40'004].session_id().empty());
}

TEST_F(EngineLoginTest, AProcessShowsItsLogin) {
  v1::GetProcessRequest request;
  request.set_process("0000000000000139");  // 313
  const auto answer = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->process().login_session_id(), "0000000000000136");
  EXPECT_EQ(answer->process().key_fingerprint(), kLoginKey);
  EXPECT_EQ(answer->process().session_address(), "203.0.113.5");
  EXPECT_EQ(answer->process().session_kind(), "ssh");
}

// Somebody logged in starts a daemon of his own; who comes in by it is another session.
TEST_F(EngineLoginTest, ASessionWithinASessionIsNotPartOfIt) {
  v1::EvidenceBatch batch;
  Add(&batch, 400, 312, "/usr/sbin/sshd", 11);
  Add(&batch, 410, 400, "/usr/sbin/sshd", 11);
  Add(&batch, 411, 410, "/usr/sbin/sshd", 12);
  Add(&batch, 412, 411, "/bin/bash", 12);
  AddLogin(
      &batch,
      {.session = 410, .at = 13, .user = "bob", .key = "", .audit = 12, .serving = 411, .flow = 0});
  Take(MakeStored(++lsn_, batch, 14, 1));
  const auto has = [](const v1::GetSessionResponse& answer, std::uint32_t pid) {
    for (const auto& member : answer.processes()) {
      if (member.process().pid() == pid) return true;
    }
    return false;
  };
  const auto outer = Session("0000000000000136"), inner = Session("000000000000019a");
  EXPECT_TRUE(has(outer, 4'000));
  EXPECT_FALSE(has(outer, 4'100));
  EXPECT_FALSE(has(outer, 4'120));
  EXPECT_TRUE(has(inner, 4'120));
  v1::GetProcessRequest request;
  request.set_process("000000000000019c");
  const auto process = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->process().login_session_id(), "000000000000019a");
}

TEST_F(EngineLoginTest, SaysWhatIsWrongWithAQuestion) {
  v1::ListLoginsRequest request;
  request.set_key_fingerprint("nonsense");
  EXPECT_EQ(engine_->ListLogins(request).error().code, Code::kInvalidArgument);
  request.Clear();
  request.set_from_address("300.1.1.1");
  EXPECT_EQ(engine_->ListLogins(request).error().code, Code::kInvalidArgument);
  request.Clear();
  request.set_limit(100'000);
  EXPECT_EQ(engine_->ListLogins(request).error().code, Code::kInvalidArgument);
  v1::GetSessionRequest session;
  session.set_session("xyz");
  EXPECT_EQ(engine_->GetSession(session, nullptr).error().code, Code::kInvalidArgument);
  session.set_session("00000000000000ff");
  EXPECT_EQ(engine_->GetSession(session, nullptr).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace culprit::testing
