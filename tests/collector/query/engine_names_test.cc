// SPDX-License-Identifier: Apache-2.0
// Names of flows and questions to the DNS, as operators ask for them.
#include <gmock/gmock.h>

#include "collector/query/filter.h"
#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EngineNamesTest : public QueryFixture {
 protected:
  void SetUp() override {
    QueryFixture::SetUp();
    v1::EvidenceBatch batch;
    Add(&batch, 1, v1::NAME_SOURCE_DNS, v1::NAME_CONFIDENCE_OTHER_ASKED, "cdn.example.net");
    Add(&batch, 1, v1::NAME_SOURCE_TLS_SNI, v1::NAME_CONFIDENCE_IN_FLOW, "www.example.com", "h2");
    Add(&batch, 2, v1::NAME_SOURCE_TLS_SNI, v1::NAME_CONFIDENCE_IN_FLOW, "", "http/1.1");
    Add(&batch, 3, v1::NAME_SOURCE_SOCKS, v1::NAME_CONFIDENCE_IN_FLOW, "2001:db8::9");
    batch.mutable_names(3)->set_port(22);
    Add(&batch, 4, v1::NAME_SOURCE_HTTP_CONNECT, v1::NAME_CONFIDENCE_IN_FLOW, "db.example.com");
    batch.mutable_names(4)->set_port(5432);
    AddQuestion(&batch, 5, "www.example.com", 1, 0);
    AddQuestion(&batch, 6, "none.example.org", 28, 3);
    AddQuestion(&batch, 7, "odd.example.com", 4711, 23);
    AddQuestion(&batch, 8, "lost.example.com", 16, -1);
    Take(MakeStored(++lsn_, batch, 10, 1));
  }
  static void Add(v1::EvidenceBatch* batch, std::uint64_t flow, v1::NameSource source,
                  v1::NameConfidence confidence, const std::string& name,
                  const std::string& alpn = "") {
    v1::FlowName* out = batch->add_names();
    out->set_flow_id(flow);
    out->set_at_boot_ns(BootAt(1));
    out->set_source(source);
    out->set_confidence(confidence);
    out->set_name(name);
    out->set_alpn(alpn);
  }
  static void AddQuestion(v1::EvidenceBatch* batch, double at, const std::string& name,
                          std::uint32_t type, std::int32_t rcode) {
    v1::DnsQuestion* out = batch->add_dns();
    out->set_at_boot_ns(BootAt(at));
    out->set_process_id(100);
    out->set_flow_id(1);
    out->set_server(std::string("\xc0\x00\x02\x35", 4));
    out->set_server_port(53);
    out->set_name(name);
    out->set_type(type);
    out->set_rcode(rcode);
    if (rcode == 0) {
      out->add_answers("192.0.2.7");
      out->add_answers("192.0.2.8");
    }
    out->set_questions(2);
    out->set_suppressed(9);
  }
  std::vector<v1::FlowRow> Flows(const std::string& name) {
    v1::ListFlowsRequest request;
    request.mutable_filter()->set_name(name);
    const auto answer = engine_->ListFlows(request, nullptr);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? std::vector<v1::FlowRow>(answer->flows().begin(), answer->flows().end())
                  : std::vector<v1::FlowRow>();
  }
  std::vector<std::string> Asked(const v1::ListDnsRequest& request) {
    const auto answer = engine_->ListDns(request);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    std::vector<std::string> out;
    if (answer) {
      for (const v1::DnsRow& row : answer->rows()) out.push_back(row.name());
    }
    return out;
  }
};

TEST_F(EngineNamesTest, AFlowGoesByItsSurestNameAndIsFoundByAll) {
  for (const char* name :
       {"www.example.com", "WWW.Example.COM.", "cdn.example.net", ".example.net"}) {
    const auto flows = Flows(name);
    ASSERT_EQ(flows.size(), 1U) << name;
    EXPECT_EQ(flows[0].flow_id(), "0000000000000001");
    EXPECT_EQ(flows[0].name(), "www.example.com");
    EXPECT_EQ(flows[0].name_source(), "tls_sni");
    EXPECT_EQ(flows[0].name_confidence(), "in_flow");
    EXPECT_EQ(flows[0].alpn(), "h2");
    EXPECT_EQ(flows[0].requested(), "");
    EXPECT_THAT(flows[0].community_id(), HasSubstr("1:"));
  }
  EXPECT_EQ(Flows(".example.com").size(), 2U);
  EXPECT_EQ(Flows("example.com").size(), 0U);
}

TEST_F(EngineNamesTest, ADestinationAskedOfAProxyIsNotTheNameOfTheProxy) {
  const auto v6 = Flows("2001:db8::9");
  ASSERT_EQ(v6.size(), 1U);
  EXPECT_EQ(v6[0].requested(), "[2001:db8::9]:22");
  EXPECT_EQ(v6[0].requested_by(), "socks");
  EXPECT_EQ(v6[0].name(), "");
  const auto connect = Flows("db.example.com");
  ASSERT_EQ(connect.size(), 1U);
  EXPECT_EQ(connect[0].requested(), "db.example.com:5432");
  EXPECT_EQ(connect[0].requested_by(), "http_connect");
}

