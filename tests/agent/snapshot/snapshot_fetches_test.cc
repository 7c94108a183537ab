// SPDX-License-Identifier: Apache-2.0
// Bundles on their way out of the agent, with a shell as the process that collects: the same bytes
// whoever asks again and from wherever, while they are written and after a restart.
#include "agent/snapshot/snapshot_fetches.h"

#include <gmock/gmock.h>
#include <poll.h>

#include <chrono>
#include <csignal>
#include <fstream>

#include "agent/snapshot/snapshot_spool.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kZeros =
    "0000000000000000000000000000000000000000000000000000000000000000";

class SnapshotFetchesTest : public ::testing::Test {
 protected:
  // `script` runs with the bundle as descriptor 3, and $DIR and $ID.
  void Start(const std::string& script, std::uint64_t max_bytes = 64ULL << 20,
             std::uint64_t bytes_per_second = 0) {
    SnapshotFetchOptions options;
    options.directory = directory_ / "spool";
    options.program = "/bin/sh";
    options.arguments = {"-c", "ID=$0; DIR=" + options.directory + "; " + script};
    options.max_bytes = max_bytes;
    options.bytes_per_second = bytes_per_second;
    auto started = SnapshotFetches::Start(options);
    ASSERT_TRUE(started) << started.error().message;
    fetches_ = std::move(*started);
  }
  static std::string Whole(const std::string& script) {
    return script + "; echo '{\"bytes\":0,\"sha256\":\"" + std::string(kZeros) +
           "\",\"members\":7}' > $DIR/$ID.end";
  }
  SnapshotFetch Question(std::uint64_t offset, std::uint32_t crc, bool may_begin = false) const {
    SnapshotFetch fetch;
    fetch.request_id = 5;
    fetch.snapshot_id = id_;
    fetch.may_begin = may_begin;
    fetch.offset = offset;
    fetch.prefix_crc32c = crc;
    fetch.window_bytes = 1 << 20;
    return fetch;
  }
  // The parts of an answer.
  std::vector<ControlAnswer> Ask(const SnapshotFetch& fetch) {
    fetches_->Ask(fetch, "i-1", "host");
    std::vector<ControlAnswer> parts;
    while (parts.empty() ||
           !(parts.back().window_end || parts.back().fault != ControlFault::kNone)) {
      pollfd poll_one{fetches_->poll_fd(), POLLIN, 0};
      if (poll(&poll_one, 1, 20'000) != 1) {
        ADD_FAILURE() << "no answer";
        break;
      }
      for (ControlAnswer& part : fetches_->Take()) parts.push_back(std::move(part));
    }
    return parts;
  }
  // All of it, window by window, from what is there already.
  std::string Fetch(std::string have = "") {
    for (int windows = 0; windows < 10'000; ++windows) {
      const auto parts = Ask(Question(have.size(), Crc32c(have), have.empty()));
      for (const ControlAnswer& part : parts) {
        EXPECT_EQ(part.fault, ControlFault::kNone) << part.detail;
        EXPECT_EQ(part.offset, have.size());
        EXPECT_EQ(part.crc32c, Crc32c(part.data));
        EXPECT_LE(part.data.size(), kMaxFetchPart);
        have += part.data;
      }
      last_ = parts.back();
      if (last_.snapshot_totals || last_.fault != ControlFault::kNone) break;
    }
    return have;
  }

  TempDir directory_;
  const Uuid id_ = Uuid::Random();
  std::unique_ptr<SnapshotFetches> fetches_;
  ControlAnswer last_;
};

// What the agent offers next.
std::vector<SnapshotOffer> AwaitOffers(SnapshotFetches& fetches, std::size_t count) {
  std::vector<SnapshotOffer> offers;
  while (offers.size() < count) {
    pollfd poll_one{fetches.poll_fd(), POLLIN, 0};
    if (poll(&poll_one, 1, 20'000) != 1) {
      ADD_FAILURE() << "no offer";
      break;
    }
    for (const ControlAnswer& answer : fetches.Take()) {
      EXPECT_EQ(answer.request_id, 9U);
      if (answer.offer) offers.push_back(*answer.offer);
    }
  }
  return offers;
}

TEST_F(SnapshotFetchesTest, WhatTheAgentBeginsIsOfferedAndFetchedWithoutAnOrder) {
  Start(Whole("echo $ID >&3"));
  fetches_->Begin({"spot interruption", 1, "i-1", "host"});
  fetches_->Begin({"the host goes down", 0, "i-1", "host"});  // waits for the first to end
  fetches_->Watch({9});
  const std::vector<SnapshotOffer> offers = AwaitOffers(*fetches_, 2);
  ASSERT_EQ(offers.size(), 2U);
  EXPECT_EQ(offers[0].trigger, "spot interruption");
  EXPECT_EQ(offers[1].trigger, "the host goes down");
  EXPECT_EQ(offers[1].last_tier, 0U);
  for (const SnapshotOffer& offer : offers) {
    SnapshotFetch fetch = Question(0, 0);
    fetch.snapshot_id = offer.snapshot_id;
    EXPECT_EQ(Ask(fetch).back().data, offer.snapshot_id.ToString() + "\n");
  }
  EXPECT_EQ(fetches_->own_begun(), 2U);
  // Kept until it is released, and offered again to whoever asks then, also by the next run.
  SnapshotFetch release;
  release.snapshot_id = offers[0].snapshot_id;
  release.release = true;
  fetches_->Ask(release, "", "");
  Ask(Question(0, 0));  // of another: the release is through
  EXPECT_EQ(fetches_->own_kept(), 1U);
  EXPECT_EQ(fetches_->own_unfinished(), 0U);
  fetches_.reset();
  Start("false");
  fetches_->Watch({9});
  const std::vector<SnapshotOffer> again = AwaitOffers(*fetches_, 1);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].snapshot_id, offers[1].snapshot_id);
  EXPECT_EQ(again[0].trigger, offers[1].trigger);
  EXPECT_GT(again[0].begun_ns, 0);
}

