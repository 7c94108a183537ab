// SPDX-License-Identifier: Apache-2.0
// `culprit flows --export` with a collector that is made up: pages, limits, files, failures.
#include "collector/cli/commands/flow_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/support/temp_dir.h"

namespace culprit::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Has `flows` of them, and fails when it is asked for the page that begins with `fails_at`.
class FakeClient : public Client {
 public:
  explicit FakeClient(std::uint32_t flows) : flows_(flows) {}

  Result<v1::ListFlowsResponse> ListFlows(const v1::ListFlowsRequest& request) override {
    limits.push_back(request.limit());
    const std::uint32_t from = request.page_token().empty()
                                   ? 0
                                   : static_cast<std::uint32_t>(std::stoul(request.page_token()));
    if (from == fails_at) return Unavailable("gone");
    const std::uint32_t to = std::min({from + request.limit(), from + page, flows_});
    v1::ListFlowsResponse answer;
    for (std::uint32_t i = from; i < to; ++i) answer.add_flows()->set_pid(i + 1);
    if (to < flows_) answer.set_next_page_token(std::to_string(to));
    return answer;
  }
  Result<v1::ListHostsResponse> ListHosts(const v1::ListHostsRequest& /*request*/) override {
    return v1::ListHostsResponse();
  }
  Status FollowFlows(const v1::ListFlowsRequest& /*request*/,
                     const std::function<bool(const v1::FlowRow&)>& /*visit*/) override {
    return Ok();
  }
  Result<v1::ListDnsResponse> ListDns(const v1::ListDnsRequest& /*request*/) override {
    return v1::ListDnsResponse();
  }
  Result<v1::GetProcessResponse> GetProcess(const v1::GetProcessRequest& /*request*/) override {
    return v1::GetProcessResponse();
  }
  Result<v1::TopResponse> Top(const v1::TopRequest& /*request*/) override {
    return v1::TopResponse();
  }
  Result<v1::GetStatusResponse> GetStatus() override { return v1::GetStatusResponse(); }
  Result<v1::GetPostureResponse> GetPosture(const v1::GetPostureRequest& /*request*/) override {
    return v1::GetPostureResponse();
  }
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& /*request*/) override {
    return v1::ListKeysResponse();
  }
  Result<v1::Snapshot> TakeSnapshot(const v1::TakeSnapshotRequest& /*request*/) override {
    return v1::Snapshot();
  }
  Result<v1::Snapshot> GetSnapshot(const std::string& /*id*/) override { return v1::Snapshot(); }
  Status WatchSnapshot(const std::string& /*id*/,
                       const std::function<bool(const v1::Snapshot&)>& /*visit*/) override {
    return Ok();
  }
  Result<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& /*request*/) override {
    return v1::ListSnapshotsResponse();
  }
  Result<v1::Snapshot> RemoveSnapshot(const std::string& /*id*/) override { return v1::Snapshot(); }
  std::unique_ptr<SnapshotStream> ReadSnapshot(const std::string& /*id*/) override {
    return nullptr;
  }
  Result<v1::EvidenceHead> GetEvidenceHead(const std::string& /*agent_id*/) override {
    return v1::EvidenceHead();
  }
  Status FetchPackets(
      const v1::FetchPacketsRequest& /*request*/,
      const std::function<Status(const v1::FetchPacketsResponse&)>& /*visit*/) override {
    return Ok();
  }
  Result<v1::WhereResponse> Where(const v1::WhereRequest& /*request*/) override {
    return v1::WhereResponse();
  }
  Result<v1::ListFindingsResponse> ListFindings(
      const v1::ListFindingsRequest& /*request*/) override {
    return v1::ListFindingsResponse();
  }
  Status FollowFindings(const v1::ListFindingsRequest& /*request*/,
                        const std::function<bool(const v1::Finding&)>& /*visit*/) override {
    return Ok();
  }
  Result<v1::Finding> SetFindingState(const v1::SetFindingStateRequest& /*request*/) override {
    return v1::Finding();
  }
  Result<v1::ListAlertTargetsResponse> ListAlertTargets() override {
    return v1::ListAlertTargetsResponse();
  }
  Result<v1::TestAlertsResponse> TestAlerts(const v1::TestAlertsRequest& /*request*/) override {
    return v1::TestAlertsResponse();
  }
  Result<v1::ListLoginsResponse> ListLogins(const v1::ListLoginsRequest& /*request*/) override {
    return v1::ListLoginsResponse();
  }
  Result<v1::ListAuditResponse> ListAudit(const v1::ListAuditRequest& /*request*/) override {
    return v1::ListAuditResponse();
  }
  Result<v1::GetSessionResponse> GetSession(const v1::GetSessionRequest& /*request*/) override {
    return v1::GetSessionResponse();
  }
  void Cancel() override {}

  std::uint32_t fails_at = ~0U, page = 10'000;
  std::vector<std::uint32_t> limits;

 private:
  const std::uint32_t flows_;
};

