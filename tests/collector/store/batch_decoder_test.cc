// SPDX-License-Identifier: Apache-2.0
#include "collector/model/batch_decoder.h"

#include <gtest/gtest.h>

#include "tests/support/record_builder.h"

namespace culprit::testing {
namespace {

TEST(BatchDecoderTest, ColumnsBecomeRowsInWallTime) {
  Row a;
  a.flow = 7;
  a.start = 1;
  a.emitted = 12.5;
  a.tx = 5'000'000'000;
  Row b;
  b.flow = 8;
  b.remote = "2001:db8::1";
  b.start = 3;
  b.emitted = 4;
  const DecodedFrame frame = DecodeStoredFrame(MakeStored(3, {a, b}, 20));
  ASSERT_EQ(frame.flows.size(), 2U);
  EXPECT_EQ(frame.rejected, 0U);
  EXPECT_EQ(frame.flows[0].facts.start, WallTimeFromNs(WallAt(1)));
  EXPECT_EQ(frame.flows[0].emitted_boot_ns, BootAt(12.5));
  EXPECT_EQ(frame.flows[0].cumulative.tx_wire_bytes, 5'000'000'000U);
  EXPECT_EQ(frame.flows[1].facts.remote.ToString(), "2001:db8::1");
  EXPECT_EQ(frame.flows[1].facts.start, WallTimeFromNs(WallAt(3)));
  EXPECT_EQ(frame.flows[1].facts.cookie, 8U);
}

TEST(BatchDecoderTest, RowsThatMakeNoSenseAreCountedAndTheOthersKept) {
  v1::EvidenceBatch batch;
  for (std::uint64_t flow = 1; flow <= 4; ++flow) {
    Row row;
    row.flow = flow;
    AppendRow(row, batch.mutable_flows());
  }
  batch.mutable_flows()->set_remote_port(1, 70'000);
  batch.mutable_flows()->set_process(2, 99);
  batch.add_exits();  // of nobody
  const DecodedFrame frame = DecodeStoredFrame(MakeStored(1, batch, 20));
  ASSERT_EQ(frame.flows.size(), 2U);
  EXPECT_EQ(frame.flows[1].facts.flow, FlowId{4});
  EXPECT_EQ(frame.flows[1].facts.start, WallTimeFromNs(WallAt(0)));
  EXPECT_EQ(frame.rejected, 3U);
}

TEST(BatchDecoderTest, TimesFromTheFutureAreClampedToTheFrame) {
  Row row;
  row.emitted = 5000;
  row.start = 4000;
  const DecodedFrame frame = DecodeStoredFrame(MakeStored(1, {row}, 20));
  ASSERT_EQ(frame.flows.size(), 1U);
  EXPECT_LE(frame.flows[0].emitted_boot_ns, BootAt(21));
  EXPECT_LE(frame.flows[0].facts.start, WallTimeFromNs(WallAt(21)));
}

TEST(BatchDecoderTest, GarbageIsRejectedRecordsNeverAnError) {
  StoredFrame stored = MakeStored(1, std::vector<Row>(5), 20);
  for (std::size_t i = 0; i < stored.frame.payload.size(); ++i) {
    StoredFrame bad = stored;
    bad.frame.payload[i] = static_cast<char>(bad.frame.payload[i] ^ 0x55);
    (void)DecodeStoredFrame(bad);
  }
  stored.frame.payload = "nonsense";
  EXPECT_EQ(DecodeStoredFrame(stored).rejected, 5U);
}

}  // namespace
}  // namespace culprit::testing