TEST(OwnSnapshotsTest, AnOfferIsRepeatedUntilTheCollectorHasItInHand) {
  const OwnSnapshots::Time start{};
  OwnSnapshots own;
  const Uuid id = Uuid::Random();
  own.Offer({id, "spot", 1, 5});
  EXPECT_TRUE(own.Due(start, 4).empty());  // nobody wants to know
  own.Watch(9);
  EXPECT_EQ(own.Due(start, 4).size(), 1U);
  EXPECT_TRUE(own.Due(start, 4).empty());
  EXPECT_EQ(own.next_due(), start + OwnSnapshots::kAgain);
  own.AskedAbout(id, start + OwnSnapshots::kAgain);
  EXPECT_TRUE(own.Due(start + OwnSnapshots::kAgain, 4).empty());
  EXPECT_EQ(own.Due(start + 2 * OwnSnapshots::kAgain, 4).size(), 1U);
  own.Watch(10);  // another connection
  EXPECT_EQ(own.Due(start, 4).front().request_id, 10U);
  own.Released(id);
  EXPECT_FALSE(own.next_due());
}

TEST(OwnSnapshotsTest, WhatWaitsIsBounded) {
  OwnSnapshots own;
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) taken += own.Queue({std::string(1'000, 'x'), 1, "", ""}) ? 1 : 0;
  EXPECT_EQ(taken, OwnSnapshots::kMaxQueued);
  EXPECT_EQ(own.next()->trigger.size(), kMaxOrderText);
}

constexpr const char* kThreeMegabytes =
    "i=0; while [ $i -lt 48 ]; do head -c 65536 /dev/urandom >&3; i=$((i+1)); done";

TEST_F(SnapshotFetchesTest, HandsOverWhatIsStillBeingCollected) {
  Start(
      "echo '{\"name\":\"processes\",\"tier\":0}' > $DIR/$ID.step; echo begin >&3; "
      "while [ ! -e $DIR/go ]; do sleep 0.02; done; " +
      Whole("echo end >&3"));
  const auto parts = Ask(Question(0, 0, true));
  ASSERT_FALSE(parts.empty());
  EXPECT_EQ(parts.back().data, "begin\n");
  ASSERT_TRUE(parts.back().step);
  EXPECT_EQ(parts.back().step->name, "processes");
  EXPECT_FALSE(parts.back().snapshot_totals);
  EXPECT_GT(fetches_->collecting_pid(), 0);
  std::ofstream(directory_ / "spool/go") << "go";
  EXPECT_EQ(Fetch("begin\n"), "begin\nend\n");
  ASSERT_TRUE(last_.snapshot_totals);
  EXPECT_EQ(last_.snapshot_totals->members, 7U);
  EXPECT_EQ(last_.snapshot_totals->broken, "");
}

TEST_F(SnapshotFetchesTest, NothingIsHandedOverFasterThanTheBound) {
  Start(Whole("head -c 1048576 /dev/zero >&3"), 64ULL << 20, 1 << 20);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(Fetch().size(), std::size_t{1} << 20);
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(990));
}

TEST_F(SnapshotFetchesTest, AnyOffsetGivesTheSameBytesAlsoAfterARestart) {
  Start(Whole(kThreeMegabytes));
  const std::string whole = Fetch();
  ASSERT_EQ(whole.size(), 48U << 16);
  for (const std::size_t at :
       {std::size_t{1}, std::size_t{65'537}, std::size_t{1} << 20, whole.size()}) {
    EXPECT_EQ(Fetch(whole.substr(0, at)), whole) << at;
  }
  fetches_.reset();
  Start("exit 1");
  EXPECT_EQ(Fetch(whole.substr(0, 100'000)), whole);
}

TEST_F(SnapshotFetchesTest, AProcessThatCollectsGoesOnUnderTheNextSensor) {
  Start("echo begin >&3; while [ ! -e $DIR/go ]; do sleep 0.02; done; " + Whole("echo end >&3"));
  EXPECT_EQ(Ask(Question(0, 0, true)).back().data, "begin\n");
  fetches_.reset();
  Start("exit 1");
  std::ofstream(directory_ / "spool/go") << "go";
  EXPECT_EQ(Fetch("begin\n"), "begin\nend\n");
  EXPECT_EQ(last_.snapshot_totals->broken, "");
}

TEST_F(SnapshotFetchesTest, AProcessThatDiedIsToldWithTheHashOfWhatThereIs) {
  Start("echo begin >&3; kill -9 $$");
  EXPECT_EQ(Fetch(), "begin\n");
  ASSERT_TRUE(last_.snapshot_totals);
  EXPECT_THAT(last_.snapshot_totals->broken, HasSubstr("killed by signal 9"));
  EXPECT_EQ(last_.snapshot_totals->sha256, Sha256Of("begin\n"));
}

TEST_F(SnapshotFetchesTest, WhatIsNotThereOrIsOtherBytesIsGone) {
  Start(Whole("echo begin >&3"));
  EXPECT_EQ(Ask(Question(0, 0)).back().fault, ControlFault::kGone) << "without an order";
  EXPECT_EQ(Fetch(), "begin\n");
  EXPECT_EQ(Ask(Question(3, Crc32c("xyz"))).back().fault, ControlFault::kGone);
  EXPECT_EQ(Ask(Question(100, 1)).back().fault, ControlFault::kGone);
  SnapshotFetch release = Question(0, 0);
  release.release = true;
  fetches_->Ask(release, "", "");
  EXPECT_EQ(Ask(Question(0, 0)).back().fault, ControlFault::kGone) << "it was released";
  EXPECT_TRUE(ListDirectory(directory_ / "spool")->empty());
}

TEST_F(SnapshotFetchesTest, OneIsCollectedAtATimeWithinTheBound) {
  Start("while [ ! -e $DIR/go ]; do sleep 0.02; done; head -c 60000000 /dev/zero >&3; " +
        Whole("true"));
  Ask(Question(0, 0, true));
  SnapshotFetch second = Question(0, 0, true);
  second.snapshot_id = Uuid::Random();
  ControlAnswer busy = Ask(second).back();
  EXPECT_EQ(busy.fault, ControlFault::kBusy);
  EXPECT_THAT(busy.detail, HasSubstr("is being collected"));
  std::ofstream(directory_ / "spool/go") << "go";
  EXPECT_EQ(Fetch().size(), 60'000'000U);
  busy = Ask(second).back();
  EXPECT_EQ(busy.fault, ControlFault::kBusy);
  EXPECT_THAT(busy.detail, HasSubstr("max_bytes"));
}

TEST(SnapshotSpoolTest, OrdersAndEndsReadBackAndNothingElseDoes) {
  SpoolOrder order;
  order.id = Uuid::Random();
  order.instance_id = "i-1";
  order.hostname = "quote\"d\n";
  order.trigger = "finding 1";
  order.last_tier = 2;
  order.max_bytes = 1ULL << 40;
  const auto read = ParseSpoolOrder(FormatSpoolOrder(order));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->id, order.id);
  EXPECT_EQ(read->hostname, order.hostname);
  EXPECT_EQ(read->last_tier, 2U);
  EXPECT_EQ(read->max_bytes, order.max_bytes);
  SnapshotTotals end;
  end.sha256 = Sha256Of("x");
  end.broken = "why";
  end.cpu_us = 12;
  const auto read_end = ParseSpoolEnd(FormatSpoolEnd(end));
  ASSERT_TRUE(read_end);
  EXPECT_EQ(read_end->sha256, end.sha256);
  EXPECT_EQ(read_end->broken, "why");
  EXPECT_EQ(read_end->cpu_us, 12U);
  for (const char* bad : {"", "{", "[]", "{\"id\":1}", "{\"a\":{}}", "{\"sha256\":\"zz\"}"}) {
    EXPECT_FALSE(ParseSpoolOrder(bad)) << bad;
    EXPECT_FALSE(ParseSpoolEnd(bad)) << bad;
  }
}

}  // namespace
}  // namespace culprit
