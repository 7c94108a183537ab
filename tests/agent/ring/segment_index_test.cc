// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/segment_index.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

IpAddress Address(std::uint8_t low, std::uint8_t high = 2) {
  const std::uint8_t bytes[4] = {192, 0, high, low};
  return IpAddress::FromV4Bytes(bytes);
}

SegmentIndex Sample() {
  SegmentIndex index;
  index.AddPacket(500, FlowId{3}, ProcessId{30});
  index.AddPacket(100, FlowId{1}, ProcessId{});
  index.AddPacket(300, FlowId{}, ProcessId{10});
  index.AddAddress(Address(1));
  index.AddInterface("eth0");
  index.AddInterface("eth0");
  index.AddInterface("vetha");
  return index;
}

TEST(SegmentIndexTest, SaysAfterReadingWhatItSaidBeforeWriting) {
  const SegmentIndex index = Sample();
  EXPECT_EQ(index.Encode().size(), index.EncodedBytes());
  const auto read = SegmentIndex::Parse(index.Encode());
  ASSERT_TRUE(read) << read.error().message;
  for (const SegmentIndex* one : {&index, &*read}) {
    EXPECT_EQ(one->first_ns(), 100);
    EXPECT_EQ(one->last_ns(), 500);
    EXPECT_EQ(one->packets(), 3U);
    EXPECT_EQ(one->interfaces(), (std::set<std::string>{"eth0", "vetha"}));
    EXPECT_TRUE(one->MayHave(FlowId{1}));
    EXPECT_FALSE(one->MayHave(FlowId{2}));
    EXPECT_TRUE(one->MayHave(ProcessId{10}));
    EXPECT_FALSE(one->MayHave(ProcessId{11}));
    EXPECT_TRUE(one->MayHave(Address(1)));
    EXPECT_FALSE(one->MayHave(Address(2)));
    EXPECT_TRUE(one->Overlaps(500, 900));
    EXPECT_FALSE(one->Overlaps(501, 900));
    EXPECT_FALSE(one->Overlaps(0, 99));
  }
  EXPECT_EQ(read->Encode(), index.Encode());
}

TEST(SegmentIndexTest, HasEveryAddressInWhateverOrderTheyCome) {
  SegmentIndex index;
  EXPECT_FALSE(index.MayHave(IpAddress()));
  const IpAddress flows[][2] = {{IpAddress(), Address(1)}, {Address(1), Address(2)},
                                {Address(2), Address(1)},  {Address(1), Address(3)},
                                {IpAddress(), Address(3)}, {Address(4), IpAddress()},
                                {Address(5), Address(5)}};
  for (const auto& [from, to] : flows) {
    index.AddAddress(from);
    index.AddAddress(to);
    EXPECT_TRUE(index.MayHave(from) && index.MayHave(to));
  }
  EXPECT_FALSE(index.MayHave(Address(6)));
}

TEST(SegmentIndexTest, OnceItOverflowsItSaysPerhapsAndStaysWithinItsBytes) {
  SegmentIndex index;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    index.AddPacket(1, FlowId{i}, ProcessId{i});
    index.AddInterface("interface" + std::to_string(i) + std::string(100, 'x'));
    index.AddAddress(Address(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)));
  }
  EXPECT_LE(index.Encode().size(), kMaxIndexBytes);
  const auto read = SegmentIndex::Parse(index.Encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->MayHave(FlowId{1'000'000}));
  EXPECT_TRUE(read->MayHave(ProcessId{1'000'000}));
  EXPECT_TRUE(read->MayHave(Address(9, 250)));
}

TEST(SegmentIndexTest, AnyCutAndAnyFlippedBitIsNoticed) {
  const std::string bytes = Sample().Encode();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(SegmentIndex::Parse(std::string_view(bytes).substr(0, n))) << n;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(SegmentIndex::Parse(flipped)) << bit;
  }
}

}  // namespace
}  // namespace culprit
