// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/answer/reply.h"

namespace culprit {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kSecond = 1'000'000'000;
// 2026-03-01T02:03:04Z, and four days later.
constexpr std::int64_t kDeed = 1'772'330'584 * kSecond, kNow = kDeed + 4 * 86'400 * kSecond;

v1::FlowRow Flow(const std::string& process, const std::string& remote, std::uint32_t port,
                 std::int64_t start_s = 0, std::int64_t seconds = 5) {
  static int number = 0;
  v1::FlowRow row;
  row.set_agent_id("agent-1");
  row.set_host("web-1");
  row.set_process_id(process);
  row.set_flow_id(std::to_string(++number));
  row.set_local("192.0.2.10");
  row.set_local_port(51234);
  row.set_remote(remote);
  row.set_remote_port(port);
  row.set_protocol("tcp");
  row.set_direction("out");
  row.set_start_ns(kDeed + start_s * kSecond);
  row.set_last_ns(kDeed + (start_s + seconds) * kSecond);
  row.set_tx_wire_bytes(1000);
  return row;
}

v1::ListHostsResponse Hosts() {
  v1::ListHostsResponse hosts;
  auto* host = hosts.add_hosts();
  host->set_agent_id("agent-1");
  host->set_hostname("web-1");
  host->set_instance_id("i-0123456789abcdef0");
  host->add_addresses("192.0.2.10");
  auto* was = host->add_public_addresses();
  was->set_address("203.0.113.5");
  was->set_first_ns(kDeed - 3600 * kSecond);
  was->set_last_ns(kDeed + 3600 * kSecond);
  auto* other = hosts.add_hosts();
  other->set_agent_id("agent-2");
  other->set_hostname("db-1");
  other->set_instance_id("i-0fedcba9876543210");
  other->add_addresses("192.0.2.11");
  auto* now = other->add_public_addresses();
  now->set_address("203.0.113.5");
  now->set_first_ns(kDeed + 7200 * kSecond);
  now->set_last_ns(kNow);
  return hosts;
}

Answer Rank(const std::string& text, const std::vector<v1::FlowRow>& flows) {
  return RankMatches(ParseAbuseReport(text), Hosts(), flows, WallTimeFromNs(kNow));
}

std::string Best(const Answer& answer) {
  return answer.matches.empty() ? "none" : answer.matches[0].process_id;
}

TEST(MatchTest, ThePortDecidesBetweenTwoAtTheSameTime) {
  const Answer answer = Rank("2026-03-01 02:03:05Z 203.0.113.5 -> 198.51.100.7 dst port 22",
                             {Flow("web", "198.51.100.7", 443), Flow("relay", "198.51.100.7", 22)});
  EXPECT_EQ(Best(answer), "relay");
  EXPECT_EQ(answer.matches[0].confidence, "strong");
  EXPECT_THAT(answer.matches[0].best[0].why, Contains("remote port 22"));
}

TEST(MatchTest, TheTimeDecidesBetweenTwoToTheSamePort) {
  const Answer answer =
      Rank("2026-02-28 18:03:05 PST 198.51.100.7:22",
           {Flow("early", "198.51.100.7", 22, -8 * 3600), Flow("right", "198.51.100.7", 22),
            Flow("late", "198.51.100.7", 22, 8 * 3600)});
  EXPECT_EQ(Best(answer), "right");
}

TEST(MatchTest, ThePortBehindANatMayBeAnother) {
  const Answer answer = Rank("2026-03-01 02:03:05Z 203.0.113.200 port 1025 -> 198.51.100.7 port 22",
                             {Flow("relay", "198.51.100.7", 22), Flow("web", "198.51.100.7", 80)});
  EXPECT_EQ(Best(answer), "relay");
  EXPECT_THAT(answer.matches[0].best[0].why, Contains(HasSubstr("a NAT may have changed it")));
}

TEST(MatchTest, AnElasticAddressIsTheHostsThatHadItThen) {
  v1::FlowRow other = Flow("other", "198.51.100.7", 22);
  other.set_agent_id("agent-2");
  other.set_local("192.0.2.11");
  const Answer answer = Rank("2026-03-01 02:03:05Z 203.0.113.5 -> 198.51.100.7:22",
                             {other, Flow("relay", "198.51.100.7", 22)});
  EXPECT_EQ(Best(answer), "relay");
  EXPECT_THAT(answer.matches[0].best[0].why, Contains("203.0.113.5 was this host's address"));
  EXPECT_THAT(answer.notes, Contains("203.0.113.5 is or was an address of web-1, db-1"));
}

TEST(MatchTest, TheInstanceThatIsNamedGoesBeforeAnother) {
  v1::FlowRow other = Flow("other", "198.51.100.7", 22);
  other.set_agent_id("agent-2");
  const Answer answer =
      Rank("DOS,i-0123456789abcdef0,2026-03-01 02:03:04 UTC,198.51.100.7,TCP,*,22,us-east-1",
           {other, Flow("relay", "198.51.100.7", 22)});
  EXPECT_EQ(Best(answer), "relay");
}

TEST(MatchTest, SeveralAddressesAreExplainedByWhoTouchedMostOfThem) {
  std::vector<v1::FlowRow> flows = {Flow("web", "198.51.100.1", 22)};
  std::string text;
  for (int i = 1; i <= 5; ++i) {
    const std::string remote = "198.51.100." + std::to_string(i);
    flows.push_back(Flow("scan", remote, 22));
    text += "2026-03-01 02:03:05Z " + remote + ":22\n";
  }
  const Answer answer = Rank(text, flows);
  EXPECT_EQ(Best(answer), "scan");
  EXPECT_EQ(answer.matches[0].sightings, 5U);
}

TEST(MatchTest, AnEventWithoutAddressesIsWhoSentMostBeforeIt) {
  v1::FlowRow much = Flow("relay", "198.51.100.7", 22);
  much.set_tx_wire_bytes(5'000'000'000);
  v1::FlowRow inside = Flow("backup", "10.0.0.9", 22);
  inside.set_tx_wire_bytes(50'000'000'000);
  const Answer answer =
      Rank(R"({"time":"2026-03-01T06:27:57Z","resources":["i-0123456789abcdef0"]})",
           {Flow("web", "198.51.100.8", 443), much, inside});
  EXPECT_EQ(Best(answer), "relay");
  EXPECT_EQ(answer.matches[0].confidence, "weak");
}

TEST(MatchTest, WhatDoesNotFitIsNoAnswer) {
  EXPECT_EQ(
      Best(Rank("2026-03-01 02:03:05Z 198.51.100.7:22",
                {Flow("web", "198.51.100.9", 22), Flow("old", "198.51.100.7", 443, -86'400)})),
      "none");
}

TEST(MatchTest, AFlowThatIsThereTwiceCountsOnce) {
  const v1::FlowRow flow = Flow("relay", "198.51.100.7", 22);
  const Answer answer = Rank("2026-03-01 02:03:05Z 198.51.100.7:22", {flow, flow});
  ASSERT_EQ(answer.matches.size(), 1U);
  EXPECT_EQ(answer.matches[0].flows, 1U);
  EXPECT_EQ(answer.matches[0].tx_wire_bytes, 1000U);
}

TEST(MatchTest, ALogThatNamesOnlyOurAddressIsFoundByItsPort) {
  v1::FlowRow guilty = Flow("brute", "198.51.100.7", 22);
  guilty.set_local_port(40022);
  const Answer answer = Rank(
      "Mar  1 02:03:05 web sshd[31826]: Failed password for root from 203.0.113.5 port 40022 ssh2",
      {Flow("web", "198.51.100.8", 443), Flow("admin", "198.51.100.9", 22), guilty});
  EXPECT_EQ(Best(answer), "brute");
  EXPECT_THAT(answer.matches[0].best[0].why, Contains("local port 40022"));
}

TEST(MatchTest, AProcessGoesBeforeWhatWasImportedOfTheSame) {
  v1::ListHostsResponse hosts = Hosts();
  hosts.mutable_hosts(1)->set_instance_id("capture-e6e011c5d094b827");
  v1::FlowRow imported = Flow("imported", "198.51.100.7", 22);
  imported.set_agent_id("agent-2");
  imported.set_tx_wire_bytes(2000);
  const Answer answer =
      RankMatches(ParseAbuseReport("2026-03-01 02:03:05Z 198.51.100.7:22"), hosts,
                  {imported, Flow("relay", "198.51.100.7", 22)}, WallTimeFromNs(kNow));
  EXPECT_EQ(Best(answer), "relay");
}

TEST(MatchTest, AServiceThatIsNamedCountsAsItsPortWhereNoneIs) {
  const Answer answer = Rank(
      "Mar  1 02:03:05 web sshd[31826]: authentication failure; "
      "rhost=ec2-203-0-113-5.compute-1.amazonaws.com user=root",
      {Flow("web", "198.51.100.8", 443), Flow("brute", "198.51.100.7", 22)});
  EXPECT_EQ(Best(answer), "brute");
}

TEST(SearchTest, AsksForRemoteAddressesAndNotForOurs) {
  const auto searches =
      SearchesOf(ParseAbuseReport("2026-03-01 02:03:05Z 203.0.113.5 -> 198.51.100.7:22"), Hosts(),
                 WallTimeFromNs(kNow));
  ASSERT_FALSE(searches.empty());
  for (const Search& search : searches) EXPECT_EQ(search.remote->ToString(), "198.51.100.7");
  EXPECT_LE(searches.size(), 300U);
}

TEST(SearchTest, WithoutATimeAllTimesAreSearched) {
  const auto searches =
      SearchesOf(ParseAbuseReport("198.51.100.7 complains"), Hosts(), WallTimeFromNs(kNow));
  ASSERT_EQ(searches.size(), 1U);
  EXPECT_EQ(ToNs(searches[0].from), 0);
}

TEST(SearchTest, AnInstanceAloneIsAskedForTheDayBefore) {
  const auto searches = SearchesOf(
      ParseAbuseReport(R"({"time":"2026-03-01T06:27:57Z","resources":["i-0123456789abcdef0"]})"),
      Hosts(), WallTimeFromNs(kNow));
  ASSERT_FALSE(searches.empty());
  EXPECT_EQ(searches[0].host, "i-0123456789abcdef0");
  EXPECT_FALSE(searches[0].remote);
}

TEST(SearchTest, ALineWithOurAddressAloneIsAskedOfTheHostsThatHadIt) {
  const auto searches = SearchesOf(
      ParseAbuseReport("Mar  1 02:03:05 web sshd[1]: Failed password from 203.0.113.5 port 40022"),
      Hosts(), WallTimeFromNs(kNow));
  std::set<std::string> hosts;
  for (const Search& search : searches) {
    if (!search.remote) hosts.insert(search.host);
  }
  EXPECT_EQ(hosts, (std::set<std::string>{"agent-1", "agent-2"}));
}

TEST(ReplyTest, SaysWhatIsKnownAndLeavesTheRestToTheOperator) {
  const AbuseReport report =
      ParseAbuseReport("DoS,i-0123456789abcdef0,2026-03-01 02:03:05Z,198.51.100.7");
  const Answer answer =
      RankMatches(report, Hosts(), {Flow("relay", "198.51.100.7", 22)}, WallTimeFromNs(kNow));
  ASSERT_EQ(answer.matches.size(), 1U);
  Culprit culprit{answer.matches[0], {}, {}, Hosts().hosts(0), {}};
  auto* p = culprit.process.mutable_process();
  p->set_process_id("00000000000000aa");
  p->set_pid(4242);
  p->set_exe("/tmp/.x\x1b[2J");
  p->add_argv("relay");
  p->set_user("ubuntu");
  p->set_start_ns(kDeed);
  p->set_login_session_id("00000000000000bb");
  p->set_session_kind("ssh");
  p->set_session_user("ubuntu");
  p->set_session_address("203.0.113.77");
  p->set_key_fingerprint("SHA256:abc");
  const std::string reply = DraftReply(report, culprit);
  EXPECT_THAT(
      reply, HasSubstr("process 4242 (\"relay\", executable /tmp/.x\\x1b[2J), run by user ubuntu"));
  EXPECT_THAT(reply, HasSubstr("i-0123456789abcdef0"));
  EXPECT_THAT(reply, HasSubstr("198.51.100.7 port 22"));
  EXPECT_THAT(reply, HasSubstr("it had not ended"));
  EXPECT_THAT(reply, HasSubstr("came by ssh as ubuntu from 203.0.113.77 with key SHA256:abc"));
  EXPECT_THAT(reply, HasSubstr("Corrective action: [what was stopped"));
  EXPECT_THAT(reply, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace culprit
