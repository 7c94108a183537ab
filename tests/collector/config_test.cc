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

// Every key of a target stands in the reference, commented out; uncommented it is a configuration.
TEST(CollectorConfigTest, TheReferencesAlertsAreRealAndHaveEveryKey) {
  const auto text = ReadFileBounded(CULPRIT_SOURCE_DIR "/deploy/collector.toml", 1 << 20);
  ASSERT_TRUE(text);
  std::string alerts = text->substr(text->find("# [[alert]]"));
  for (std::size_t at = alerts.find('#'); at != std::string::npos; at = alerts.find("\n#", at)) {
    if (alerts[at] == '\n') ++at;
    alerts.erase(at, alerts.compare(at, 2, "# ") == 0 ? 2 : 1);
  }
  const auto config = ParseCollectorConfig(alerts, "reference");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->alerts.size(), 3U);
  CollectorConfig full;
  for (const char* kind : {"webhook", "syslog", "command"}) {
    AlertTarget& target = full.alerts.emplace_back();
    target.name = kind;
    target.kind = kind;
    target.url = target.url_file = target.secret_file = target.ca_file = target.proxy =
        target.certificate_file = target.key_file = target.address = "/x";
  }
  const std::string keys = FormatCollectorConfig(full);
  for (std::size_t at = keys.find("[[alert]]"); at < keys.size(); at = keys.find('\n', at) + 1) {
    const std::string key = keys.substr(at, keys.find(" =", at) - at);
    if (key.find('\n') == std::string::npos) {
      EXPECT_THAT(*text, HasSubstr(key + " = "));
    }
    if (keys.find('\n', at) == std::string::npos) break;
  }
}

TEST(CollectorConfigTest, AlertsReadBackAsThemselves) {
  const std::string_view text = R"(
[[alert]]
name = "pager"
kind = "webhook"
min_severity = "high"
rules = ["scan"]
hosts = ["web-1"]
events = ["opened"]
url_file = "/etc/culprit/slack.url"
secret_file = "/etc/culprit/secret"
format = "slack"
timeout = "1500ms"
[[alert]]
name = "log"
kind = "syslog"
address = "udp://[2001:db8::1]:514"
facility = "local7"
[[alert]]
name = "script"
kind = "command"
command = ["/bin/x", "a \"b\""]
max_queued = 10
)";
  const auto config = ParseCollectorConfig(text, "x");
  ASSERT_TRUE(config) << config.error().message;
  const std::string formatted = FormatCollectorConfig(*config);
  const auto again = ParseCollectorConfig(formatted, "x");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(FormatCollectorConfig(*again), formatted);
  ASSERT_EQ(again->alerts.size(), 3U);
  EXPECT_EQ(again->alerts[0].min_severity, v1::SEVERITY_HIGH);
  EXPECT_EQ(again->alerts[0].timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(again->alerts[2].command, (std::vector<std::string>{"/bin/x", "a \"b\""}));
}

TEST(CollectorConfigTest, MistakesInAlertsNameTheirTable) {
  const std::string good =
      "[[alert]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://x.example\"\n";
  EXPECT_EQ(ErrorOf(good), "no error");
  EXPECT_EQ(
      ErrorOf(good + "min_sevrity = \"low\"\n"),
      "c.toml:5: unknown key \"alert[0].min_sevrity\"; did you mean \"alert[0].min_severity\"?");
  EXPECT_THAT(ErrorOf(good + good),
              HasSubstr("c.toml:6: alert[1].name: another alert has this name"));
  EXPECT_THAT(ErrorOf(good + "rules = [\"scam\"]\n"), HasSubstr("did you mean \"scan\"?"));
  EXPECT_THAT(ErrorOf(good + "events = [\"open\"]\n"), HasSubstr("\"open\" is none of them"));
  EXPECT_THAT(ErrorOf(good + "facility = \"user\"\n"),
              HasSubstr("alert[0].facility: means nothing for kind = \"webhook\""));
  EXPECT_THAT(ErrorOf(good + "url_file = \"/x\"\n"), HasSubstr("one of url and url_file"));
  EXPECT_THAT(ErrorOf("[[alert]]\nname = \"A b\"\n"), HasSubstr("alert[0].name: expected 1 to 32"));
  EXPECT_THAT(ErrorOf("[[alert]]\nname = \"a\"\n"), HasSubstr("alert[0].kind: missing"));
  EXPECT_THAT(ErrorOf("[[alert]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"ftp://x\"\n"),
              HasSubstr("c.toml:4: alert[0].url: expected an address"));
  const std::string syslog = "[[alert]]\nname = \"a\"\nkind = \"syslog\"\n";
  EXPECT_THAT(ErrorOf(syslog + "address = \"tcp://h\"\nca_file = \"/ca\"\n"),
              HasSubstr("means nothing for kind = \"syslog\" without \"tls://\""));
  EXPECT_THAT(ErrorOf(syslog + "address = \"tls://h\"\ncertificate_file = \"/c\"\n"),
              HasSubstr("go together"));
  EXPECT_EQ(ErrorOf(syslog + "address = \"tls://h\"\nca_file = \"/ca\"\n"), "no error");
  EXPECT_THAT(ErrorOf("[[alert]]\nname = \"a\"\nkind = \"syslog\"\naddress = \"log\"\n"),
              HasSubstr("c.toml:4: alert[0].address: expected"));
  EXPECT_THAT(ErrorOf("[[alert]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"x\"]\n"),
              HasSubstr("c.toml:4: alert[0].command: expected a program"));
  EXPECT_THAT(ErrorOf("alert = 3\n"), HasSubstr("c.toml:1: alert: expected tables [[alert]]"));
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
