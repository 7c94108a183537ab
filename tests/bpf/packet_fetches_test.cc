// SPDX-License-Identifier: Apache-2.0
// Fetches of packets out of a live ring. Needs root (label bpf).
#include "agent/ring/packet_fetches.h"

#include <poll.h>

#include <algorithm>
#include <chrono>

#include "common/crc32c.h"
#include "tests/bpf/ring_live.h"

namespace culprit::testing {
namespace {

using ::testing::SizeIs;

constexpr std::uint16_t kPort = 4433;

class PacketFetchesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(live_.ok());
    for (int i = 0; i < 4; ++i) RingLive::Transfer(live_.Connect(kPort), 50'000);
    ASSERT_TRUE(live_.Until([&] { return live_.FindPort(kPort).size() > 100; }));
    Restart();
  }
  void Restart() {
    fetches_.reset();
    auto started = PacketFetches::Start(live_.ring.get(), {"", "", "test"});
    ASSERT_TRUE(started) << started.error().message;
    fetches_ = std::move(*started);
  }

  PacketFetch Window(std::uint8_t id, const std::string& before = {},
                     std::uint32_t window = 64U << 10) {
    PacketFetch fetch;
    fetch.request_id = ++request_id_;
    fetch.fetch_id.bytes[0] = id;
    fetch.to_ns = now_;
    fetch.port = kPort;
    fetch.offset = before.size();
    fetch.prefix_crc32c = Crc32c(before);
    fetch.window_bytes = window;
    return fetch;
  }
  // The parts of one answer.
  std::vector<ControlAnswer> Ask(const PacketFetch& fetch) {
    fetches_->Ask(fetch);
    std::vector<ControlAnswer> parts;
    for (;;) {
      pollfd ready{fetches_->poll_fd(), POLLIN, 0};
      if (poll(&ready, 1, 20'000) != 1) {
        ADD_FAILURE() << "no answer";
        return {ControlAnswer{}};
      }
      for (ControlAnswer& part : fetches_->Take()) {
        EXPECT_EQ(part.request_id, fetch.request_id);
        parts.push_back(std::move(part));
      }
      if (!parts.empty() &&
          (parts.back().window_end || parts.back().fault != ControlFault::kNone)) {
        return parts;
      }
    }
  }
  // The whole file; `each` is called between two windows.
  std::string Whole(
      std::uint8_t id, const std::function<void()>& each = [] {}) {
    std::string file;
    for (;;) {
      const std::vector<ControlAnswer> parts = Ask(Window(id, file));
      for (const ControlAnswer& part : parts) {
        EXPECT_EQ(part.fault, ControlFault::kNone) << part.detail;
        EXPECT_EQ(part.offset, file.size());
        EXPECT_EQ(part.crc32c, Crc32c(part.data));
        file += part.data;
        if (part.fault != ControlFault::kNone) return file;
      }
      if (parts.back().totals) {
        totals_ = *parts.back().totals;
        return file;
      }
      each();
    }
  }
  ControlFault FaultOf(const PacketFetch& fetch) { return Ask(fetch).back().fault; }

  const RingLive live_;
  std::unique_ptr<PacketFetches> fetches_;
  PacketTotals totals_;
  std::uint64_t request_id_ = 0;
  const std::int64_t now_ = ToNs(ReadWallClock()) + 60'000'000'000;
};

TEST_F(PacketFetchesTest, GivesEveryPacketThatMatchesOnceAndTheSameBytesHoweverItIsInterrupted) {
  const std::string file = Whole(1);
  EXPECT_EQ(totals_.packets, live_.FindPort(kPort).size());
  EXPECT_GT(file.size(), 3U * (64U << 10));
  EXPECT_EQ(Whole(2, [&] { Restart(); }), file) << "another run of the agent for each window";
  int windows = 0;
  EXPECT_EQ(Whole(3,
                  [&] {
                    if (++windows == 1) Ask(Window(3, {}, 100));  // somebody begins again
                  }),
            file);
}

TEST_F(PacketFetchesTest, WhatCameLaterIsNotInAFetchThatHasBegun) {
  bool sent = false;
  const std::string file = Whole(1, [&] {
    if (std::exchange(sent, true)) return;
    RingLive::Transfer(live_.Connect(kPort), 50'000);
  });
  ASSERT_TRUE(sent);
  const std::uint64_t packets = totals_.packets;
  EXPECT_GT(Whole(2).size(), file.size());
  EXPECT_GT(totals_.packets, packets);
}

TEST_F(PacketFetchesTest, OtherBytesThanBeforeAreNotGoneOnWith) {
  const std::string first = Ask(Window(1)).front().data;
  PacketFetch other = Window(1, first);
  other.prefix_crc32c ^= 1;
  EXPECT_EQ(FaultOf(other), ControlFault::kGone);
  PacketFetch narrower = Window(1, first);
  narrower.port = kPort + 1;
  EXPECT_EQ(FaultOf(narrower), ControlFault::kGone);
  EXPECT_EQ(FaultOf(Window(1, first)), ControlFault::kNone);
  EXPECT_EQ(FaultOf(Window(2, first)), ControlFault::kGone) << "nothing was frozen for it";
}

TEST_F(PacketFetchesTest, AReleasedFetchHoldsNothing) {
  const std::string first = Ask(Window(1)).front().data;
  EXPECT_THAT(live_.ring->FrozenNames().value(), SizeIs(1));
  PacketFetch release = Window(1);
  release.release = true;
  fetches_->Ask(release);
  EXPECT_EQ(FaultOf(Window(1, first)), ControlFault::kGone);
  EXPECT_THAT(live_.ring->FrozenNames().value(), SizeIs(0));
}

TEST_F(PacketFetchesTest, NoMoreAreReadAtATimeThanThereIsMemoryFor) {
  for (std::uint8_t id = 1; id <= PacketFetches::kMaxLive; ++id) {
    EXPECT_EQ(FaultOf(Window(id)), ControlFault::kNone);
  }
  EXPECT_EQ(FaultOf(Window(9)), ControlFault::kBusy);
  EXPECT_EQ(fetches_->refused(), 1U);
}

TEST_F(PacketFetchesTest, StopsBeforeThePacketThatWouldBeTooMuch) {
  const std::string file = Whole(1);
  PacketFetch bounded = Window(2);
  bounded.max_bytes = 10'000;
  const std::vector<ControlAnswer> parts = Ask(bounded);
  ASSERT_TRUE(parts.back().totals);
  EXPECT_TRUE(parts.back().totals->cut_off);
  EXPECT_LE(parts.back().data.size(), 10'000U);
  EXPECT_GT(parts.back().data.size(), 8'000U);
  EXPECT_TRUE(file.starts_with(parts.back().data));
}

}  // namespace
}  // namespace culprit::testing
