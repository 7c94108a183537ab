// SPDX-License-Identifier: Apache-2.0
// The whole way from spool to journal over loopback TLS, with the real sender process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <fstream>
#include <future>
#include <random>
#include <thread>

#include "agent/spool/spool.h"
#include "agent/stream/sender_link.h"
#include "common/crc32c.h"
#include "tests/collector/ingest/collector_fixture.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using SteadyClock = std::chrono::steady_clock;

class DeliveryTest : public ::testing::Test {
 protected:
  DeliveryTest() : collector_(root_) {
    // The sender is another user: it must be able to look into the directory, not into the keys.
    std::filesystem::permissions(root_.path(), std::filesystem::perms(0711));
  }

  void OpenSpool(std::uint64_t max_bytes = 256ULL << 20) {
    SpoolOptions options;
    options.directory = root_ / "spool";
    options.segment_bytes = 64 << 10;
    options.max_bytes = max_bytes;
    auto opened = Spool::Open(options);
    ASSERT_TRUE(opened) << opened.error().message;
    spool_ = std::move(*opened);
  }
  SenderOptions Options(const CredentialPaths& paths) const {
    SenderOptions options;
    options.program = CULPRIT_SENDER_PROGRAM;
    options.collector = collector_.address();
    options.ca_path = paths.ca;
    options.certificate_path = paths.certificate;
    options.key_path = paths.key;
    options.boot_id = options.run_id = Uuid::Random();
    options.agent_version = "0.1.0";
    return options;
  }
  void StartLink(const SenderOptions& options) {
    auto started = SenderLink::Start(options, spool_.get());
    ASSERT_TRUE(started) << started.error().message;
    link_ = std::move(*started);
  }
  void Append(Lane lane) {
    const auto header =
        spool_->Append(lane, FrameKind::kBatch, ReadClockPair(), 1, SomeBatch(appended_++));
    ASSERT_TRUE(header) << header.error().message;
  }
  void PumpOnce() {
    pollfd p{link_->poll_fd(), POLLIN, 0};
    poll(&p, 1, 5);
    const Status status = link_->Pump();
    ASSERT_TRUE(status) << status.error().message;
  }
  // Works the link until `done`, at most for a minute.
  template <class Done>
  ::testing::AssertionResult PumpUntil(Done&& done) {
    const auto deadline = SteadyClock::now() + seconds(60);
    while (!done()) {
      if (SteadyClock::now() > deadline) {
        return ::testing::AssertionFailure()
               << "not within a minute; " << link_->status().last_error;
      }
      PumpOnce();
    }
    return ::testing::AssertionSuccess();
  }
  bool AllAcked() const {
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      if (spool_->lane(lane).acked_seq != spool_->lane(lane).newest_seq) return false;
    }
    return true;
  }
  void ExpectExactlyOnce() {
    const auto journalled = collector_.Journalled();
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      for (std::uint64_t seq = 1; seq <= spool_->lane(lane).newest_seq; ++seq) {
        const auto at =
            journalled.find({spool_->stream_id().ToString(), static_cast<int>(lane), seq});
        ASSERT_NE(at, journalled.end()) << "lane " << static_cast<int>(lane) << " seq " << seq;
        ASSERT_EQ(at->second, 1) << "lane " << static_cast<int>(lane) << " seq " << seq;
      }
    }
  }

  TemporaryDirectory root_;
  Collector collector_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<SenderLink> link_;
  std::uint64_t appended_ = 0;
};