class FlowExportTest : public testing::Test {
 protected:
  int Run(FakeClient* client, const std::string& form, std::uint32_t limit) {
    return RunExport(session_, *client, {form, file_}, {}, limit);
  }
  std::vector<std::string> Lines() const {
    std::ifstream in(file_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  TempDir directory_;
  std::string file_ = directory_.path() + "/flows";
  Session session_{GlobalOptions{}};
};

TEST_F(FlowExportTest, WithoutALimitEveryPageIsWrittenOnceInOrder) {
  FakeClient client(25'001);
  EXPECT_EQ(Run(&client, "json", 0), kExitOk);
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 25'001U);
  EXPECT_THAT(lines.front(), HasSubstr("\"pid\":1,"));
  EXPECT_THAT(lines[10'000], HasSubstr("\"pid\":10001,"));
  EXPECT_THAT(lines.back(), HasSubstr("\"pid\":25001,"));
}

TEST_F(FlowExportTest, ALimitIsKeptOverPages) {
  FakeClient client(100);
  client.page = 4;  // a collector may give less than it was asked for
  EXPECT_EQ(Run(&client, "json", 10), kExitOk);
  EXPECT_EQ(Lines().size(), 10U);
  EXPECT_THAT(client.limits, ElementsAre(10, 6, 2));
}

TEST_F(FlowExportTest, HeaderAndFooterStandOnceAroundAllPages) {
  FakeClient client(25);
  client.page = 10;
  EXPECT_EQ(Run(&client, "zeek", 0), kExitOk);
  const auto lines = Lines();
  const auto begins = [&](const char* with) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const std::string& line) { return line.starts_with(with); });
  };
  EXPECT_EQ(begins("#fields"), 1);
  EXPECT_EQ(begins("#close"), 1);
  EXPECT_EQ(begins("#"), 8 + 1);
  EXPECT_EQ(lines.size(), 25U + 9U);
  EXPECT_TRUE(lines.back().starts_with("#close"));
}

TEST_F(FlowExportTest, NoFlowIsAnEmptyLogAndItsOwnExitCode) {
  FakeClient client(0);
  EXPECT_EQ(Run(&client, "csv", 0), kExitNoMatch);
  EXPECT_EQ(Lines().size(), 1U);
}

TEST_F(FlowExportTest, WhatWasWrittenBeforeAFailureStaysWithoutAFooter) {
  FakeClient client(30);
  client.page = 10;
  client.fails_at = 20;
  EXPECT_EQ(Run(&client, "zeek", 0), kExitNoConnection);
  EXPECT_EQ(Lines().size(), 8U + 20U);
}

TEST_F(FlowExportTest, AFailedQuestionLeavesTheFileAsItWas) {
  std::ofstream(file_) << "before\n";
  FakeClient client(30);
  client.fails_at = 0;
  EXPECT_EQ(Run(&client, "csv", 0), kExitNoConnection);
  EXPECT_THAT(Lines(), ElementsAre("before"));
}

TEST_F(FlowExportTest, AFileThatCannotBeWrittenIsAFailureOfThisRun) {
  file_ = directory_.path() + "/none/flows";
  FakeClient client(1);
  EXPECT_EQ(Run(&client, "csv", 0), kExitFailed);
  file_ = "/dev/full";
  EXPECT_EQ(Run(&client, "csv", 0), kExitFailed);
}

}  // namespace
}  // namespace culprit::cli
