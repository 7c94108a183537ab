// SPDX-License-Identifier: Apache-2.0
#include "agent/source/zeek_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/capture_bytes.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr char kHeader[] =
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n";

struct Log {
  std::vector<ZeekConn> conns;
  std::vector<ZeekDns> dns;
  ZeekStats stats;
  std::string error;
};

Log ReadAll(std::string_view bytes) {
  Log log;
  auto reader = ZeekReader::FromStream(OpenMemoryStream(bytes));
  if (!reader) {
    log.error = reader.error().message;
    return log;
  }
  ZeekRecord record;
  while (true) {
    const auto more = (*reader)->Next(record);
    EXPECT_TRUE(more.has_value());
    if (!more || !*more) break;
    if (auto* conn = std::get_if<ZeekConn>(&record)) log.conns.push_back(*conn);
    if (auto* dns = std::get_if<ZeekDns>(&record)) log.dns.push_back(*dns);
  }
  log.stats = (*reader)->stats();
  return log;
}

std::string Conn(const std::string& lines) {
  return std::string(kHeader) +
         "#path\tconn\n#open\t2026-01-01-00-00-00\n"
         "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t"
         "orig_bytes\tresp_bytes\tconn_state\tlocal_orig\tmissed_bytes\thistory\torig_pkts\t"
         "orig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tlabel\n#types\ttime\tstring\n" +
         lines + "#close\t2026-01-01-01-00-00\n";
}
constexpr char kConnLine[] =
    "1655157610.743948\tCabc\t192.0.2.1\t40000\t2001:db8::1\t443\ttcp\tssl\t1.5\t10\t20\tSF\tT\t3\t"
    "ShAD\t4\t5\t6\t7\t(empty)\tBenign\n";

TEST(ZeekLogTest, AConnectionIsReadFieldByField) {
  const Log log = ReadAll(Conn(kConnLine));
  ASSERT_EQ(log.error, "");
  ASSERT_EQ(log.conns.size(), 1U);
  const ZeekConn& conn = log.conns[0];
  EXPECT_EQ(conn.wall_ns, 1'655'157'610'743'948'000);
  EXPECT_EQ(conn.uid, "Cabc");
  EXPECT_EQ(conn.originator.ToString(), "192.0.2.1:40000");
  EXPECT_EQ(conn.responder.ToString(), "[2001:db8::1]:443");
  EXPECT_EQ(conn.protocol, 6);
  EXPECT_EQ(conn.service, "ssl");
  EXPECT_EQ(conn.duration_ns, kSecond * 3 / 2);
  EXPECT_EQ(conn.orig_bytes, 10U);
  EXPECT_EQ(conn.resp_bytes, 20U);
  EXPECT_EQ(conn.conn_state, "SF");
  EXPECT_EQ(conn.missed_bytes, 3U);
  EXPECT_EQ(conn.history, "ShAD");
  EXPECT_EQ(conn.orig_pkts, 4U);
  EXPECT_EQ(conn.orig_ip_bytes, 5U);
  EXPECT_EQ(conn.resp_pkts, 6U);
  EXPECT_EQ(conn.resp_ip_bytes, 7U);
  EXPECT_EQ(log.stats.bad_lines, 0U);
  EXPECT_EQ(log.stats.records, 1U);
  EXPECT_EQ(log.stats.lines, 10U);
}

TEST(ZeekLogTest, ColumnsMayStandInAnyOrderWithAnySeparatorAndMarks) {
  const Log log = ReadAll(
      "#separator |\n#empty_field|EMPTY\n#unset_field|NIL\n"
      "#fields|conn_state|unknown|id.resp_p|id.resp_h|service|proto|ts|id.orig_h|id.orig_p|"
      "duration\n"
      "S0|x|53|192.0.2.2|EMPTY|udp|5|192.0.2.1|1|NIL\n");
  ASSERT_EQ(log.conns.size(), 1U) << log.error;
  EXPECT_EQ(log.conns[0].conn_state, "S0");
  EXPECT_EQ(log.conns[0].responder.ToString(), "192.0.2.2:53");
  EXPECT_EQ(log.conns[0].service, "");
  EXPECT_EQ(log.conns[0].protocol, 17);
  EXPECT_EQ(log.conns[0].wall_ns, 5 * kSecond);
  EXPECT_EQ(log.conns[0].duration_ns, std::nullopt);
  EXPECT_EQ(log.conns[0].orig_bytes, std::nullopt);
}

TEST(ZeekLogTest, UnsetIsNotZero) {
  const Log log = ReadAll(
      Conn("1\tC\t192.0.2.1\t3\t192.0.2.2\t1\ticmp\t-\t-\t-\t-\tOTH\t-\t0\t-\t-\t-\t-\t-\t-\t-\n"));
  ASSERT_EQ(log.conns.size(), 1U);
  const ZeekConn& conn = log.conns[0];
  EXPECT_EQ(conn.protocol, 1);
  EXPECT_EQ(conn.service, "");
  EXPECT_EQ(conn.history, "");
  EXPECT_EQ(conn.orig_bytes, std::nullopt);
  EXPECT_EQ(conn.missed_bytes, 0U);
  EXPECT_EQ(conn.orig_pkts, std::nullopt);
}