TEST_F(DeliveryTest, QuestionsReachTheSensorAndTheirAnswersWhoAsked) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  ASSERT_TRUE(PumpUntil([&] { return link_->status().connected; }));
  v1::PacketRequest request;
  request.set_fetch_id(std::string(16, 'f'));
  request.set_window_bytes(1U << 20);
  request.mutable_selection()->set_to_ns(7);
  request.mutable_selection()->add_process_ids(11);
  std::string got;
  auto asked = std::async(std::launch::async, [&] {
    return collector_.ingest()->control().AskForPackets(collector_.StatsOf("web").agent_id, request,
                                                        [&](v1::PacketPart&& part) {
                                                          got += part.data();
                                                          return true;
                                                        },
                                                        {});
  });
  std::vector<ControlQuestion> questions;
  ASSERT_TRUE(PumpUntil([&] { return !(questions = link_->TakeRequests()).empty(); }));
  ASSERT_EQ(questions.size(), 1U);
  const auto& question = std::get<PacketFetch>(questions[0]);
  EXPECT_EQ(question.to_ns, 7);
  EXPECT_EQ(question.processes, std::vector<ProcessId>{ProcessId{11}});
  ControlAnswer answer;
  answer.request_id = question.request_id;
  std::string want;
  for (char c = 'a'; c <= 'c'; ++c) {  // each more than a datagram of the link holds
    answer.offset = want.size();
    answer.data.assign(kMaxFetchPart, c);
    answer.crc32c = Crc32c(answer.data);
    want += answer.data;
    if (c == 'c') {
      answer.window_end = true;
      answer.totals.emplace().packets = 3;
    }
    link_->Answer(answer);
  }
  ASSERT_TRUE(PumpUntil([&] { return asked.wait_for(seconds(0)) == std::future_status::ready; }));
  const Status status = asked.get();
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(got, want);
}

TEST_F(DeliveryTest, TenThousandFramesArriveOnceAndInOrder) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  for (int i = 0; i < 10'000; ++i) {
    Append(i % 5 == 0 ? Lane::kEvidence : Lane::kBulk);
    if (i % 50 == 0) PumpOnce();
  }
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  ExpectExactlyOnce();
  const AgentIngestStats stats = collector_.StatsOf("web");
  EXPECT_EQ(stats.frames, 10'000U);
  EXPECT_EQ(stats.records, 10'000U);
  EXPECT_EQ(stats.gaps + stats.forks + stats.rollbacks + stats.rejected_frames, 0U);
  EXPECT_TRUE(link_->status().connected);
}

TEST_F(DeliveryTest, SenderKilledAndCollectorRestartedAtRandomLoseAndRepeatNothing) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  std::mt19937 random(7);
  int kills = 0, restarts = 0;
  for (int i = 0; i < 4'000; ++i) {
    Append(i % 5 == 0 ? Lane::kEvidence : Lane::kBulk);
    if (i % 10 == 0) PumpOnce();
    const int pid = link_->status().pid;
    if (random() % 300 == 0 && pid > 0) {
      kill(pid, SIGKILL);
      ++kills;
      ASSERT_TRUE(PumpUntil([this] { return link_->status().connected; }));
    }
    if (i % 1500 == 1499) {
      collector_.Stop();
      collector_.Start();
      ++restarts;
    }
  }
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  EXPECT_GT(kills, 5);
  EXPECT_EQ(restarts, 2);
  ExpectExactlyOnce();
  EXPECT_EQ(collector_.StatsOf("web").forks, 0U);
  EXPECT_EQ(collector_.StatsOf("web").gaps, 0U);
}

TEST_F(DeliveryTest, StopDrainsTheSpoolAndEndsTheSender) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  for (int i = 0; i < 500; ++i) Append(Lane::kBulk);
  ASSERT_TRUE(PumpUntil([this] { return link_->status().connected; }));
  link_->Stop(seconds(20));
  EXPECT_TRUE(AllAcked());
  EXPECT_EQ(link_->status().pid, -1);
}

