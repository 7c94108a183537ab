// SPDX-License-Identifier: Apache-2.0
#include "common/metric_text.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

TEST(MetricTextTest, FamiliesHaveHelpTypeAndSamples) {
  MetricText text;
  text.Counter("a_total", "Of a.", 18'446'744'073'709'551'615U);
  text.Gauge("b_seconds", "Of b.");
  text.Sample({{"x", "1"}, {"y", "two"}}, 0.25);
  text.Sample({{"x", "2"}}, std::uint64_t{0});
  EXPECT_EQ(text.text(),
            "# HELP a_total Of a.\n# TYPE a_total counter\na_total 18446744073709551615\n"
            "# HELP b_seconds Of b.\n# TYPE b_seconds gauge\nb_seconds{x=\"1\",y=\"two\"} 0.25\n"
            "b_seconds{x=\"2\"} 0\n");
}

TEST(MetricTextTest, NoValueOfALabelEndsItsLineOrItsQuote) {
  MetricText text;
  text.Gauge("c", "Back\\slash and\nline.");
  text.Sample({{"l", "a\"} 1\nforged 2\\\x01"}}, std::uint64_t{1});
  EXPECT_EQ(text.text().find("\nforged"), std::string::npos);
  EXPECT_NE(text.text().find("l=\"a\\\"} 1"), std::string::npos);
  std::size_t lines = 0;
  for (const char c : text.text()) lines += c == '\n' ? 1U : 0U;
  EXPECT_EQ(lines, 3U);
}

}  // namespace
}  // namespace culprit
