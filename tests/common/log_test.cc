// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/formatter.h>

#include <cstdlib>

namespace culprit {
namespace {

std::string Formatted(LogForm form, spdlog::level::level_enum level, std::string_view text) {
  const spdlog::details::log_msg msg(spdlog::log_clock::time_point(std::chrono::seconds(86400)),
                                     spdlog::source_loc{}, "culprit-x", level,
                                     spdlog::string_view_t(text.data(), text.size()));
  spdlog::memory_buf_t buffer;
  MakeLogFormatter(form)->format(msg, buffer);
  return {buffer.data(), buffer.size()};
}

TEST(LogTest, JournalLinesCarryAPriorityAndNoTime) {
  EXPECT_EQ(Formatted(LogForm::kJournal, spdlog::level::err, "boom key=1"), "<3>boom key=1\n");
  EXPECT_EQ(Formatted(LogForm::kJournal, spdlog::level::warn, "w"), "<4>w\n");
  EXPECT_EQ(Formatted(LogForm::kJournal, spdlog::level::info, "i"), "<6>i\n");
  EXPECT_EQ(Formatted(LogForm::kJournal, spdlog::level::debug, "d"), "<7>d\n");
}

TEST(LogTest, PlainLinesCarryUtcAndNoColour) {
  EXPECT_EQ(Formatted(LogForm::kPlain, spdlog::level::info, "started"),
            "1970-01-02T00:00:00.000Z info    culprit-x: started\n");
}

TEST(LogTest, MessagesCannotForgeLinesOrColours) {
  EXPECT_EQ(Formatted(LogForm::kJournal, spdlog::level::info, "host=a\n<3>forged \x1b[2J"),
            "<6>host=a\\n<3>forged \\x1b[2J\n");
}

TEST(LogTest, JournalIsRecognisedOnlyByItsOwnStream) {
  setenv("JOURNAL_STREAM", "1:1", 1);
  EXPECT_NE(DetectLogForm(), LogForm::kJournal);
  unsetenv("JOURNAL_STREAM");
}

TEST(LogTest, UnknownLevelIsRefusedWithTheChoices) {
  const Status status = InitLog("culprit-x", "loud");
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, testing::HasSubstr("trace, debug, info, warning or error"));
}

TEST(LogLimitTest, OneMessageAnIntervalStandsForAllCalls) {
  using std::chrono::seconds;
  const std::chrono::steady_clock::time_point start(seconds(1000));
  LogLimit limit(seconds(10));
  EXPECT_EQ(limit.Allow(start), 1U);
  EXPECT_EQ(limit.Allow(start + seconds(1)), 0U);
  EXPECT_EQ(limit.Allow(start + seconds(9)), 0U);
  EXPECT_EQ(limit.Allow(start + seconds(10)), 3U);
}

}  // namespace
}  // namespace culprit