TEST_F(DeliveryTest, SpoolThatLostItsTailStartsANewStreamAndLosesNothingOfWhatItHas) {
  collector_.Start();
  OpenSpool();
  const SenderOptions options = Options(collector_.Agent("web"));
  for (int i = 0; i < 20; ++i) Append(Lane::kEvidence);
  // Power cut: the disk has the first 20 frames, the collector more.
  std::filesystem::copy(root_ / "spool", root_ / "saved", std::filesystem::copy_options::recursive);
  for (int i = 0; i < 20; ++i) Append(Lane::kEvidence);
  StartLink(options);
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  link_->Stop(seconds(5));
  spool_.reset();
  std::filesystem::remove_all(root_ / "spool");
  std::filesystem::rename(root_ / "saved", root_ / "spool");
  OpenSpool();
  const Uuid before = spool_->stream_id();
  for (int i = 0; i < 30; ++i)
    Append(Lane::kEvidence);  // other frames under numbers that are taken
  StartLink(options);
  ASSERT_TRUE(PumpUntil([this, &before] { return spool_->stream_id() != before && AllAcked(); }));
  EXPECT_EQ(spool_->stream_reason(), "tail_lost");
  ExpectExactlyOnce();
  EXPECT_GE(spool_->lane(Lane::kEvidence).newest_seq, 30U);
  EXPECT_EQ(collector_.StatsOf("web").forks, 0U);
}

// A reader that holds the removed file must come to what is written after it.
TEST_F(DeliveryTest, SpoolThatIsRemovedUnderTheSenderGoesOnInTheSameStream) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  for (int i = 0; i < 50; ++i) Append(i % 2 == 0 ? Lane::kEvidence : Lane::kBulk);
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  const Uuid stream = spool_->stream_id();
  for (int round = 0; round < 5; ++round) {
    Append(Lane::kEvidence);
    std::filesystem::remove_all(root_ / "spool");
    Append(Lane::kBulk);
    Append(Lane::kEvidence);
    const Status restored = spool_->RestoreRemoved();
    ASSERT_TRUE(restored) << restored.error().message;
    Append(Lane::kBulk);
    ASSERT_TRUE(PumpUntil([this] { return AllAcked(); })) << round;
  }
  EXPECT_EQ(spool_->stream_id(), stream);
  EXPECT_GE(spool_->files_removed(), 10U);
  EXPECT_TRUE(spool_->TakeLosses().empty());
  ExpectExactlyOnce();
  EXPECT_EQ(collector_.StatsOf("web").gaps, 0U);
}

TEST_F(DeliveryTest, FrameThatTheCollectorRefusesIsGivenUpAfterThreeTriesAndTheRestGoesOn) {
  collector_.Start();
  OpenSpool();
  Append(Lane::kEvidence);
  ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kBatch, ReadClockPair(), 1,
                             "this is no protobuf message"));
  Append(Lane::kEvidence);
  StartLink(Options(collector_.Agent("web")));
  std::vector<SpoolLoss> lost;
  ASSERT_TRUE(PumpUntil([&] {
    for (SpoolLoss& loss : link_->TakeQuarantined()) lost.push_back(std::move(loss));
    return AllAcked();
  }));
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].first_seq, 2U);
  EXPECT_EQ(lost[0].last_seq, 2U);
  EXPECT_EQ(lost[0].frames, 1U);
  EXPECT_THAT(lost[0].detail, HasSubstr("EvidenceBatch"));
  EXPECT_EQ(collector_.StatsOf("web").rejected_frames, 3U);
  EXPECT_EQ(collector_.Journalled().size(), 2U);
}

TEST_F(DeliveryTest, TwoSendersOfOneAgentTakeTurnsAndNothingIsStoredTwice) {
  collector_.Start();
  OpenSpool();
  const SenderOptions options = Options(collector_.Agent("web"));
  StartLink(options);
  for (int i = 0; i < 100; ++i) Append(Lane::kBulk);
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  auto second = SenderLink::Start(options, spool_.get());
  ASSERT_TRUE(second);
  ASSERT_TRUE(PumpUntil([&] {
    const Status status = (*second)->Pump();
    return status.has_value() && collector_.StatsOf("web").takeovers > 0;
  }));
  (*second)->Stop(seconds(2));
  for (int i = 0; i < 100; ++i) Append(Lane::kBulk);
  ASSERT_TRUE(PumpUntil([this] { return AllAcked(); }));
  ExpectExactlyOnce();
}

