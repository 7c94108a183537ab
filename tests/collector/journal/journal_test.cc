// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/journal.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "collector/journal/seal.h"
#include "tests/collector/journal/journal_fixture.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JournalTest : public JournalFixture {};

TEST_F(JournalTest, EntriesComeBackByteForByteUnderTheirStamp) {
  Open();
  FrameMaker maker;
  const Frame frame = maker.Make();
  const auto lsn = Append(frame);
  ASSERT_TRUE(lsn.has_value());
  EXPECT_EQ(*lsn, 1U);
  const auto all = ScanAll();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].frame.header_bytes, frame.header_bytes);
  EXPECT_EQ(all[0].frame.payload, frame.payload);
  EXPECT_EQ(all[0].frame.hash, frame.hash);
  EXPECT_EQ(all[0].stamp.agent_name, "web-1");
  EXPECT_EQ(all[0].stamp.skew_ns, -5);
  EXPECT_EQ(all[0].stamp.certificate_sha256, Sha256Of("certificate"));
  EXPECT_EQ(all[0].stamp.received, StampAt(100).received);
}

TEST_F(JournalTest, SegmentsAreSealedAndTheWholeVerifies) {
  UseSigningKey();
  Open();
  FrameMaker maker;
  AppendMany(&maker, 40);
  EXPECT_THAT(SegmentFiles(), SizeIs(::testing::Gt(3U)));
  journal_->Stop();
  const JournalVerifyReport report = Verify();
  EXPECT_THAT(Text(report.damage), IsEmpty());
  EXPECT_EQ(report.entries, 40U);
  EXPECT_EQ(report.last_lsn, 40U);
  EXPECT_GE(report.sealed + 1, report.segments);
}

TEST_F(JournalTest, LsnsAndChainRunOnAcrossARestart) {
  Open();
  FrameMaker maker;
  AppendMany(&maker, 25);
  Open();
  EXPECT_THAT(Text(journal_->damage()), IsEmpty());
  EXPECT_EQ(journal_->stats().durable_lsn, 25U);
  AppendMany(&maker, 25);
  EXPECT_EQ(Lsns(), Range(1, 50));
  EXPECT_EQ(Lsns(33), Range(33, 50));
  journal_->Stop();
  EXPECT_THAT(Text(Verify().damage), IsEmpty());
}

TEST_F(JournalTest, LaneHeadsSurviveARestartWhetherSealedOrNot) {
  Open();
  FrameMaker first;
  FrameMaker second(Uuid::Random(), Lane::kEvidence);
  AppendMany(&first, 3);
  AppendMany(&second, 30);
  const auto before = journal_->lane_heads();
  ASSERT_THAT(before, SizeIs(2));
  Open();
  const auto after = journal_->lane_heads();
  ASSERT_THAT(after, SizeIs(2));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after[i].stream_id, before[i].stream_id);
    EXPECT_EQ(after[i].seq, before[i].seq);
    EXPECT_EQ(after[i].hash, before[i].hash);
    EXPECT_EQ(after[i].seq, after[i].stream_id == first.stream() ? 3U : 30U);
  }
}

TEST_F(JournalTest, ManyWritersShareCommitsAndEveryDoneRunsOnce) {
  options_.segment_bytes = 256 << 10;
  options_.max_commit_bytes = 16 << 10;  // small, so that writers meet the bound of the queue
  Open();
  std::atomic<int> done = 0;
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&] {
      FrameMaker maker;
      for (int i = 0; i < 200; ++i) {
        journal_->Append(StampAt(i), maker.Make(500), [&](const Result<Lsn>& lsn) {
          EXPECT_TRUE(lsn.has_value());
          done += 1;
        });
      }
    });
  }
  std::thread follower([&] {
    Lsn next = 1;
    while (next <= 800) {
      if (!journal_->WaitFor(next, std::chrono::milliseconds(1000))) continue;
      EXPECT_TRUE(journal_
                      ->Scan(next,
                             [&](const StoredFrame& stored) {
                               EXPECT_EQ(stored.lsn, next);
                               next = stored.lsn + 1;
                               return next % 7 != 0;
                             })
                      .has_value());
    }
  });
  for (std::thread& writer : writers) writer.join();
  follower.join();
  journal_->Stop();
  EXPECT_EQ(done, 800);
  EXPECT_LT(journal_->stats().commits, 800U);
  EXPECT_EQ(Lsns(), Range(1, 800));
  EXPECT_THAT(Text(Verify().damage), IsEmpty());
}

TEST_F(JournalTest, WaitForEndsWithTheEntryTheTimeOrTheStop) {
  Open();
  EXPECT_FALSE(journal_->WaitFor(1, std::chrono::milliseconds(1)));
  FrameMaker maker;
  std::thread writer([&] { AppendMany(&maker, 1); });
  EXPECT_TRUE(journal_->WaitFor(1, std::chrono::seconds(60)));
  writer.join();
  std::thread stopper([&] { journal_->Stop(); });
  EXPECT_FALSE(journal_->WaitFor(2, std::chrono::seconds(60)));
  stopper.join();
  const auto late = Append(maker.Make());
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kUnavailable);
}

