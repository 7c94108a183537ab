// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/text.h"

namespace culprit::cli {
namespace {

Table Sample() {
  Table table({{"NAME", false, 6}, {"BYTES", true}, {"NOTE", false, 0, 1}, {"COMMAND", false, 8}});
  table.Add({{"web-1"}, {"17 B"}, {"a note"}, {"python3 /opt/relay.py --port 8080"}});
  table.Add({{"db"}, {"1.0 GiB"}, {""}, {"x"}});
  return table;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(TableTest, AlignsColumnsWithoutTrailingBlanks) {
  EXPECT_EQ(Sample().Render(View{}),
            "NAME     BYTES  NOTE    COMMAND\n"
            "web-1     17 B  a note  python3 /opt/relay.py --port 8080\n"
            "db     1.0 GiB          x\n");
}

TEST(TableTest, CutsTheMiddleOfWhatMayShrink) {
  View view;
  view.width = 46;
  EXPECT_EQ(Sample().Render(view),
            "NAME     BYTES  NOTE    COMMAND\n"
            "web-1     17 B  a note  python3 /opt/r…rt 8080\n"
            "db     1.0 GiB          x\n");
}

TEST(TableTest, LeavesOutOptionalColumnsWhereShrinkingIsNotEnough) {
  View view;
  view.width = 26;
  EXPECT_EQ(Sample().Render(view),
            "NAME     BYTES  COMMAND\n"
            "web-1     17 B  python…080\n"
            "db     1.0 GiB  x\n");
}

TEST(TableTest, NoLineIsWiderThanTheTerminalDownToTheMinimum) {
  for (std::size_t width = 24; width < 90; ++width) {
    View view;
    view.width = width;
    for (const std::string& line : Lines(Sample().Render(view)))
      EXPECT_LE(DisplayWidth(line), width) << line;
  }
}

TEST(TableTest, HostileCellsCannotForgeRowsOrColours) {
  Table table({{"A"}, {"B"}});
  table.Add({{"x\nroot  0"}, {"\x1b[2J\x1b]0;title\x07"}});
  const std::string text = table.Render(View{});
  EXPECT_EQ(Lines(text).size(), 2U);
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\x1b")));
  EXPECT_THAT(text, testing::HasSubstr("x\\nroot  0"));
}

TEST(TableTest, WideCharactersKeepColumnsInLine) {
  Table table({{"A"}, {"B"}});
  table.Add({{"日本"}, {"1"}});
  table.Add({{"abcd"}, {"2"}});
  EXPECT_EQ(table.Render(View{}), "A     B\n日本  1\nabcd  2\n");
}

TEST(TableTest, ColoursOnlyWhereAskedFor) {
  Table table({{"A"}});
  table.Add({{"bad", Style::kBad}});
  EXPECT_EQ(table.Render(View{}), "A\nbad\n");
  View view;
  view.colour = true;
  EXPECT_EQ(table.Render(view), "\x1b[1mA\x1b[0m\n\x1b[31mbad\x1b[0m\n");
}

TEST(TableTest, RowsShorterThanTheHeaderAreFilled) {
  Table table({{"A"}, {"B"}});
  table.Add({{"1"}});
  EXPECT_EQ(table.Render(View{}), "A  B\n1\n");
}

TEST(FormatTest, CountsAndAges) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1'234'567), "1,234,567");
  constexpr std::int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(FormatAge(0, kSecond), "-");
  EXPECT_EQ(FormatAge(100 * kSecond, 160 * kSecond), "1m00s ago");
  EXPECT_EQ(FormatAge(100 * kSecond, 99 * kSecond), "just now");
  EXPECT_EQ(FormatAge(100 * kSecond, 40 * kSecond), "in 1m00s");
}

}  // namespace
}  // namespace culprit::cli
