// SPDX-License-Identifier: Apache-2.0
#include "common/text.h"

#include <gtest/gtest.h>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

TEST(EscapeTextTest, NothingThatMovesOrHidesTextGetsThrough) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> cases[] = {
      {"plain -x 'y'", "plain -x 'y'"},
      {"Größe 日本 é", "Größe 日本 é"},
      {"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
      {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
      {"nul\0end"s, "nul\\x00end"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b"
       "31m",
       "\\u{009b}31m"},                     // CSI as one C1 character
      {"\x9b", "\\x9b"},                    // malformed
      {"\xc0\x80", "\\xc0\\x80"},           // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // surrogate
      {"\xe2\x80\xae"
       "gpj.exe",
       "\\u{202e}gpj.exe"},                // right-to-left override
      {"\xe2\x80\x8b", "\\u{200b}"},       // zero width space
      {"\xe2\x80\xa8", "\\u{2028}"},       // line separator
      {"\xf3\xa0\x81\x81", "\\u{e0041}"},  // tag character
      {"\xe2\x82", "\\xe2\\x82"},          // cut short
      {"", ""}};
  for (const auto& [in, out] : cases) EXPECT_EQ(EscapeText(in), out);
}

TEST(EscapeTextTest, EveryByteValueIsHandled) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const char pair[] = {static_cast<char>(a), static_cast<char>(b)};
      for (const char c : EscapeText({pair, 2})) {
        EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
      }
    }
  }
}

TEST(DisplayWidthTest, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3U);
  EXPECT_EQ(DisplayWidth("é"), 1U);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1U);
  EXPECT_EQ(DisplayWidth("日本"), 4U);
}

TEST(TruncateMiddleTest, KeepsBothEndsAndNeverExceedsTheWidth) {
  EXPECT_EQ(TruncateMiddle("short", 5), "short");
  EXPECT_EQ(TruncateMiddle("/usr/bin/python3 relay.py --port 8080", 16), "/usr/bin/p… 8080");
  EXPECT_EQ(TruncateMiddle("abcdefghij", 7), "abcd…ij");
  EXPECT_EQ(TruncateMiddle("abcdefghij", 1), "…");
  EXPECT_EQ(TruncateMiddle("abcdefghij", 0), "");
  const std::string wide = "日本日本日本日本日本";
  for (std::size_t width = 0; width <= 20; ++width) {
    const std::string cut = TruncateMiddle(wide, width);
    EXPECT_LE(DisplayWidth(cut), width);
    EXPECT_EQ(EscapeText(cut), cut) << "a character was split";
  }
}

TEST(NearestMatchTest, FindsTypingErrorsOnly) {
  EXPECT_EQ(NearestMatch("max_byte", {"min_age", "max_bytes"}), "max_bytes");
  EXPECT_EQ(NearestMatch("lsiten", {"listen", "level"}), "listen");
  EXPECT_EQ(NearestMatch("colour", {"listen", "level"}), "");
  EXPECT_EQ(NearestMatch("x", {}), "");
}

TEST(TrimTest, LeavesOutWhatIsNamedAtTheSideThatIsNamed) {
  EXPECT_EQ(Trim(" \ta b\t "), "a b");
  EXPECT_EQ(TrimFront(" \ta b\t "), "a b\t ");
  EXPECT_EQ(TrimBack(" \ta b\t "), " \ta b");
  EXPECT_EQ(Trim("a\r", " \t"), "a\r");
  EXPECT_EQ(Trim("\r a\r", "\r "), "a");
  for (const std::string_view blank : {"", " ", "\t \t"}) {
    EXPECT_EQ(Trim(blank), "");
    EXPECT_EQ(TrimFront(blank), "");
    EXPECT_EQ(TrimBack(blank), "");
  }
}

TEST(NumberTest, TheWholeTextIsANumberThatFits) {
  EXPECT_EQ(AsNumber<std::uint16_t>("65535"), 65'535);
  EXPECT_EQ(AsNumber<std::uint64_t>("Ff", 16), 255U);
  for (const std::string_view text : {"", " 1", "1 ", "+1", "-1", "1.0", "65536", "0x1"}) {
    EXPECT_EQ(AsNumber<std::uint16_t>(text), std::nullopt) << text;
  }
  double seconds = 0;
  EXPECT_TRUE(ParseWhole("1.5", &seconds));
  EXPECT_EQ(seconds, 1.5);
}

TEST(NextTest, TakesLinesAndWordsOffTheFrontUntilNothingIsLeft) {
  std::string_view text = "one\n\nlast";
  EXPECT_EQ(NextLine(&text), "one");
  EXPECT_EQ(NextLine(&text), "");
  EXPECT_EQ(text, "last");
  EXPECT_EQ(NextLine(&text), "last");
  EXPECT_EQ(NextLine(&text), "");
  text = " \ta  b, ";
  EXPECT_EQ(NextWord(&text, " \t"), "a");
  EXPECT_EQ(text, "  b, ");
  EXPECT_EQ(NextWord(&text, " ,"), "b");
  EXPECT_EQ(NextWord(&text, " ,"), "");
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace culprit