TEST_F(JournalTest, RetentionByBytesRemovesTheOldestAndKeepsDedupState) {
  UseSigningKey();
  Open();
  FrameMaker silent;
  FrameMaker busy;
  AppendMany(&silent, 2);
  AppendMany(&busy, 60);
  const std::uint64_t segments = journal_->stats().segments;
  ASSERT_TRUE(journal_->Retain(12 << 10, WallTime{}).has_value());
  const JournalStats stats = journal_->stats();
  EXPECT_LT(stats.segments, segments);
  EXPECT_LE(stats.bytes, 12U << 10);
  const std::vector<Lsn> left = Lsns();
  ASSERT_FALSE(left.empty());
  EXPECT_EQ(left, Range(left.front(), 62));
  Open();
  EXPECT_THAT(Text(journal_->damage()), IsEmpty());
  EXPECT_THAT(journal_->lane_heads(), SizeIs(2));
  EXPECT_EQ(Lsns(), left);
  EXPECT_THAT(Text(Verify().damage), IsEmpty());
}

TEST_F(JournalTest, RetentionByAgeLooksAtTheNewestReceptionOfASegment) {
  Open();
  FrameMaker maker;
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Append(maker.Make(), 1000 + i).has_value());
  ASSERT_TRUE(journal_->Retain(UINT64_MAX, StampAt(1030).received).has_value());
  const auto left = ScanAll();
  ASSERT_FALSE(left.empty());
  EXPECT_GT(left.front().lsn, 1U);
  EXPECT_LE(left.front().lsn, 31U);
  EXPECT_EQ(left.back().lsn, 60U);
  ASSERT_TRUE(journal_->Retain(0, StampAt(5000).received).has_value());
  EXPECT_EQ(journal_->stats().segments, 1U);
}

TEST_F(JournalTest, OnlyOneProcessOpensADirectory) {
  Open();
  const auto second = Journal::Open(options_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
}

TEST_F(JournalTest, AnUnreadableSigningKeyIsNamed) {
  options_.signing_key_path = dir_ / "nothing.pem";
  EXPECT_THAT(Journal::Open(options_).error().message, HasSubstr("nothing.pem"));
  WriteFileBytes(options_.signing_key_path, "not a key");
  EXPECT_THAT(Journal::Open(options_).error().message, HasSubstr("Ed25519"));
}

TEST_F(JournalTest, AFullDiskRefusesAndThenGoesOn) {
  options_.segment_bytes = 1 << 20;
  Open();
  FrameMaker maker;
  AppendMany(&maker, 3);
  const Frame frame = maker.Make(3000);
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = 3000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const auto refused = Append(frame);
  EXPECT_THAT(journal_->stats().failed, HasSubstr("write"));
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  const auto lsn = Append(frame);
  ASSERT_TRUE(lsn.has_value()) << lsn.error().message;
  EXPECT_EQ(*lsn, 4U);
  EXPECT_THAT(journal_->stats().failed, IsEmpty());
  EXPECT_EQ(Lsns(), Range(1, 4));
  journal_->Stop();
  EXPECT_THAT(Text(Verify().damage), IsEmpty());
}

TEST_F(JournalTest, AFrameTooLargeForAnEntryIsRefusedAlone) {
  Open();
  FrameMaker maker;
  Frame large = maker.Make();
  large.payload.assign(kMaxJournalPayloadBytes, 'x');
  const auto refused = Append(std::move(large));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  AppendMany(&maker, 2);
  EXPECT_EQ(Lsns(), Range(1, 2));
}

TEST_F(JournalTest, ASealReadsBackAndItsSignatureCoversEveryField) {
  UseSigningKey();
  JournalSeal seal;
  seal.journal_id = Uuid::Random();
  seal.first_lsn = 1;
  seal.last_lsn = UINT64_MAX;
  seal.sha256 = Sha256Of("file");
  seal.heads.push_back({{Uuid::Random(), Uuid::Random(), Lane::kBulk, 5, Sha256Of("h")}, 4});
  const auto signer = SealSigner::FromFile(options_.signing_key_path);
  const auto verifier = SealVerifier::FromFile(dir_ / "public.pem");
  ASSERT_TRUE(signer.has_value());
  ASSERT_TRUE(verifier.has_value());
  ASSERT_TRUE(signer->Sign(&seal).has_value());
  const auto back = ParseSeal(FormatSeal(seal));
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(verifier->Verify(*back));
  JournalSeal changed = *back;
  changed.heads[0].head.seq += 1;
  EXPECT_FALSE(verifier->Verify(changed));
  changed = *back;
  changed.last_lsn -= 1;
  EXPECT_FALSE(verifier->Verify(changed));
  for (const char* text : {"", "{", "[]", "{\"format\":\"x\"}", "null"}) {
    EXPECT_FALSE(ParseSeal(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace culprit
