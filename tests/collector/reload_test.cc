// SPDX-License-Identifier: Apache-2.0
#include "collector/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config_diff.h"

namespace culprit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

CollectorConfig Parse(const std::string& text) {
  auto config = ParseCollectorConfig(text, "test");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(CollectorConfig());
}

// Each of these a running collector takes over: it is then in force, and no restart is asked for.
TEST(CollectorReloadTest, WhatCanChangeIsTakenOver) {
  for (const char* text :
       {"log_level = \"debug\"", "drain = \"1s\"",
        "[ingest]\nrevoked = [\"00112233-4455-6677-8899-aabbccddeeff\"]",
        "[journal]\nmax_bytes = \"1 GiB\"", "[journal]\nmax_age = \"1h\"",
        "[index]\nmax_bytes = \"1 GiB\"", "[index]\nmax_age = \"1h\"",
        "[disk]\nwarn_free = \"6 GiB\"", "[disk]\ncritical_free = 1",
        "[detect.scan]\nnet_failures = 7", "[detect.integrity]\nsilence_seconds = 7",
        "[detect.hours]\nbegin_hour = 1",
        "[[alert]]\nname = \"a\"\nkind = \"syslog\"\naddress = \"/dev/log\""}) {
    CollectorConfig now;
    const CollectorConfig file = Parse(text);
    EXPECT_THAT(AdoptLive(file, &now), IsEmpty()) << text;
    EXPECT_EQ(FormatCollectorConfig(now), FormatCollectorConfig(file)) << text;
    EXPECT_NE(FormatCollectorConfig(now), FormatCollectorConfig({})) << text;
  }
}

TEST(CollectorReloadTest, WhatCannotIsNamedAndStaysAsItIs) {
  CollectorConfig now;
  const CollectorConfig file = Parse(
      "listen = \"127.0.0.1:1\"\nlog_level = \"error\"\n[metrics]\nlisten = \"127.0.0.1:9464\"\n"
      "[snapshot]\nmax_bytes = \"1 GiB\"\n");
  EXPECT_THAT(AdoptLive(file, &now), ElementsAre("listen", "metrics.listen", "snapshot.max_bytes"));
  EXPECT_EQ(now.listen, CollectorConfig().listen);
  EXPECT_EQ(now.log_level, "error");
  // As it was: nothing is asked for any more.
  EXPECT_THAT(AdoptLive({}, &now), IsEmpty());
}

}  // namespace
}  // namespace culprit
