// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Addresses(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> out;
  for (const IpAddress& address : addresses) out.push_back(address.ToString());
  return out;
}

std::vector<std::string> Times(const std::vector<WrittenTime>& times) {
  std::vector<std::string> out;
  for (const WrittenTime& time : times) out.push_back(time.text);
  return out;
}

TEST(MarksTest, AddressesAsPeopleAndProgramsWriteThem) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"from 198.51.100.7.", {"198.51.100.7"}},
      {"198.51.100.7:443 -> [2001:db8::7]:22", {"198.51.100.7", "2001:db8::7"}},
      {"198[.]51[.]100[.]7", {"198.51.100.7"}},
      {"rhost=ec2-198-51-100-7.compute-1.amazonaws.com user=root", {"198.51.100.7"}},
      {"IP 192.0.2.1.51234 > 198.51.100.7.22: Flags [S]", {"192.0.2.1", "198.51.100.7"}},
      {"(198.51.100.7)", {"198.51.100.7"}},
      {"2001:db8::7: refused", {"2001:db8::7"}},
      {"at 12:30:45, 300.1.2.3, 1.2.3, v1.2.3.4.5x, 00:1b:44:11:3a:b7", {}},
  };
  for (const auto& [text, addresses] : cases) {
    std::string rest;
    EXPECT_EQ(Addresses(ScanMarks(text, &rest).addresses), addresses) << text;
  }
}

TEST(MarksTest, PortsAreThoseThatAreSaidToBe) {
  const std::pair<const char*, std::set<std::uint16_t>> cases[] = {
      {"198.51.100.7:443", {443}},
      {"port 22", {22}},
      {"Destination port: 8080", {8080}},
      {"SRC=192.0.2.1 DST=198.51.100.7 PROTO=TCP SPT=51234 DPT=22", {51234, 22}},
      {"ports 3127/3128/8080", {3127, 3128, 8080}},
      {"ports 80, 443 and 8080", {80, 443, 8080}},
      {"22/tcp and 53/udp", {22, 53}},
      {"\"src_port\": 51234", {51234}},
      {"from 192.0.2.1 port 51234 ssh2", {51234}},
      {"report 2026-03-01, 5 times, port 0, port 70000", {}},
  };
  for (const auto& [text, ports] : cases) {
    std::string rest;
    EXPECT_EQ(ScanMarks(text, &rest).ports, ports) << text;
  }
}

TEST(MarksTest, InstancesRegionsAccountsAndProtocols) {
  std::string rest;
  const Marks marks = ScanMarks(
      "AWS ID: 123456789012 Region: us-west-2 EC2 Instance Id: i-0123456789abcdef0 UDP, i-think",
      &rest);
  EXPECT_THAT(marks.instances, ElementsAre("i-0123456789abcdef0"));
  EXPECT_THAT(marks.regions, ElementsAre("us-west-2"));
  EXPECT_THAT(marks.accounts, ElementsAre("123456789012"));
  EXPECT_THAT(marks.protocols, ElementsAre(17));
}

TEST(ReportTest, ACsvLineAsAwsSendsIt) {
  const AbuseReport report = ParseAbuseReport(
      "DOS,i-0123456789abcdef0,2026-03-01 12:00:00 PDT,198.51.100.7,TCP,*,80,us-east-1\n");
  EXPECT_EQ(report.shape, "CSV");
  ASSERT_EQ(report.sightings.size(), 1U);
  const Sighting& sighting = report.sightings[0];
  EXPECT_THAT(Addresses(sighting.addresses), ElementsAre("198.51.100.7"));
  EXPECT_THAT(sighting.instances, ElementsAre("i-0123456789abcdef0"));
  EXPECT_THAT(sighting.numbers, ElementsAre(80));
  EXPECT_THAT(sighting.protocols, ElementsAre(6));
  EXPECT_THAT(Times(sighting.times), ElementsAre("2026-03-01 12:00:00 PDT"));
  EXPECT_THAT(report.activities, ElementsAre("denial of service"));
  EXPECT_THAT(report.regions, ElementsAre("us-east-1"));
}

TEST(ReportTest, EachLineOfALogIsASightingOfItsOwn) {
  const AbuseReport report = ParseAbuseReport(
      "Dear AWS,\nyour customer tries passwords. All times are CEST.\n\n"
      "> Jul 13 14:19:18 web sshd[31826]: Failed password for root from 198.51.100.7 port 51234\n"
      "> Jul 13 14:19:20 web sshd[31827]: Failed password for root from 198.51.100.7 port 51236\n"
      "\nRegards\n");
  EXPECT_EQ(report.shape, "log");
  ASSERT_EQ(report.sightings.size(), 2U);
  EXPECT_THAT(report.sightings[1].ports, ElementsAre(51236));
  EXPECT_EQ(report.zone.name, "CEST");
  EXPECT_THAT(report.activities, Contains("login attempts"));
}

