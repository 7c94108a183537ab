// SPDX-License-Identifier: Apache-2.0
#include "common/config_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kBefore =
    "level = \"info\"\n\n[disk]\nfree = 5\n\n[[alert]]\nname = \"a\"\nurl = \"x\"\n\n[[alert]]\n"
    "name = \"b\"\n";

TEST(ConfigDiffTest, TheSameTextDiffersInNothing) {
  EXPECT_THAT(ChangedKeys(kBefore, kBefore), IsEmpty());
  EXPECT_THAT(ChangedKeys("", ""), IsEmpty());
}

TEST(ConfigDiffTest, KeysThatDifferThatCameAndThatWentAreNamedWithTheirTable) {
  EXPECT_THAT(ChangedKeys(kBefore,
                          "level = \"debug\"\n\n[disk]\nfree = 5\nlow = 1\n\n[[alert]]\n"
                          "name = \"a\"\n\n[[alert]]\nname = \"c\"\n"),
              ElementsAre("alert[0].url", "alert[1].name", "disk.low", "level"));
}

TEST(ConfigDiffTest, AKeyBelongsToItsOwnTableAlone) {
  EXPECT_TRUE(IsOneOf("detect.scan.unanswered", {"detect."}));
  EXPECT_TRUE(IsOneOf("alert[3].url", {"disk.", "alert["}));
  EXPECT_TRUE(IsOneOf("log_level", {"log_level"}));
  EXPECT_FALSE(IsOneOf("log_level_of_others", {"log_level"}));
  EXPECT_FALSE(IsOneOf("detector", {"detect."}));
}

}  // namespace
}  // namespace culprit
