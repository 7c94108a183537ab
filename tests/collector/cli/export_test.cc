// SPDX-License-Identifier: Apache-2.0
// Each form against tests/collector/cli/golden/export.NAME, and Zeek's with the reader of the
// agent, which shares no code with the writer. CULPRIT_UPDATE_GOLDEN=1 writes the files anew.
#include "collector/cli/export.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/source/zeek_log.h"
#include "collector/format/protocol_number.h"

namespace culprit::cli {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

// 2026-03-01T00:03:04Z
constexpr std::int64_t kNow = 1'772'323'384'000'000'000;

std::string GoldenPath(const std::string& name) {
  return std::string(CULPRIT_SOURCE_DIR "/tests/collector/cli/golden/export.") + name;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

v1::ListFlowsResponse Flows() {
  v1::ListFlowsResponse answer;
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString(ReadText(GoldenPath("textproto")), &answer));
  return answer;
}

std::string Export(ExportForm form, const v1::ListFlowsResponse& answer) {
  ExportContext context;
  context.accounts["7b0f5f4e-0000-4000-8000-000000000001"] = "123456789012";
  context.accounts["7b0f5f4e-0000-4000-8000-000000000002"] = "";
  std::string text = ExportHeader(form, kNow);
  for (const v1::FlowRow& flow : answer.flows()) text += ExportFlow(form, flow, context);
  return text + ExportFooter(form, kNow + 1'000'000'000);
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

struct Conns {
  std::vector<ZeekConn> conns;
  ZeekStats stats;
};

Conns ReadBack(const std::string& log) {
  Conns out;
  auto reader = ZeekReader::FromStream(OpenMemoryStream(log));
  EXPECT_TRUE(reader.has_value());
  ZeekRecord record;
  while (reader) {
    const auto more = (*reader)->Next(record);
    if (!more || !*more) break;
    out.conns.push_back(std::get<ZeekConn>(record));
  }
  if (reader) out.stats = (*reader)->stats();
  return out;
}

class ExportFormTest : public testing::TestWithParam<std::string> {};

TEST_P(ExportFormTest, IsWhatItWas) {
  const std::string text = Export(ExportFormOf(GetParam()), Flows());
  const std::string path = GoldenPath(GetParam());
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  EXPECT_EQ(text, ReadText(path)) << path;
}

TEST_P(ExportFormTest, NoTextOfAHostEndsALineOrAFieldOrSteersATerminal) {
  const std::string evil = "evil\x1b[2J\n\r\t,\" \xff\xc2\x9b";
  v1::ListFlowsResponse plain = Flows(), forged = Flows();
  for (v1::ListFlowsResponse* answer : {&plain, &forged}) {
    const std::string text = answer == &forged ? evil : "plain";
    for (v1::FlowRow& flow : *answer->mutable_flows()) {
      const auto& fields = *v1::FlowRow::descriptor();
      for (int i = 0; i < fields.field_count(); ++i) {
        const auto* field = fields.field(i);
        if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING) continue;
        if (field->name() == "direction") continue;
        if (field->is_repeated()) {
          flow.GetReflection()->AddString(&flow, field, text);
        } else {
          flow.GetReflection()->SetString(&flow, field, text);
        }
      }
    }
  }
  const ExportForm form = ExportFormOf(GetParam());
  const std::string expected = Export(form, plain), got = Export(form, forged);
  const char separator = form == ExportForm::kVpcFlow ? ' ' : '\t';
  const auto expected_lines = Split(expected, '\n'), lines = Split(got, '\n');
  ASSERT_EQ(lines.size(), expected_lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const bool ended = form == ExportForm::kCsv && line.ends_with('\r');
    EXPECT_EQ(Split(line, separator).size(), Split(expected_lines[i], separator).size()) << line;
    EXPECT_EQ(line.find_first_of("\x1b\r\xff\x9b"), ended ? line.size() - 1 : std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, ExportFormTest, testing::ValuesIn(ExportFormNames()),
                         [](const auto& tested) { return tested.param; });

TEST(ZeekExportTest, OurOwnReaderReadsEveryConnectionBack) {
  const Conns read = ReadBack(Export(ExportForm::kZeek, Flows()));
  EXPECT_EQ(read.stats.bad_lines, 0U);
  EXPECT_EQ(read.stats.cut_short, "");
  ASSERT_EQ(read.conns.size(), 5U);  // without the listener
  const ZeekConn& out = read.conns[0];
  EXPECT_EQ(out.uid, "C47");  // 255 = 4 * 62 + 7
  EXPECT_EQ(out.wall_ns, 1'772'323'000'000'000'000);
  EXPECT_EQ(out.originator.ToString(), "192.0.2.10:49152");
  EXPECT_EQ(out.responder.ToString(), "198.51.100.7:443");
  EXPECT_EQ(out.protocol, 6);
  EXPECT_EQ(out.service, "ssl");
  EXPECT_EQ(out.duration_ns, 384'123'456'000);
  EXPECT_EQ(out.orig_bytes, 208'000'000'000U);
  EXPECT_EQ(out.resp_bytes, 1'040'000U);
  EXPECT_EQ(out.orig_ip_bytes, 209'000'000'000U);
  EXPECT_EQ(out.resp_ip_bytes, 1'048'576U);
  EXPECT_EQ(out.orig_pkts, 140'000'000U);
  EXPECT_EQ(out.conn_state, "SF");
  EXPECT_EQ(out.history, "");
  EXPECT_EQ(out.missed_bytes, 0U);
}

TEST(ZeekExportTest, TheRemoteEndOfAnInboundFlowIsItsOriginator) {
  const Conns read = ReadBack(Export(ExportForm::kZeek, Flows()));
  ASSERT_EQ(read.conns.size(), 5U);
  const ZeekConn& in = read.conns[1];
  EXPECT_EQ(in.originator.ToString(), "[2001:db8::7]:50000");
  EXPECT_EQ(in.responder.ToString(), "[2001:db8::10]:22");
  EXPECT_EQ(in.orig_bytes, 3U);
  EXPECT_EQ(in.resp_bytes, 20U);
  EXPECT_EQ(in.orig_pkts, 2U);
  EXPECT_EQ(in.orig_ip_bytes, 60U);
  EXPECT_EQ(in.resp_pkts, 1U);
  EXPECT_EQ(in.resp_ip_bytes, 80U);
  EXPECT_EQ(in.duration_ns, std::nullopt);  // one packet has no duration
  EXPECT_EQ(read.conns[4].protocol, 58);
}

TEST(ZeekExportTest, EveryLineHasAsManyFieldsAsTheHeaderNamesAndTypes) {
  std::size_t columns = 0;
  for (const std::string& line : Split(Export(ExportForm::kZeek, Flows()), '\n')) {
    const std::size_t fields = Split(line, '\t').size();
    if (line.starts_with("#fields")) columns = fields - 1;
    if (line.starts_with("#types")) {
      EXPECT_EQ(fields - 1, columns);
    }
    if (!line.starts_with("#")) {
      EXPECT_EQ(fields, columns) << line;
    }
  }
  EXPECT_GT(columns, 0U);
}

TEST(ZeekExportTest, ATextThatLooksLikeAMarkIsNone) {
  v1::FlowRow flow = Flows().flows(0);
  flow.set_host("-");
  flow.set_exe("(empty)");
  flow.set_user("");
  EXPECT_THAT(ZeekLine(flow), EndsWith("\t\\x2d\t4242\t\\x28empty)\t-\t9f86d081884c7d65\n"));
}

TEST(ZeekExportTest, LocalIsSaidOfThisHostsEndOnly) {
  struct Case {
    const char* direction;
    const char* remote;
    const char* local_orig;
    const char* local_resp;
  };
  for (const Case& c : {Case{"out", "198.51.100.7", "T", "-"}, Case{"in", "198.51.100.7", "-", "T"},
                        Case{"out", "192.0.2.10", "T", "T"}, Case{"in", "192.0.2.10", "T", "T"},
                        Case{"forwarded", "198.51.100.7", "-", "-"}}) {
    v1::FlowRow flow = Flows().flows(0);
    flow.set_direction(c.direction);
    flow.set_remote(c.remote);
    const auto fields = Split(ZeekLine(flow), '\t');
    EXPECT_EQ(fields[12], c.local_orig) << c.direction << c.remote;
    EXPECT_EQ(fields[13], c.local_resp) << c.direction << c.remote;
  }
}

TEST(ZeekExportTest, ConnStateSaysWhatBecameOfIt) {
  struct Case {
    const char* protocol;
    const char* direction;
    const char* state;
    const char* error;
    std::uint64_t tx, rx;
    const char* expected;
  };
  const Case cases[] = {{"tcp", "out", "closed", "", 1, 1, "SF"},
                        {"tcp", "out", "open", "", 1, 1, "S1"},
                        {"tcp", "out", "handed_over", "", 1, 1, "S1"},
                        {"tcp", "out", "attempt", "", 1, 0, "S0"},
                        {"tcp", "out", "failed", "ECONNREFUSED", 1, 1, "REJ"},
                        {"tcp", "out", "failed", "ETIMEDOUT", 1, 0, "S0"},
                        {"tcp", "out", "failed", "EHOSTUNREACH", 1, 0, "S0"},
                        {"tcp", "out", "failed", "ECONNRESET", 1, 1, "RSTR"},
                        {"tcp", "in", "failed", "ECONNRESET", 1, 1, "RSTO"},
                        {"tcp", "out", "failed", "EPERM", 0, 0, "OTH"},
                        {"tcp", "out", "failed", "EACCES", 0, 0, "OTH"},
                        {"tcp", "out", "aborted", "", 1, 0, "RSTOS0"},
                        {"tcp", "out", "not_sent", "", 0, 0, "OTH"},
                        {"udp", "out", "open", "", 1, 1, "SF"},
                        {"udp", "out", "open", "", 1, 0, "S0"},
                        {"udp", "in", "open", "", 1, 0, "SHR"},
                        {"udp", "in", "closed", "", 0, 0, "OTH"},
                        {"icmp", "out", "open", "", 1, 1, "OTH"},
                        {"132", "out", "open", "", 1, 1, "OTH"}};
  for (const Case& c : cases) {
    v1::FlowRow flow = Flows().flows(0);
    flow.set_protocol(c.protocol);
    flow.set_direction(c.direction);
    flow.set_state(c.state);
    flow.set_error(c.error);
    flow.set_tx_packets(c.tx);
    flow.set_rx_packets(c.rx);
    EXPECT_EQ(Split(ZeekLine(flow), '\t')[11], c.expected)
        << c.protocol << c.direction << c.state << c.error;
  }
}

TEST(ZeekExportTest, AServiceIsNamedOnlyWhereTheFlowSaidSo) {
  struct Case {
    const char* name_source;
    const char* requested_by;
    const char* expected;
  };
  for (const Case& c : {Case{"tls_sni", "", "ssl"}, Case{"quic_sni", "", "quic"},
                        Case{"http_host", "", "http"}, Case{"dns", "", "-"}, Case{"", "", "-"},
                        Case{"", "socks", "socks"}, Case{"", "http_connect", "http"}}) {
    v1::FlowRow flow = Flows().flows(0);
    flow.set_name_source(c.name_source);
    flow.set_requested_by(c.requested_by);
    EXPECT_EQ(Split(ZeekLine(flow), '\t')[7], c.expected) << c.name_source << c.requested_by;
  }
}

TEST(ZeekExportTest, TimesThatNoHostHasAreStillTimes) {
  v1::FlowRow flow = Flows().flows(0);
  const std::pair<std::int64_t, std::int64_t> cases[] = {
      {INT64_MIN, kNow}, {kNow, INT64_MIN}, {-1, 0}, {0, 0}};
  for (const auto& [start, last] : cases) {
    flow.set_start_ns(start);
    flow.set_last_ns(last);
    EXPECT_EQ(ReadBack(ZeekHeader(kNow) + ZeekLine(flow)).stats.bad_lines, 0U) << start;
  }
}

TEST(CsvExportTest, AFormulaIsTextAndANumberStaysOne) {
  for (const char* text : {"=1+1", "+1", "-1", "@SUM(A1)"}) {
    v1::FlowRow flow;
    flow.set_comm(text);
    flow.set_pid(7);
    EXPECT_THAT(CsvLine(flow), HasSubstr(",7,'" + std::string(text) + ",")) << text;
  }
  v1::FlowRow flow;
  flow.set_comm("a=b");
  EXPECT_THAT(CsvLine(flow), HasSubstr(",a=b,"));
}

TEST(CsvExportTest, QuotesAndCommasAreQuoted) {
  v1::FlowRow flow;
  flow.set_command_line("say \"hi\", all");
  EXPECT_THAT(CsvLine(flow), HasSubstr(",\"say \"\"hi\"\", all\","));
}

TEST(CsvExportTest, TheHeaderNamesEveryFieldOnce) {
  const auto names = Split(CsvHeader(), ',');
  EXPECT_EQ(names.size(), static_cast<std::size_t>(v1::FlowRow::descriptor()->field_count()));
  EXPECT_EQ(names[0], "agent_id");
  EXPECT_EQ(names[17], "start_time");
  EXPECT_EQ(names[18], "last_time");
}

TEST(VpcFlowExportTest, EachDirectionHasALineOfItsOwn) {
  const auto lines = Split(Export(ExportForm::kVpcFlow, Flows()), '\n');
  ASSERT_EQ(lines.size(), 11U);  // the header, and two for each flow but the listener
  EXPECT_EQ(lines[1],
            "5 123456789012 - 192.0.2.10 198.51.100.7 49152 443 6 140000000 209000000000 "
            "1772323000 1772323384 ACCEPT OK egress");
  EXPECT_EQ(lines[2],
            "5 123456789012 - 198.51.100.7 192.0.2.10 443 49152 6 20000 1048576 "
            "1772323000 1772323384 ACCEPT OK ingress");
  for (const std::string& line : lines) EXPECT_EQ(Split(line, ' ').size(), 15U) << line;
}

TEST(VpcFlowExportTest, OnlyWhatTheHostDeniedIsRejected) {
  for (const auto& [error, action] : {std::pair{"EPERM", "REJECT"},
                                      {"EACCES", "REJECT"},
                                      {"ECONNREFUSED", "ACCEPT"},
                                      {"", "ACCEPT"}}) {
    v1::FlowRow flow = Flows().flows(0);
    flow.set_error(error);
    EXPECT_THAT(VpcFlowLines(flow, {}), HasSubstr(std::string(" ") + action + " OK ")) << error;
  }
}

TEST(ProtocolNumberTest, NamesAndNumbersOfTheQueryService) {
  const std::pair<const char*, int> cases[] = {{"tcp", 6},    {"udp", 17},   {"icmp", 1},
                                               {"icmp6", 58}, {"sctp", 132}, {"47", 47},
                                               {"256", -1},   {"", -1},      {"4x", -1}};
  for (const auto& [text, number] : cases) EXPECT_EQ(ProtocolNumber(text), number) << text;
}

}  // namespace
}  // namespace culprit::cli