TEST(ZeekLogTest, AnswersAndTheirTimesAreListsAndEscapesAreUndone) {
  const std::string header = std::string(kHeader) +
                             "#path\tdns\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\t"
                             "id.resp_p\tproto\tquery\tqtype\trcode\tAA\tanswers\tTTLs\n";
  const std::string ends = "1\tC\t192.0.2.1\t5\t192.0.2.53\t53\tudp\t";
  const Log log =
      ReadAll(header + ends + "a\\x09b\\\\x\t1\t0\tF\t192.0.2.9,x\\x2cy,-\t60.000000,0.5,1e1\n" +
              ends + "(empty)\t-\t-\tF\t-\t(empty)\n");
  ASSERT_EQ(log.dns.size(), 2U) << log.error;
  EXPECT_EQ(log.dns[0].query, "a\tb\\x");
  EXPECT_EQ(log.dns[0].qtype, 1U);
  EXPECT_EQ(log.dns[0].rcode, 0U);
  EXPECT_THAT(log.dns[0].answers, ElementsAre("192.0.2.9", "x,y", ""));
  EXPECT_THAT(log.dns[0].ttl_ns, ElementsAre(60 * kSecond, kSecond / 2, 10 * kSecond));
  EXPECT_EQ(log.dns[1].query, "");
  EXPECT_EQ(log.dns[1].qtype, std::nullopt);
  EXPECT_EQ(log.dns[1].rcode, std::nullopt);
  EXPECT_THAT(log.dns[1].answers, IsEmpty());
  EXPECT_THAT(log.dns[1].ttl_ns, IsEmpty());
}

TEST(ZeekLogTest, JsonLinesSayTheSame) {
  const Log log = ReadAll(
      R"({"ts":1655157610.743948,"uid":"C","id.orig_h":"192.0.2.1","id.orig_p":40000,"id.resp_h":"2001:db8::1","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1e-06,"orig_bytes":10,"conn_state":"SF","missed_bytes":0,"orig_pkts":4,"other":{"a":[1]}})"
      "\n\n"
      R"({"_path":"dns","ts":"2022-06-13T22:00:10.743948Z","id":{"orig_h":"192.0.2.1","orig_p":5,"resp_h":"192.0.2.53","resp_p":53},"proto":"udp","query":"example.org","qtype":1,"rcode":null,"answers":["192.0.2.9","x"],"TTLs":[60.0,1]})"
      "\r\n"
      R"({"ts":1655157610743.948,"id.orig_h":"2001:db8::1","id.resp_h":"2001:db8::2","proto":"icmp","conn_state":"OTH"})");
  ASSERT_EQ(log.conns.size(), 2U) << log.error;
  EXPECT_EQ(log.conns[0].wall_ns, 1'655'157'610'743'948'000);
  EXPECT_EQ(log.conns[0].responder.ToString(), "[2001:db8::1]:443");
  EXPECT_EQ(log.conns[0].duration_ns, 1'000);
  EXPECT_EQ(log.conns[0].orig_bytes, 10U);
  EXPECT_EQ(log.conns[0].resp_bytes, std::nullopt);
  EXPECT_EQ(log.conns[1].wall_ns, 1'655'157'610'743'948'000);
  EXPECT_EQ(log.conns[1].protocol, 58);
  ASSERT_EQ(log.dns.size(), 1U);
  EXPECT_EQ(log.dns[0].wall_ns, 1'655'157'610'743'948'000);
  EXPECT_EQ(log.dns[0].originator.ToString(), "192.0.2.1:5");
  EXPECT_EQ(log.dns[0].rcode, std::nullopt);
  EXPECT_THAT(log.dns[0].answers, ElementsAre("192.0.2.9", "x"));
  EXPECT_THAT(log.dns[0].ttl_ns, ElementsAre(60 * kSecond, kSecond));
  EXPECT_EQ(log.stats.bad_lines, 0U);
}

TEST(ZeekLogTest, ShippersWriteUnderscoresForDots) {
  const Log log = ReadAll(
      R"({"@stream":"conn","ts":1655157610.5,"id_orig_h":"192.0.2.1","id_orig_p":40000,"id_resp_h":"192.0.2.2","id_resp_p":443,"proto":"tcp","conn_state":"SF"})");
  ASSERT_EQ(log.conns.size(), 1U) << log.error;
  EXPECT_EQ(log.conns[0].originator.ToString(), "192.0.2.1:40000");
  EXPECT_EQ(log.conns[0].responder.ToString(), "192.0.2.2:443");
}