TEST(ReportTest, WhatIsSpreadOverAParagraphBelongsTogether) {
  const AbuseReport report = ParseAbuseReport(
      "Source IP: 203.0.113.5\nDestination IP: 198.51.100.7\nDestination port: 22\n"
      "Protocol: TCP\nTime: 2026-03-01 19:03:00 PDT\n");
  ASSERT_EQ(report.sightings.size(), 1U);
  EXPECT_THAT(Addresses(report.sightings[0].addresses), ElementsAre("203.0.113.5", "198.51.100.7"));
  EXPECT_THAT(report.sightings[0].ports, ElementsAre(22));
  EXPECT_THAT(Times(report.sightings[0].times), ElementsAre("2026-03-01 19:03:00 PDT"));
}

TEST(ReportTest, TimeAndPortOfAnotherParagraphAreThoseOfAllAddresses) {
  const AbuseReport report = ParseAbuseReport(
      "Around 2026-03-01 02:03 UTC your host scanned port 22.\n\nTargets:\n198.51.100.7\n"
      "198.51.100.8\n");
  ASSERT_EQ(report.sightings.size(), 1U);
  EXPECT_THAT(Addresses(report.sightings[0].addresses),
              ElementsAre("198.51.100.7", "198.51.100.8"));
  EXPECT_THAT(report.sightings[0].ports, ElementsAre(22));
  EXPECT_THAT(Times(report.sightings[0].times), ElementsAre("2026-03-01 02:03 UTC"));
}

TEST(ReportTest, TheDateOfTheMessageIsNotThatOfTheDeed) {
  const AbuseReport report = ParseAbuseReport(
      "Date: Mon, 02 Mar 2026 10:00:00 +0000\n\n2026-03-01 02:03:04Z 198.51.100.7:22\n");
  EXPECT_THAT(Times(report.times), ElementsAre("2026-03-01 02:03:04Z"));
  EXPECT_THAT(Times(report.sent), ElementsAre("02 Mar 2026 10:00:00 +0000"));
}

TEST(ReportTest, AHealthEventHasInstanceAndTimeOnly) {
  const AbuseReport report = ParseAbuseReport(
      R"({"version":"0","detail-type":"AWS Health Abuse Event","source":"aws.health",)"
      R"("account":"123456789012","time":"2026-03-01T06:27:57Z","region":"us-east-1",)"
      R"("resources":["i-0123456789abcdef0"],"detail":{"service":"ABUSE",)"
      R"("eventTypeCode":"AWS_ABUSE_DOS_REPORT","startTime":"Sun, 01 Mar 2026 05:01:00 GMT",)"
      R"("eventDescription":[{"language":"en_US","latestDescription":"A description\nof it."}],)"
      R"("affectedEntities":[{"entityValue":"i-0123456789abcdef0"}]}})");
  EXPECT_EQ(report.shape, "JSON");
  ASSERT_EQ(report.sightings.size(), 1U);
  EXPECT_THAT(report.sightings[0].addresses, IsEmpty());
  EXPECT_THAT(report.sightings[0].instances, ElementsAre("i-0123456789abcdef0"));
  EXPECT_THAT(Times(report.sightings[0].times),
              UnorderedElementsAre("2026-03-01T06:27:57Z", "01 Mar 2026 05:01:00 GMT"));
  EXPECT_THAT(report.activities, Contains("denial of service"));
}

TEST(ReportTest, JsonLinesAreSightings) {
  const AbuseReport report = ParseAbuseReport(
      "{\"ts\":1772330584,\"src\":\"203.0.113.5\",\"dst\":\"198.51.100.7\",\"dst_port\":22}\n"
      "{\"ts\":1772330585,\"src\":\"203.0.113.5\",\"dst\":\"198.51.100.8\",\"dst_port\":22}\n");
  ASSERT_EQ(report.sightings.size(), 2U);
  EXPECT_THAT(report.sightings[0].ports, ElementsAre(22));
}

TEST(ReportTest, NothingAndTooMuchAreBounded) {
  EXPECT_THAT(ParseAbuseReport("").sightings, IsEmpty());
  EXPECT_THAT(ParseAbuseReport("Hello, nothing here.").sightings, IsEmpty());
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "2026-03-01 02:03:04Z 198.51.100.7:22\n";
  const AbuseReport report = ParseAbuseReport(many);
  EXPECT_EQ(report.sightings.size(), kMaxSightings);
  EXPECT_TRUE(report.cut);
  EXPECT_TRUE(ParseAbuseReport(std::string(3U << 20, '[')).sightings.empty());
}

}  // namespace
}  // namespace culprit
