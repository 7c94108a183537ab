// SPDX-License-Identifier: Apache-2.0
// What an operator's request for packets becomes, and what of an agent that comes and goes.
#include "collector/query/packet_fetch.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "common/crc32c.h"
#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;

// Has a file for every question; the answers of `faults` come first, one a question.
class FakeAgent final : public AgentControl {
 public:
  bool IsConnected(const Uuid&) const override { return connected; }
  Status AskForPackets(const Uuid& agent_id, const v1::PacketRequest& request, const TakePart& take,
                       const IsCancelled&) override {
    asked.push_back(request);
    agent = agent_id;
    const std::uint64_t end = std::min<std::uint64_t>(request.offset() + window, file.size());
    v1::PacketPart part;
    part.set_offset(request.offset());
    part.set_data(file.substr(request.offset(), end - request.offset()));
    part.set_crc32c(Crc32c(part.data()));
    part.set_window_end(true);
    if (!faults.empty()) {
      const Code fault = faults.front();
      faults.erase(faults.begin());
      part.set_window_end(false);
      if (fault == Code::kUnavailable) take(std::move(part));  // and then the connection breaks
      return MakeError(fault, "a fault");
    }
    if (end == file.size()) part.mutable_totals()->set_packets(3);
    return take(std::move(part)) ? Ok() : Status(MakeError(Code::kCancelled, "no more is wanted"));
  }
  void ReleasePackets(const Uuid&, const std::string& fetch_id) override { released = fetch_id; }
  Status AskForSnapshot(const Uuid&, const v1::SnapshotRequest&, const TakeSnapshotPart&,
                        const IsCancelled&) override {
    return Unavailable("it takes no snapshots");
  }
  void ReleaseSnapshot(const Uuid&, const std::string&) override {}

  std::string file = "the whole of a capture";
  std::size_t window = 5;
  bool connected = true;
  std::vector<Code> faults;
  std::vector<v1::PacketRequest> asked;
  Uuid agent;
  std::string released;
};

class PacketFetchTest : public QueryFixture {
 protected:
  void SetUp() override {
    QueryFixture::SetUp();
    fetcher_ = std::make_unique<PacketFetcher>(PacketFetchDeps{
        *store_, &agent_, &activity_, [this] { return WallTimeFromNs(WallAt(now_)); },
        std::chrono::milliseconds(0)});
    request_.set_host("web-1");
  }
  Status Fetch() {
    return fetcher_->Fetch(request_, "op", nullptr, [this](const v1::FetchPacketsResponse& said) {
      if (said.has_start()) start_ = said.start();
      if (said.has_chunk()) got_ += said.chunk().data();
      if (said.has_end()) end_ = said.end();
      waited_ |= said.has_waiting();
      return static_cast<int>(got_.size()) < gone_at_;
    });
  }
  Error Refusal() {
    const Status status = Fetch();
    EXPECT_FALSE(status);
    return status ? Error{} : status.error();
  }

  FakeAgent agent_;
  std::unique_ptr<PacketFetcher> fetcher_;
  v1::FetchPacketsRequest request_;
  v1::FetchPacketsStart start_;
  v1::FetchPacketsEnd end_;
  std::string got_;
  bool waited_ = false;
  int gone_at_ = 1'000'000;
};

TEST_F(PacketFetchTest, AsksWindowByWindowWithWhatItHas) {
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(got_, agent_.file);
  EXPECT_EQ(end_.packets(), 3U);
  ASSERT_EQ(agent_.asked.size(), 5U);
  std::string before;
  for (const v1::PacketRequest& question : agent_.asked) {
    EXPECT_EQ(question.offset(), before.size());
    EXPECT_EQ(question.prefix_crc32c(), Crc32c(before));
    EXPECT_EQ(question.fetch_id(), start_.resume().fetch_id());
    before = agent_.file.substr(0, before.size() + agent_.window);
  }
  EXPECT_EQ(agent_.released, start_.resume().fetch_id());
  EXPECT_EQ(agent_.agent.ToString(), start_.agent_id());
}

TEST_F(PacketFetchTest, TheSelectionIsWhatTheCollectorKnows) {
  request_.set_pid(1000);
  request_.add_process_ids("0000000000000065");
  request_.add_flow_ids("0000000000000007");
  request_.set_remote("203.0.113.9");
  request_.set_remote_port(22);
  request_.set_max_bytes(5000);
  ASSERT_TRUE(Fetch());
  const v1::PacketSelection& selection = agent_.asked.at(0).selection();
  ASSERT_EQ(selection.process_ids_size(), 2);
  EXPECT_EQ(selection.process_ids(0), 100U);
  EXPECT_EQ(selection.process_ids(1), 101U);
  EXPECT_EQ(selection.flow_ids(0), 7U);
  EXPECT_EQ(selection.address().size(), 16U);
  EXPECT_EQ(selection.port(), 22U);
  EXPECT_EQ(selection.max_bytes(), 5000U);
  EXPECT_GT(selection.to_ns(), WallAt(now_));
}