TEST(ZeekLogTest, ABadLineIsCountedWithItsNumberAndTheRestIsRead) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string line = kConnLine;
    return line.replace(line.find(from), from.size(), to);
  };
  const std::pair<std::string, std::string> kCases[] = {
      {with("1655157610.743948", "-"), "ts is missing"},
      {with("1655157610.743948", "16551x"), "ts cannot be read"},
      {with("1655157610.743948", "99999999999999999999"), "ts cannot be read"},
      {with("192.0.2.1", "192.0.2"), "id.orig_h cannot be read"},
      {with("40000", "70000"), "id.orig_p cannot be read"},
      {with("\t10\t", "\t-10\t"), "orig_bytes cannot be read"},
      {with("\t1.5\t", "\tlong\t"), "duration cannot be read"},
      {with("\tBenign", ""), "fewer columns than #fields names"},
      {with("Benign", "Benign\tmore"), "more columns than #fields names"},
      {"{\"ts\":\n", "not a JSON object"},
      {"{\"ts\":1}\n", "of neither conn nor dns"},
      {std::string(kMaxZeekLineBytes + 1, 'x') + "\n", "too long"},
      {std::string(3 * kWindowBytes, 'x') + "\n", "too long"},
  };
  for (const auto& [line, reason] : kCases) {
    const Log log = ReadAll(Conn(kConnLine + line + kConnLine));
    EXPECT_EQ(log.conns.size(), 2U) << reason;
    ASSERT_EQ(log.stats.bad_lines, 1U) << reason;
    EXPECT_EQ(log.stats.bad[0].reason, reason);
    EXPECT_EQ(log.stats.bad[0].line, 10U) << reason;
  }
}

TEST(ZeekLogTest, LogsJoinedEndToEndFollowTheirOwnHeaders) {
  const Log log = ReadAll(Conn(kConnLine) + kHeader +
                          "#fields\tquery\tqtype\tid.resp_h\tid.orig_h\tts\n"
                          "example.org\t28\t192.0.2.53\t192.0.2.1\t7\n" +
                          Conn(kConnLine));
  EXPECT_EQ(log.conns.size(), 2U);
  ASSERT_EQ(log.dns.size(), 1U);
  EXPECT_EQ(log.dns[0].qtype, 28U);
}

TEST(ZeekLogTest, PackedLogsAreReadAndACutOneGivesItsWholeLines) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += kConnLine;
  const std::string plain = Conn(lines);
  for (const std::string& packed : {PackGzip(plain), PackZstd(plain)}) {
    EXPECT_EQ(ReadAll(packed).conns.size(), 1000U);
    EXPECT_EQ(ReadAll(packed).stats.cut_short, "");
    for (std::size_t cut = packed.size() / 2; cut < packed.size(); ++cut) {
      const Log log = ReadAll(packed.substr(0, cut));
      if (!log.error.empty()) continue;
      EXPECT_THAT(log.stats.cut_short, HasSubstr("cut off"));
      for (const ZeekConn& conn : log.conns) ASSERT_EQ(conn.resp_ip_bytes, 7U);
    }
  }
}

TEST(ZeekLogTest, WhatIsNoSuchLogIsNamed) {
  const std::pair<std::string, std::string> kCases[] = {
      {"", "no #fields"},
      {"#separator \\x09\n#path\tconn\n", "no #fields"},
      {"hello\n", "neither header nor JSON"},
      {std::string(kHeader) + "#path\thttp\n#fields\tts\turi\n", "\"http\""},
      {"{\"a\":1}\n", "neither Zeek's conn nor its dns"},
      {"PK\x03\x04....", "unzip"},
  };
  for (const auto& [bytes, says] : kCases) EXPECT_THAT(ReadAll(bytes).error, HasSubstr(says));
  EXPECT_EQ(ZeekReader::Open("/nonexistent/file").error().code, Code::kNotFound);
}

TEST(ZeekLogTest, TimesAreReadExactly) {
  const std::pair<const char*, std::optional<std::int64_t>> kCases[] = {
      {"0", 0},
      {"1.000000001", kSecond + 1},
      {"1.0000000019", kSecond + 1},
      {"-1.5", -kSecond * 3 / 2},
      {"1970-01-02T00:00:00Z", 86'400 * kSecond},
      {"1970-01-01T00:00:01.25Z", kSecond * 5 / 4},
      {"1970-13-01T00:00:00Z", std::nullopt},
      {"1970-01-01T00:00:00", std::nullopt},
      {"1970-01-01T00:00:00.1e9Z", std::nullopt},
      {"100000000000.5", 100'000'000'000'500'000},
      {"9999999999", std::nullopt},
      {"1e300", std::nullopt},
      {"", std::nullopt},
      {"-", std::nullopt},
      {"1.2.3", std::nullopt},
      {"nan", std::nullopt},
  };
  for (const auto& [text, expected] : kCases) EXPECT_EQ(ParseZeekTime(text), expected) << text;
}

}  // namespace
}  // namespace culprit
