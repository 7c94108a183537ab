// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "culprit/v1/query.pb.h"

namespace culprit::cli {
namespace {

using testing::HasSubstr;

TEST(JsonTest, PointsInTimeAreRfc3339AndNullWhereThereIsNone) {
  v1::FlowRow row;
  row.set_start_ns(1'772'323'384'000'000'000);
  const std::string json = ToJson(row);
  EXPECT_THAT(json, HasSubstr("\"start_time\":\"2026-03-01T00:03:04Z\""));
  EXPECT_THAT(json, HasSubstr("\"last_time\":null"));
}

TEST(JsonTest, IntegersThatReadersWouldRoundAreStrings) {
  v1::FlowRow row;
  row.set_tx_wire_bytes((1ULL << 53U) - 1);
  row.set_rx_wire_bytes(1ULL << 53U);
  const std::string json = ToJson(row);
  EXPECT_THAT(json, HasSubstr("\"tx_wire_bytes\":9007199254740991,"));
  EXPECT_THAT(json, HasSubstr("\"rx_wire_bytes\":\"9007199254740992\","));
}

TEST(JsonTest, SkewIsASpanNotAPointInTime) {
  v1::HostRow row;
  row.set_clock_skew_ns(-5);
  EXPECT_THAT(ToJson(row), HasSubstr("\"clock_skew_ns\":-5"));
}

TEST(JsonTest, EveryFieldIsThereUnderItsOwnName) {
  EXPECT_EQ(ToJson(v1::TimeRange()), R"({"from_time":null,"to_time":null})");
  EXPECT_THAT(
      ToJson(v1::Counters()),
      testing::StartsWith(
          R"({"tcp_attempts":0,"ok":0,"refused":0,"timed_out":0,"unreachable":0,"denied":0,"reset":0,"aborted":0,)"
          R"("not_sent":0,"other":0,"accepts":0,"suppressed_flows":0,"at_time":null,)"));
  v1::ProcessInfo process;
  process.add_argv("a b");
  process.add_argv("");
  process.set_forked(true);
  const std::string json = ToJson(process);
  EXPECT_THAT(json, HasSubstr(R"("argv":["a b",""])"));
  EXPECT_THAT(json, HasSubstr(R"("forked":true)"));
}

TEST(JsonTest, NestedMessages) {
  v1::TopResponse top;
  top.add_rows()->mutable_process()->set_pid(7);
  EXPECT_THAT(ToJson(top), HasSubstr(R"("rows":[{"process":{"process_id":"","parent_id":"")"));
}

TEST(JsonStringTest, NothingThatSteersATerminalOrBreaksALine) {
  const std::pair<const char*, const char*> cases[] = {
      {"plain", R"("plain")"},
      {R"(say "hi" \ there)", R"("say \"hi\" \\ there")"},
      {"\x1b[31m", R"("\u001b[31m")"},
      {"a\nb\t", R"("a\u000ab\u0009")"},
      {"\x7f", R"("\u007f")"},
      {"é日", "\"é日\""},
      {"\xc2\x9b", R"("\u009b")"},
      {"\xe2\x80\xae", R"("\u202e")"},
      {"\xf3\xa0\x81\x81", R"("\udb40\udc41")"},
      {"\xff", R"("\ufffd")"},
      {"\xe2\x82", R"("\ufffd\ufffd")"},
  };
  for (const auto& [text, json] : cases) EXPECT_EQ(JsonString(text), json);
}

}  // namespace
}  // namespace culprit::cli
