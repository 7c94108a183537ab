// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/toml_reader.h"

namespace culprit {
namespace {

using testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  const auto config = ParseCollectorConfig(text, "c.toml");
  return config ? "no error" : config.error().message;
}

TEST(CollectorConfigTest, ReferenceFileHasEveryKeyWithItsDefault) {
  const auto text = ReadFileBounded(CULPRIT_SOURCE_DIR "/deploy/collector.toml", 1 << 20);
  ASSERT_TRUE(text) << text.error().message;
  const auto config = ParseCollectorConfig(*text, "deploy/collector.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(FormatCollectorConfig(*config), FormatCollectorConfig(CollectorConfig()));
  // Each key of the effective form stands in the reference too.
  const std::string effective = FormatCollectorConfig(CollectorConfig());
  for (std::size_t at = 0; at < effective.size();) {
    const std::size_t end = effective.find('\n', at);
    const std::string line = effective.substr(at, end - at);
    const std::string key = line.substr(0, line.find(" ="));
    if (!key.empty()) {
      EXPECT_THAT(*text, HasSubstr("\n" + key));
    }
    at = end + 1;
  }
}

TEST(CollectorConfigTest, EffectiveFormReadsBackAsItself) {
  CollectorConfig config;
  config.listen = "[2001:db8::1]:9";
  config.data_dir = "/srv/with \"quotes\" and \\";
  config.server_names = {"collector.example", "192.0.2.1"};
  config.drain = std::chrono::milliseconds(1500);
  config.journal.max_bytes = 1ULL << 40;
  config.journal.max_age = std::chrono::hours(24 * 90);
  config.ingest.revoked = {"00112233-4455-6677-8899-aabbccddeeff"};
  const std::string text = FormatCollectorConfig(config);
  const auto again = ParseCollectorConfig(text, "x");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(FormatCollectorConfig(*again), text);
}

TEST(CollectorConfigTest, WorkingHoursNeedAZoneThatIsKnownAndABeginningBeforeTheEnd) {
  EXPECT_EQ(ErrorOf("[detect.hours]\nzone = \"Asia/Kolkata\"\nweekend = true\n"), "no error");
  EXPECT_THAT(ErrorOf("[detect.hours]\nzone = \"Middle/Earth\"\n"),
              HasSubstr("c.toml:2: detect.hours.zone: expected a time zone"));
  EXPECT_THAT(ErrorOf("[detect.hours]\nbegin_hour = 20\nend_hour = 7\n"),
              HasSubstr("c.toml:3: detect.hours.end_hour: must be after"));
  EXPECT_THAT(ErrorOf("[detect.budget]\nusd_per_hour = -1.0\n"), HasSubstr("c.toml:2"));
}

TEST(CollectorConfigTest, EmptyFileMeansTheDefaults) {
  const auto config = ParseCollectorConfig("", "x");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->pki(), "/var/lib/culprit/collector/pki");
  EXPECT_EQ(config->listen, "0.0.0.0:7443");
}

TEST(CollectorConfigTest, MistakesNameTheirLineAndWhatWasExpected) {
  EXPECT_EQ(ErrorOf("\nlisten_address = \"x\"\n"), "c.toml:2: unknown key \"listen_address\"");
  EXPECT_EQ(ErrorOf("[journal]\nmax_byte = 4\n"),
            "c.toml:2: unknown key \"journal.max_byte\"; did you mean \"journal.max_bytes\"?");
  EXPECT_EQ(ErrorOf("log_level = 3\n"),
            "c.toml:1: log_level: expected one of \"trace\", \"debug\", \"info\", \"warning\", "
            "\"error\", found the integer 3");
  EXPECT_THAT(ErrorOf("\n\nlisten = \"7443\"\n"),
              HasSubstr("c.toml:3: listen: expected ADDRESS:PORT"));
  EXPECT_THAT(ErrorOf("listen = \"0.0.0.0\"\n"),
              HasSubstr("c.toml:1: listen: expected ADDRESS:PORT"));
  EXPECT_THAT(ErrorOf("data_dir = \"relative\"\n"),
              HasSubstr("c.toml:1: data_dir: expected an absolute path"));
  EXPECT_THAT(ErrorOf("[journal]\nmax_bytes = \"1 MiB\"\n"),
              HasSubstr("c.toml:2: journal.max_bytes: must be at least two"));
  EXPECT_THAT(ErrorOf("[disk]\nwarn_free = 1\ncritical_free = 2\n"),
              HasSubstr("c.toml:3: disk.critical_free: must not"));
  EXPECT_THAT(ErrorOf("[ingest]\nrevoked = [\"web-1\"]\n"),
              HasSubstr("c.toml:2: ingest.revoked: expected agent ids"));
  EXPECT_THAT(ErrorOf("a = = 1\n"), HasSubstr("c.toml:1:5: not valid TOML"));
}

TEST(CollectorConfigTest, PortZeroIsForTests) {
  EXPECT_TRUE(ParseCollectorConfig("listen = \"127.0.0.1:0\"", "x"));
}

TEST(CollectorConfigTest, NamedFileMustExist) {
  EXPECT_EQ(LoadCollectorConfig("/nonexistent/collector.toml").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace culprit
