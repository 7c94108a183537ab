// SPDX-License-Identifier: Apache-2.0
// The report of one incident against golden files, and what somebody on the host may not do to
// whoever reads it. CULPRIT_UPDATE_GOLDEN=1 writes the files anew.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "collector/report/outline.h"

namespace culprit::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'772'323'200 * kSecond;  // 2026-03-01T00:00:00Z
constexpr const char* kHostile =
    "x\"'><script>alert(1)</script><img src=http://203.0.113.66/a "
    "onerror=1>|`[l](http://e.example)`"
    "![i](https://e.example/p) www.e.example a@e.example \x1b[2J\xff\n# head\n- item";

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

template <class Message>
Message Load(const std::string& name) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      ReadText(CULPRIT_SOURCE_DIR "/tests/collector/cli/golden/" + name + ".textproto"), &message));
  return message;
}

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = CULPRIT_SOURCE_DIR "/tests/collector/report/golden/" + name;
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  EXPECT_EQ(text, ReadText(path)) << path;
}

v1::Finding Relay() {
  v1::Finding finding;
  finding.set_id("4f1c09a2b7d3e865");
  finding.set_rule("ssh-relay");
  finding.set_severity(v1::SEVERITY_HIGH);
  finding.set_confidence(v1::CONFIDENCE_HIGH);
  finding.set_reason("the sshd of a login connects to 3 destinations by itself");
  finding.set_first_ns(kStart + 100 * kSecond);
  finding.set_trigger_ns(kStart + 101 * kSecond);
  finding.set_last_ns(kStart + 160 * kSecond);
  finding.add_attack_ids("T1572");
  v1::Target& target = *finding.add_targets();
  target.set_address("198.51.100.7");
  target.set_port(443);
  return finding;
}

v1::FlowGroup Destination(const std::string& address, std::uint64_t sent) {
  v1::FlowGroup group;
  group.set_key(address);
  group.set_label(address);
  group.set_region("me-south-1");
  group.set_service("EC2");
  group.set_flows(3);
  group.set_tx_wire_bytes(sent);
  group.set_rx_wire_bytes(sent / 100);
  group.set_has_cost(true);
  group.set_cost_micro_usd(17'970'000);
  group.set_first_ns(kStart + 100 * kSecond);
  group.set_last_ns(kStart + 160 * kSecond);
  return group;
}