TEST_F(DeliveryTest, EveryReasonForNotBeingConnectedHasItsOwnWords) {
  collector_.Start();
  OpenSpool();
  const CredentialPaths good = collector_.Agent("web");
  ASSERT_TRUE(InitPki(root_ / "other", {}));
  const auto foreign = IssueAgent(root_ / "other", "web", root_ / "foreign", {});
  ASSERT_TRUE(foreign);
  PkiOptions expired;
  expired.now = ReadWallClock() - std::chrono::hours(48);
  expired.leaf_validity = std::chrono::hours(24);
  PkiOptions early;
  early.now = ReadWallClock() + std::chrono::hours(48);
  struct Case {
    const char* name;
    CredentialPaths paths;
    std::string collector, server_name;
    const char* words;
  };
  const std::string here = collector_.address();
  const Case cases[] = {
      {"refused", good, "127.0.0.1:1", "", "refused the connection"},
      {"dns", good, "nowhere.invalid:7443", "", "can not be resolved"},
      {"other CA", foreign->paths, here, "", "of another CA"},
      {"our certificate of another CA",
       {good.ca, foreign->paths.certificate, foreign->paths.key},
       here,
       "",
       "signed by"},
      {"expired", collector_.Agent("late", expired), here, "", "expired"},
      {"not yet valid", collector_.Agent("early", early), here, "", "clock"},
      {"wrong name", good, here, "collector.example", "not for \"collector.example\""},
      {"operator", collector_.pki().operator_credentials, here, "", "needs an agent's certificate"},
  };
  for (const Case& c : cases) {
    SenderOptions options = Options(c.paths);
    options.collector = c.collector;
    options.server_name = c.server_name;
    auto started = SenderLink::Start(options, spool_.get());
    if (!started) {
      EXPECT_THAT(started.error().message, HasSubstr(c.words)) << c.name;
      continue;
    }
    link_ = std::move(*started);
    EXPECT_TRUE(PumpUntil([this] { return !link_->status().last_error.empty(); })) << c.name;
    EXPECT_THAT(link_->status().last_error, HasSubstr(c.words)) << c.name;
    EXPECT_FALSE(link_->status().connected) << c.name;
    link_->Stop(milliseconds(0));
  }
  EXPECT_EQ(collector_.journal()->stats().durable_lsn, 0U);
}

TEST_F(DeliveryTest, SenderHasNoRightsLeft) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  ASSERT_TRUE(PumpUntil([this] { return link_->status().connected; }));
  std::ifstream status("/proc/" + std::to_string(link_->status().pid) + "/status");
  const std::string text{std::istreambuf_iterator<char>(status), {}};
  EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1"));
  if (geteuid() == 0) {
    EXPECT_THAT(text, HasSubstr("CapBnd:\t0000000000000000"));
    EXPECT_THAT(text, HasSubstr("Groups:\t \n"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("Uid:\t0")));
  }
}

TEST_F(DeliveryTest, SenderDiesWithItsParentsEndOfTheLink) {
  collector_.Start();
  OpenSpool();
  StartLink(Options(collector_.Agent("web")));
  ASSERT_TRUE(PumpUntil([this] { return link_->status().connected; }));
  const int pid = link_->status().pid;
  link_.reset();
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(DeliveryTest, StartNamesTheFileThatIsMissing) {
  collector_.Start();
  OpenSpool();
  SenderOptions options = Options(collector_.Agent("web"));
  options.key_path = root_ / "no-such.key";
  auto started = SenderLink::Start(options, spool_.get());
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("no-such.key"));
  options = Options(collector_.Agent("other"));
  options.program = root_ / "no-such-program";
  started = SenderLink::Start(options, spool_.get());
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("no-such-program"));
}

}  // namespace
}  // namespace culprit