TEST_F(EngineNamesTest, AHelloWithoutAServerNameGivesNone) {
  const auto answer = engine_->ListFlows({}, nullptr);
  ASSERT_TRUE(answer);
  for (const v1::FlowRow& flow : answer->flows()) {
    EXPECT_EQ(flow.name().empty(), flow.name_source().empty()) << flow.flow_id();
    if (flow.flow_id() == "0000000000000002") {
      EXPECT_EQ(flow.alpn(), "http/1.1");
    }
  }
}

TEST_F(EngineNamesTest, AFollowerKnowsAFlowByAnyOfItsNames) {
  FlowTotal flow;
  flow.host = 1;
  flow.facts.start = flow.facts.last = WallTimeFromNs(WallAt(1));
  const std::pair<std::uint64_t, const char*> named[] = {
      {1, "www.example.com"}, {1, "cdn.example.net"}, {1, ".example.com"},
      {3, "2001:db8::9"},     {4, "db.example.com"},  {4, ".com"}};
  for (const auto& [id, name] : named) {
    flow.facts.flow = FlowId{id};
    EXPECT_TRUE(FlowIsNamed(*store_, flow, name)) << id << name;
    EXPECT_FALSE(FlowIsNamed(*store_, flow, "x.test")) << id;
  }
}

TEST_F(EngineNamesTest, QuestionsAreToldInTheWordsOfTheProtocol) {
  const auto answer = engine_->ListDns({});
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->rows_size(), 4);
  const v1::DnsRow& newest = answer->rows(0);
  EXPECT_EQ(newest.name(), "lost.example.com");
  EXPECT_EQ(newest.type(), "TXT");
  EXPECT_EQ(newest.result(), "no answer");
  EXPECT_EQ(answer->rows(1).type(), "TYPE4711");
  EXPECT_EQ(answer->rows(1).result(), "RCODE23");
  EXPECT_EQ(answer->rows(2).type(), "AAAA");
  EXPECT_EQ(answer->rows(2).result(), "NXDOMAIN");
  const v1::DnsRow& oldest = answer->rows(3);
  EXPECT_EQ(oldest.host(), "web-1");
  EXPECT_EQ(oldest.process_id(), "0000000000000064");
  EXPECT_EQ(oldest.pid(), 1000U);
  EXPECT_EQ(oldest.exe(), "/usr/bin/curl");
  EXPECT_EQ(oldest.user(), "alice");
  EXPECT_EQ(oldest.at_ns(), WallAt(5));
  EXPECT_EQ(oldest.server(), "192.0.2.53");
  EXPECT_EQ(oldest.server_port(), 53U);
  EXPECT_THAT(oldest.answers(), ElementsAre("192.0.2.7", "192.0.2.8"));
  EXPECT_EQ(oldest.questions(), 2U);
  EXPECT_EQ(oldest.suppressed(), 9U);
  EXPECT_EQ(oldest.flow_id(), "0000000000000001");
}

TEST_F(EngineNamesTest, QuestionsAreFilteredAndLimited) {
  v1::ListDnsRequest request;
  request.set_limit(2);
  EXPECT_THAT(Asked(request), ElementsAre("lost.example.com", "odd.example.com"));
  request.set_name(".Example.org");
  EXPECT_THAT(Asked(request), ElementsAre("none.example.org"));
  request.clear_name();
  request.mutable_time()->set_to_ns(WallAt(6));
  EXPECT_THAT(Asked(request), ElementsAre("www.example.com"));
  request.add_process_ids("0000000000000065");
  EXPECT_THAT(Asked(request), ElementsAre());
  request.clear_process_ids();
  request.set_host("db-1");
  EXPECT_THAT(Asked(request), ElementsAre());
}

TEST_F(EngineNamesTest, BadQuestionsOfOperatorsAreRefusedAndTheFieldNamed) {
  const auto refused = [&](const char* word, auto&& set) {
    v1::ListDnsRequest request;
    set(&request);
    const auto answer = engine_->ListDns(request);
    ASSERT_FALSE(answer) << word;
    EXPECT_THAT(answer.error().message, HasSubstr(word));
  };
  refused("limit", [](v1::ListDnsRequest* r) { r->set_limit(10'001); });
  refused("process_ids", [](v1::ListDnsRequest* r) { r->add_process_ids("12"); });
  refused("process_ids", [](v1::ListDnsRequest* r) {
    for (int i = 0; i < 1001; ++i) r->add_process_ids("0000000000000064");
  });
  refused("host 'nowhere'", [](v1::ListDnsRequest* r) { r->set_host("nowhere"); });
  refused("name", [](v1::ListDnsRequest* r) { r->set_name(std::string(1025, 'a')); });
  refused("time", [](v1::ListDnsRequest* r) {
    r->mutable_time()->set_from_ns(2);
    r->mutable_time()->set_to_ns(1);
  });
}

}  // namespace
}  // namespace culprit::testing