TEST_F(PacketFetchTest, WhatGoesOnAsksForTheSame) {
  request_.set_pid(1000);
  ASSERT_TRUE(Fetch());
  const v1::PacketRequest first = agent_.asked.at(0);
  agent_.asked.clear();
  now_ = 500;
  request_ = start_.resume();
  request_.set_offset(7);
  request_.set_prefix_crc32c(9);
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(agent_.asked.at(0).selection().SerializeAsString(),
            first.selection().SerializeAsString());
  EXPECT_EQ(agent_.asked.at(0).fetch_id(), first.fetch_id());
  EXPECT_EQ(agent_.asked.at(0).offset(), 7U);
  EXPECT_EQ(agent_.asked.at(0).prefix_crc32c(), 9U);
}

TEST_F(PacketFetchTest, TheHostFollowsFromTheProcessOrTheFlow) {
  request_.clear_host();
  request_.add_process_ids("00000000000000c8");
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(start_.host(), "db-1");
  request_.clear_process_ids();
  request_.add_flow_ids("0000000000000003");
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(start_.host(), "web-1");
  request_.clear_flow_ids();
  request_.set_remote("203.0.113.9");
  EXPECT_EQ(Refusal().code, Code::kInvalidArgument);
}

TEST_F(PacketFetchTest, AnAgentThatComesBackIsAskedToGoOn) {
  agent_.faults = {Code::kUnavailable, Code::kUnavailable};
  fetcher_ = std::make_unique<PacketFetcher>(PacketFetchDeps{
      *store_, &agent_, &activity_, [this] { return WallTimeFromNs(WallAt(now_)); }});
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(got_, agent_.file);
  EXPECT_TRUE(waited_);
}

TEST_F(PacketFetchTest, AnAgentThatStaysAwayEndsTheFetchWithAWayOn) {
  agent_.faults = {Code::kUnavailable};
  const Error error = Refusal();
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("--resume"));
  EXPECT_EQ(agent_.released, "");
}

TEST_F(PacketFetchTest, RefusalsSayWhy) {
  const struct {
    const char* what;
    std::function<void(v1::FetchPacketsRequest*)> change;
    Code code;
    const char* says;
  } cases[] = {
      {"host", [](auto* r) { r->set_host("nobody"); }, Code::kNotFound, "nobody"},
      {"process", [](auto* r) { r->add_process_ids("00000000000000c8"); }, Code::kNotFound,
       "is not known on web-1"},
      {"hex", [](auto* r) { r->add_flow_ids("xyz"); }, Code::kInvalidArgument, "flow"},
      {"pid", [](auto* r) { r->set_pid(4); }, Code::kNotFound, "pid 4"},
      {"address", [](auto* r) { r->set_remote("10.0.0.0/8"); }, Code::kInvalidArgument, "address"},
      {"port", [](auto* r) { r->set_remote_port(70'000); }, Code::kInvalidArgument, "port"},
      {"bound", [](auto* r) { r->set_max_bytes(100); }, Code::kInvalidArgument, "max_bytes"},
      {"time", [](auto* r) { r->set_from_ns(9), r->set_to_ns(8); }, Code::kInvalidArgument, "time"},
      {"fetch", [](auto* r) { r->set_fetch_id("x"); }, Code::kInvalidArgument, "fetch_id"},
      {"many",
       [](auto* r) {
         for (int i = 0; i < 65; ++i) r->add_flow_ids("0000000000000003");
       },
       Code::kInvalidArgument, "at most 64"},
  };
  for (const auto& c : cases) {
    const v1::FetchPacketsRequest before = request_;
    c.change(&request_);
    const Error error = Refusal();
    EXPECT_EQ(error.code, c.code) << c.what;
    EXPECT_THAT(error.message, HasSubstr(c.says)) << c.what;
    request_ = before;
  }
  EXPECT_TRUE(agent_.asked.empty());
  agent_.faults = {Code::kDeadlineExceeded};
  EXPECT_THAT(Refusal().message, HasSubstr("older"));
  agent_.connected = false;
  EXPECT_THAT(Refusal().message, HasSubstr("is not connected"));
}

TEST_F(PacketFetchTest, WithoutAReaderNoMoreIsAskedFor) {
  gone_at_ = 8;
  EXPECT_EQ(Refusal().code, Code::kCancelled);
  EXPECT_EQ(agent_.asked.size(), 2U);
  EXPECT_EQ(agent_.released, "") << "somebody may go on with it";
}

}  // namespace
}  // namespace culprit::testing
