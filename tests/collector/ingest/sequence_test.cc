// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/sequence.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

using Action = SequenceVerdict::Action;

const Uuid kStream{{1}};
const Uuid kOther{{2}};

Sha256Digest HashOf(std::uint64_t n, std::uint8_t branch = 0) {
  Sha256Digest hash{};
  hash[0] = static_cast<std::uint8_t>(n);
  hash[1] = static_cast<std::uint8_t>(n >> 8U);
  hash[2] = branch;
  hash[3] = n == 0 ? 0 : 1;
  return hash;
}

class SequenceTest : public ::testing::Test {
 protected:
  SequenceVerdict Observe(std::uint64_t seq, Sha256Digest prev, Sha256Digest hash,
                          Lane lane = Lane::kEvidence) {
    FrameHeader header;
    header.stream_id = stream_;
    header.lane = lane;
    header.seq = seq;
    header.prev_hash = prev;
    return sequence_.Observe(header, hash);
  }
  // The frame that an honest agent sends.
  SequenceVerdict Honest(std::uint64_t seq) {
    return Observe(seq, seq == 1 ? Sha256Digest{} : HashOf(seq - 1), HashOf(seq));
  }
  void Settle(std::uint64_t seq, bool durable = true) {
    sequence_.Settle(stream_, Lane::kEvidence, seq, durable);
  }
  std::uint64_t Durable() const { return sequence_.Durable(stream_, Lane::kEvidence).seq; }

  AgentSequence sequence_;
  Uuid stream_ = kStream;
};

TEST_F(SequenceTest, HonestStreamIsInOrderAndAckedOnlyWhenDurable) {
  EXPECT_EQ(Honest(1).state, SequenceState::kFirst);
  EXPECT_EQ(Honest(2).state, SequenceState::kInOrder);
  EXPECT_EQ(Durable(), 0U);
  EXPECT_FALSE(sequence_.Settled());
  Settle(2);
  EXPECT_EQ(Durable(), 0U) << "frame 1 is not durable yet";
  Settle(1);
  EXPECT_EQ(Durable(), 2U);
  EXPECT_TRUE(sequence_.Settled());
}

TEST_F(SequenceTest, LanesAndStreamsAreApart) {
  Honest(1);
  EXPECT_EQ(Observe(1, {}, HashOf(1, 9), Lane::kBulk).state, SequenceState::kFirst);
  stream_ = kOther;
  EXPECT_EQ(Honest(1).state, SequenceState::kFirst);
}

TEST_F(SequenceTest, ReplayIsADuplicateAndOtherBytesUnderTheSameNumberAreAFork) {
  for (std::uint64_t seq = 1; seq <= 5; ++seq) Honest(seq);
  EXPECT_EQ(Honest(3).action, Action::kDuplicate);
  EXPECT_EQ(Honest(5).action, Action::kDuplicate);
  const SequenceVerdict fork = Observe(3, HashOf(2), HashOf(3, 1));
  EXPECT_EQ(fork.action, Action::kRefuse);
  EXPECT_EQ(fork.refusal, "fork");
  EXPECT_EQ(Honest(6).action, Action::kAccept);
}

TEST_F(SequenceTest, SecondSuccessorOfOneHashIsTakenAndMarkedAsFork) {
  Honest(1);
  Honest(2);
  const SequenceVerdict fork = Observe(3, HashOf(2, 1), HashOf(3, 1));
  EXPECT_EQ(fork.action, Action::kAccept);
  EXPECT_EQ(fork.state, SequenceState::kFork);
}

TEST_F(SequenceTest, GapNamesWhatIsMissingAndLateFramesAreOutOfOrder) {
  Honest(1);
  const SequenceVerdict gap = Honest(5);
  EXPECT_EQ(gap.action, Action::kAccept);
  EXPECT_EQ(gap.state, SequenceState::kGap);
  EXPECT_EQ(gap.missing_from, 2U);
  EXPECT_EQ(gap.missing_to, 4U);
  EXPECT_EQ(Honest(3).refusal, "out_of_order");
  EXPECT_EQ(Honest(6).state, SequenceState::kInOrder);
}

TEST_F(SequenceTest, FirstFrameThatIsNotTheFirstSaysWhatIsMissing) {
  const SequenceVerdict first = Honest(9);
  EXPECT_EQ(first.state, SequenceState::kFirst);
  EXPECT_EQ(first.missing_from, 1U);
  EXPECT_EQ(first.missing_to, 8U);
}

TEST_F(SequenceTest, HeadsOfTheJournalAreKnownAfterARestart) {
  sequence_.Load({Uuid{}, kStream, Lane::kEvidence, 7, HashOf(7)});
  EXPECT_EQ(Durable(), 7U);
  EXPECT_EQ(Honest(7).action, Action::kDuplicate);
  EXPECT_EQ(Honest(6).action, Action::kDuplicate);
  EXPECT_EQ(Observe(7, HashOf(6), HashOf(7, 1)).refusal, "fork");
  EXPECT_EQ(Honest(8).state, SequenceState::kInOrder);
}

TEST_F(SequenceTest, FailedFrameIsTakenAgainAndWhatCameThroughBehindItIsNotStoredTwice) {
  Honest(1);
  Settle(1);
  Honest(2);
  Honest(3);
  Honest(4);
  Settle(2, false);
  EXPECT_EQ(Durable(), 1U);
  Settle(3, true);
  Settle(4, false);
  EXPECT_TRUE(sequence_.Settled());
  EXPECT_EQ(Durable(), 1U) << "an ack of 3 would cover 2";
  EXPECT_EQ(Honest(2).action, Action::kAccept);
  EXPECT_EQ(Honest(3).action, Action::kDuplicate);
  EXPECT_EQ(Honest(4).action, Action::kAccept);
  Settle(2);
  Settle(4);
  EXPECT_EQ(Durable(), 4U);
}

TEST_F(SequenceTest, SpoolBehindTheCollectorIsARollbackAndItsNewStreamSaysSo) {
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    Honest(seq);
    Settle(seq);
  }
  HelloClaim claim;
  claim.stream_id = kStream;
  claim.lanes[0] = {1, 5};
  EXPECT_FALSE(sequence_.OnHello(claim));
  claim.lanes[0] = {1, 3};
  EXPECT_TRUE(sequence_.OnHello(claim));
  claim = {};
  claim.stream_id = kOther;
  claim.previous_stream_id = kStream;
  claim.stream_reason = "tail_lost";
  EXPECT_FALSE(sequence_.OnHello(claim));
  stream_ = kOther;
  const SequenceVerdict first = Honest(1);
  EXPECT_EQ(first.state, SequenceState::kRollback);
  EXPECT_EQ(first.stream_reason, "tail_lost");
  EXPECT_EQ(Honest(2).state, SequenceState::kInOrder);
  EXPECT_EQ(Honest(2).stream_reason, "");
}

TEST_F(SequenceTest, StreamsOfAnAgentAreBounded) {
  for (std::size_t i = 0; i < AgentSequence::kMaxStreams; ++i) {
    stream_.bytes = {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8U), 77};
    EXPECT_EQ(Honest(1).action, Action::kAccept);
  }
  stream_ = kOther;
  EXPECT_EQ(Honest(1).refusal, "too_many_streams");
}

}  // namespace
}  // namespace culprit
