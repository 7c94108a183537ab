// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/query.h"

#include "agent/ring/frozen.h"
#include "tests/agent/ring/ring_fixture.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::uint32_t> Numbers(const std::vector<Found>& found) {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(found.size());
  for (const Found& one : found) numbers.push_back(RingWriter::NumberOf(one));
  return numbers;
}

TEST(QueryTest, GivesWhatMatchesAllThatIsAskedFor) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  writer.Write(1, 10, ProcessId{5}, FlowId{50});
  writer.Write(2, 10, ProcessId{5}, FlowId{51});
  writer.Write(3, 10, ProcessId{6}, FlowId{60});
  writer.ring().Rotate();
  writer.Write(4, 10, ProcessId{6}, FlowId{60});
  writer.ring().Flush();
  const auto second = [](int n) { return (1'700'000'000 + n) * kSecond; };
  PacketQuery all, flow, process, both, from, until, address, nobody, port, wrong_end;
  flow.flows = both.flows = {FlowId{60}};
  process.processes = both.processes = {ProcessId{5}};
  from.from_ns = second(3);
  until.to_ns = second(2);
  address.address = wrong_end.address = IpAddress::Parse("198.51.100.7").value();
  nobody.address = IpAddress::Parse("203.0.113.1").value();
  port.port = 7;
  wrong_end.port = 4000;  // of the other end
  const struct {
    const char* what;
    PacketQuery query;
    std::vector<std::uint32_t> found;
  } cases[] = {
      {"all", all, {1, 2, 3, 4}},
      {"flow", flow, {3, 4}},
      {"process", process, {1, 2}},
      {"both", both, {}},
      {"from", from, {3, 4}},
      {"until", until, {1, 2}},
      {"address", address, {1, 2, 3, 4}},
      {"nobody", nobody, {}},
      {"port", port, {1, 2, 3, 4}},
      {"wrong end", wrong_end, {}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Numbers(FindPackets({dir.path()}, c.query)), c.found) << c.what;
  }
}

TEST(QueryTest, PassesOverSegmentsByTheirIndex) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  for (std::uint32_t n = 0; n < 3; ++n) {
    writer.Write(n, 10, ProcessId{n + 1}, FlowId{n + 1});
    writer.ring().Rotate();
  }
  PacketQuery query;
  query.processes = {ProcessId{2}};
  QueryStats stats;
  EXPECT_THAT(FindPackets({dir.path()}, query, &stats), SizeIs(1));
  EXPECT_EQ(stats.segments, 1U);
  EXPECT_EQ(stats.passed_over, 2U);
}

TEST(QueryTest, SeveralDirectoriesComeInOrderOfTimeAndTheSinkCanStop) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter even(SmallRing(dir / "even")), odd(SmallRing(dir / "odd"));
  for (std::uint32_t n = 0; n < 10; ++n) (n % 2 == 0 ? even : odd).Write(n);
  even.ring().Flush();
  odd.ring().Flush();
  EXPECT_THAT(Numbers(FindPackets({dir / "even", dir / "odd"})),
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  int taken = 0;
  const auto stats = QueryPackets({dir / "even", dir / "odd"}, {}, DecodePacket,
                                  [&](const StoredPacket&) { return ++taken < 3; });
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->packets, 3U);
}

std::vector<FrozenSegment> AllOf(const SegmentRing& ring) {
  std::vector<FrozenSegment> all;
  for (const ClosedSegment& segment : ring.Closed(0, INT64_MAX)) {
    all.push_back({"general", FormatSegmentName(segment.number, SegmentFileKind::kClosed),
                   ring.Path(segment.number, SegmentFileKind::kClosed),
                   ring.Path(segment.number, SegmentFileKind::kIndex)});
  }
  return all;
}

TEST(FrozenTest, WhatIsFrozenOutlivesTheRingUntilItIsUnfrozen) {
  const TempDir dir;
  RingWriter writer(SmallRing(dir / "general"));
  FrozenSegments frozen(dir / "frozen", 1 << 20);
  writer.Write(1);
  writer.ring().Rotate();
  const auto done = frozen.Freeze("finding-1", AllOf(writer.ring()));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->segments, 1U);
  ASSERT_TRUE(frozen.Sync("finding-1"));
  for (std::uint32_t n = 2; n < 5000; ++n) writer.Write(n, 500);
  EXPECT_GT(RingWriter::NumberOf(FindPackets({dir / "general"}).front()), 1U);
  EXPECT_THAT(Numbers(FindPackets(frozen.Directories("finding-1").value())), ElementsAre(1));
  EXPECT_EQ(frozen.HighestNumber(), 1U);
  EXPECT_EQ(frozen.bytes(), done->bytes);
  ASSERT_TRUE(frozen.Unfreeze("finding-1"));
  EXPECT_THAT(frozen.Names().value(), IsEmpty());
  EXPECT_EQ(frozen.bytes(), 0U);
}

TEST(FrozenTest, HasItsOwnBoundAndFreezingAgainAddsOnlyWhatIsNew) {
  const TempDir dir;
  RingWriter writer(SmallRing(dir / "general"));
  for (std::uint32_t n = 0; n < 1200; ++n) writer.Write(n, 500);
  writer.ring().Rotate();
  const auto all = AllOf(writer.ring());
  ASSERT_GE(all.size(), 3U);
  FrozenSegments frozen(dir / "frozen", 2 * kMinSegmentBytes);
  const auto first = frozen.Freeze("a", all);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->segments + first->left_out, all.size());
  EXPECT_GT(first->left_out, 0U);
  EXPECT_LE(frozen.bytes(), 2 * kMinSegmentBytes);
  const auto again = frozen.Freeze("a", all);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->segments, 0U);
  EXPECT_EQ(again->left_out, first->left_out);
}

TEST(FrozenTest, RefusesNamesThatAreNone) {
  const TempDir dir;
  FrozenSegments frozen(dir / "frozen", 1 << 20);
  for (const std::string& name :
       {std::string(""), std::string(".."), std::string("a/b"), std::string(".x"),
        std::string("a\0b", 3), std::string(kMaxFrozenName + 1, 'a')}) {
    EXPECT_FALSE(frozen.Freeze(name, {})) << name;
    EXPECT_FALSE(frozen.Unfreeze(name)) << name;
    EXPECT_FALSE(frozen.Directories(name)) << name;
  }
}

}  // namespace
}  // namespace culprit::testing