Incident Night() {
  Incident incident;
  incident.tool = "culprit 1";
  incident.made_ns = kStart + 600 * kSecond;
  incident.from_ns = kStart - 3'600 * kSecond;
  incident.to_ns = incident.made_ns;
  v1::HostRow& host = incident.host;
  host.set_instance_id("i-0123456789abcdef0");
  host.set_hostname("web-1");
  host.set_account_id("123456789012");
  host.set_availability_zone("ap-south-1a");
  host.set_os("Debian GNU/Linux 12 (bookworm)");
  host.set_kernel("6.1.0");
  host.set_state("online");
  host.set_agent_version("1");
  host.set_last_received_ns(kStart + 599 * kSecond);
  host.add_addresses("192.0.2.10");
  host.set_gaps(1);
  incident.findings.push_back(Relay());
  incident.processes.push_back(Load<v1::GetProcessResponse>("process"));
  incident.sessions.push_back(Load<v1::GetSessionResponse>("session"));
  *incident.logins.add_logins() = incident.sessions[0].login();
  auto& failed = *incident.failed.add_failures();
  failed.set_minute_ns(kStart + 60 * kSecond);
  failed.set_count(3);
  *incident.destinations.add_groups() = Destination("198.51.100.7", 209'000'000'000);
  *incident.destinations.add_groups() = Destination("10.0.0.5", 1'000);
  incident.destinations.set_cost_micro_usd(17'970'000);
  incident.destinations.set_prices_date("2026-01-01");
  for (int minute = 0; minute < 3; ++minute)
    incident.series.push_back({kStart + minute * 60 * kSecond, kStart + (minute + 1) * 60 * kSecond,
                               minute == 1 ? 200'000'000'000U : 4'500'000'000U, 1'000'000'000U});
  incident.posture = Load<v1::HostPosture>("posture");
  const auto keys = Load<v1::ListKeysResponse>("keys");
  for (const auto& key : keys.keys()) incident.keys.push_back(key);
  incident.snapshots.push_back({"5b0c9a1e-0000-4000-8000-000000000001", "complete",
                                std::string(64, 'a'), "SHA256:key", "", kStart + 300 * kSecond,
                                5'000'000, 3});
  incident.notable.push_back({"scheduled", 0, "/var/spool/cron/crontabs/root, changed yesterday"});
  incident.cloud.told = true;
  incident.cloud.image_id = "ami-0123456789abcdef0";
  incident.cloud.group = "web asg";
  incident.cloud.template_id = "lt-0123456789abcdef0";
  incident.cloud.template_version = "7";
  incident.reply = "Hello,\n\nWe have investigated your report.\n";
  incident.gaps.emplace_back("one finding that an operator called a false positive is left out");
  return incident;
}

Incident Hostile() {
  Incident incident = Night();
  incident.reply = kHostile;
  incident.host.set_hostname(kHostile);
  incident.host.set_instance_id(kHostile);
  incident.findings[0].set_reason(kHostile);
  auto& process = *incident.processes[0].mutable_process();
  process.set_comm(kHostile);
  process.set_exe(kHostile);
  process.add_argv(kHostile);
  process.set_user(kHostile);
  incident.sessions[0].mutable_login()->set_user(kHostile);
  incident.sessions[0].mutable_login()->set_key_fingerprint(kHostile);
  incident.destinations.mutable_groups(0)->set_label(kHostile);
  incident.posture.mutable_changes(0)->set_path(kHostile);
  incident.posture.mutable_changes(1)->set_diff(kHostile);
  incident.keys[0].mutable_key()->set_comment(kHostile);
  incident.notable[0].text = kHostile;
  incident.cloud.group = incident.cloud.image_id = kHostile;
  return incident;
}

TEST(ReportTest, TheNightAsAPage) { ExpectGolden("night.html", WriteHtml(MakeOutline(Night()))); }
TEST(ReportTest, TheNightAsMarkdown) {
  ExpectGolden("night.md", WriteMarkdown(MakeOutline(Night())));
}
TEST(ReportTest, TheNightAsIndicators) { ExpectGolden("night.json", IndicatorsJson(Night())); }
TEST(ReportTest, AHostWithoutAnythingFound) {
  Incident quiet;
  quiet.tool = "culprit 1";
  ExpectGolden("quiet.md", WriteMarkdown(MakeOutline(quiet)));
}

// Every tag of the page is one that we wrote, and nothing names another place.
TEST(ReportTest, WhatAHostSaysIsNoHtml) {
  const std::string page = WriteHtml(MakeOutline(Hostile()));
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_EQ(page.find('\xff'), std::string::npos);
  const std::regex tag("<(/?)([a-zA-Z!0-9]+)([^>]*)>");
  const std::set<std::string> known = {"!DOCTYPE", "html", "head", "meta", "title", "style",
                                       "body",     "h1",   "h2",   "p",    "div",   "table",
                                       "tr",       "th",   "td",   "ul",   "ol",    "li",
                                       "pre",      "svg",  "line", "text", "rect"};
  for (auto it = std::sregex_iterator(page.begin(), page.end(), tag); it != std::sregex_iterator();
       ++it) {
    EXPECT_TRUE(known.contains((*it)[2])) << it->str();
    const std::string rest = (*it)[3];
    for (const char* not_ours : {"src=", "href=", "onerror", "url("})
      EXPECT_EQ(rest.find(not_ours), std::string::npos) << it->str();
  }
  for (const char* word : {"<script", "<img", "<link", "<a ", "@import", "url("})
    EXPECT_EQ(page.find(word), std::string::npos) << word;
}

TEST(ReportTest, WhatAHostSaysMakesNoLinkImageOrTableInMarkdown) {
  const std::string text = WriteMarkdown(MakeOutline(Hostile()));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  std::istringstream lines(text);
  std::size_t columns = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("    ")) continue;  // verbatim: nothing in it means anything
    EXPECT_THAT(line, Not(HasSubstr("http://")));
    EXPECT_THAT(line, Not(HasSubstr("https://")));
    EXPECT_THAT(line, Not(HasSubstr("www.")));
    EXPECT_FALSE(std::regex_search(line, std::regex("(^|[^\\\\])[`\\[!]"))) << line;
    EXPECT_EQ(line.find("<script"), std::string::npos);
    EXPECT_NE(line, "# head");
    if (!line.starts_with("|")) {
      columns = 0;
      continue;
    }
    const std::string plain = std::regex_replace(line, std::regex("\\\\."), "");
    const auto count = static_cast<std::size_t>(std::count(plain.begin(), plain.end(), '|'));
    if (columns == 0) columns = count;
    EXPECT_EQ(count, columns) << line;
  }
}

TEST(ReportTest, IndicatorsAreStixAndLeaveOutWhatEverybodyHas) {
  Incident incident = Night();
  incident.processes[0].mutable_process()->set_exe("/tmp/.x/relay");
  const auto json = nlohmann::json::parse(IndicatorsJson(incident));
  const std::regex id(
      "(indicator|bundle)--[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
      "[0-9a-f]{12}");
  EXPECT_TRUE(std::regex_match(json["id"].get<std::string>(), id));
  std::string patterns;
  for (const auto& object : json["objects"]) {
    EXPECT_TRUE(std::regex_match(object["id"].get<std::string>(), id)) << object["id"];
    EXPECT_EQ(object["pattern_type"], "stix");
    patterns += object["pattern"].get<std::string>() + "\n";
  }
  EXPECT_THAT(patterns, HasSubstr("[ipv4-addr:value = '198.51.100.7']"));
  EXPECT_THAT(patterns, HasSubstr("[file:hashes.'SHA-256' = 'e3b0c442"));
  EXPECT_THAT(patterns, HasSubstr("[x-ssh-key:fingerprint = 'SHA256:nu5a7"));
  EXPECT_THAT(patterns, Not(HasSubstr("10.0.0.5")));
  incident.processes[0].mutable_process()->set_exe("/usr/sbin/sshd");
  EXPECT_THAT(IndicatorsJson(incident), Not(HasSubstr("SHA-256")));
}

TEST(ReportTest, AQuoteInAValueDoesNotEndItsPattern) {
  Incident incident = Night();
  incident.sessions[0].mutable_login()->set_key_fingerprint("x' OR 'a'='a");
  EXPECT_THAT(nlohmann::json::parse(IndicatorsJson(incident))["objects"][0]["pattern"],
              "[x-ssh-key:fingerprint = 'x\\' OR \\'a\\'=\\'a']");
}

TEST(ReportTest, AThousandDestinationsAreBounded) {
  Incident incident = Night();
  for (int i = 0; i < 1'000; ++i) {
    *incident.destinations.add_groups() =
        Destination("203.0.113." + std::to_string(i % 250), 1'000);
  }
  EXPECT_THAT(WriteMarkdown(MakeOutline(incident)), HasSubstr("more destinations"));
  EXPECT_LT(WriteHtml(MakeOutline(incident)).size(), 1'000'000U);
}

}  // namespace
}  // namespace culprit::report
