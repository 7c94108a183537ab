// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/collector/cli/golden.h"

namespace culprit::cli {
namespace {

using testing::ExpectGolden;
using testing::kNow;
using testing::Load;
using testing::Terminal;
using testing::Wide;

TEST(ViewsTest, Hosts) {
  const auto hosts = Load<v1::ListHostsResponse>("hosts");
  ExpectGolden("hosts", RenderHosts(hosts, Wide()));
  ExpectGolden("hosts_80", RenderHosts(hosts, Terminal(80)));
}

TEST(ViewsTest, HealthOfAHost) {
  const auto hosts = Load<v1::ListHostsResponse>("health");
  ExpectGolden("health", RenderHealth(hosts.hosts(0), Wide()));
  ExpectGolden("health_80", RenderHealth(hosts.hosts(0), Terminal(80)));
}

TEST(ViewsTest, HealthOfAnOldAgentSaysWhatIsNotKnown) {
  ExpectGolden("health_old", RenderHealth(Load<v1::ListHostsResponse>("hosts").hosts(0), Wide()));
}

TEST(ViewsTest, NoHostsIsAHeaderOnly) { ExpectGolden("hosts_none", RenderHosts({}, Wide())); }

TEST(ViewsTest, Flows) {
  const auto answer = Load<v1::ListFlowsResponse>("flows");
  const std::vector<v1::FlowRow> flows(answer.flows().begin(), answer.flows().end());
  ExpectGolden("flows", RenderFlows(flows, Wide()));
  ExpectGolden("flows_100", RenderFlows(flows, Terminal(100)));
  ExpectGolden("flows_80", RenderFlows(flows, Terminal(80)));
  std::string lines = FlowLineHeader(Terminal(120)) + "\n";
  for (const auto& flow : flows) lines += RenderFlowLine(flow, Terminal(120)) + "\n";
  ExpectGolden("flows_follow", lines);
}

TEST(ViewsTest, FlowsWithoutAProcessSayWhatTheyAre) {
  const auto answer = Load<v1::ListFlowsResponse>("forwarded");
  ExpectGolden("forwarded", RenderFlows({answer.flows().begin(), answer.flows().end()}, Wide()));
  ExpectGolden("forwarded_follow", FlowLineHeader(Terminal(120)) + "\n" +
                                       RenderFlowLine(answer.flows(0), Terminal(120)) + "\n");
}

TEST(ViewsTest, Dns) {
  const auto answer = Load<v1::ListDnsResponse>("dns");
  const std::vector<v1::DnsRow> rows(answer.rows().begin(), answer.rows().end());
  ExpectGolden("dns", RenderDns(rows, Wide()));
  ExpectGolden("dns_80", RenderDns(rows, Terminal(80)));
}

TEST(ViewsTest, GroupsByProcessAndByHost) {
  const auto answer = Load<v1::ListFlowsResponse>("groups");
  const std::vector<v1::FlowGroup> groups(answer.groups().begin(), answer.groups().end());
  ExpectGolden("groups_process", RenderGroups(groups, "process", Wide()));
  ExpectGolden("groups_host", RenderGroups(groups, "host", Wide()));
  ExpectGolden("groups_destination", RenderGroups(groups, "destination", Wide()));
}

TEST(ViewsTest, ProcessWithAncestryChildrenAndFlows) {
  ExpectGolden("process", RenderProcess(Load<v1::GetProcessResponse>("process"), Wide()));
  ExpectGolden("process_80", RenderProcess(Load<v1::GetProcessResponse>("process"), Terminal(80)));
}

TEST(ViewsTest, ProcessWithActivityOfItsOwn) {
  auto answer = Load<v1::GetProcessResponse>("process");
  answer.clear_flows();
  v1::Counters* c = answer.mutable_counters();
  c->set_first_contacts(900);
  c->set_first_contacts_ok(12);
  c->set_first_contacts_failed(880);
  c->set_initiated_tx_wire_bytes(209'000'000'000);
  c->set_accepted_rx_wire_bytes(208'000'000'000);
  c->set_raw_packets(50'000);
  c->set_raw_bytes(2'000'000);
  c->set_link_packets(3);
  c->set_link_bytes(180);
  c->set_bare_syns(50'001);
  c->set_window_start_ns(kNow - 10'000'000'000);
  c->set_window_addresses(254);
  c->set_window_ports(2);
  ExpectGolden("process_activity", RenderProcess(answer, Wide()));
}

TEST(ViewsTest, AProcessSaysWhatItsPackageIsAndWhetherItDiffers) {
  using ::testing::HasSubstr;
  auto answer = Load<v1::GetProcessResponse>("process");
  const auto shown = [&answer](v1::PackageState state, const char* name) {
    answer.mutable_process()->mutable_exe_package()->set_state(state);
    answer.mutable_process()->mutable_exe_package()->set_name(name);
    return RenderProcess(answer, Wide());
  };
  EXPECT_THAT(shown(v1::PACKAGE_STATE_INTACT, "curl"), HasSubstr("curl, as it was installed\n"));
  EXPECT_THAT(shown(v1::PACKAGE_STATE_DIFFERS, "cu\x1brl"),
              HasSubstr("cu\\x1brl, but the executable DIFFERS"));
  EXPECT_THAT(shown(v1::PACKAGE_STATE_NONE, ""), HasSubstr("belongs to no package"));
  EXPECT_THAT(shown(v1::PACKAGE_STATE_UNSPECIFIED, ""), ::testing::Not(HasSubstr("package")));
}

TEST(ViewsTest, ProcessOfWhichLittleIsKnown) {
  v1::GetProcessResponse answer;
  answer.mutable_process()->set_process_id("00000000000000ff");
  answer.mutable_process()->set_pid(99);
  answer.mutable_process()->set_login_uid(0xffffffffU);
  answer.mutable_process()->set_session_id(0xffffffffU);
  ExpectGolden("process_unknown", RenderProcess(answer, Wide()));
}

TEST(ViewsTest, Who) {
  const auto process = Load<v1::GetProcessResponse>("process");
  v1::FlowGroup known;
  known.set_key(process.process().process_id());
  known.set_flows(3);
  known.set_failed(1);
  known.set_tx_wire_bytes(209'000'000'000);
  known.set_first_ns(kNow - 3'600'000'000'000);
  known.set_last_ns(kNow);
  v1::FlowGroup forgotten;
  forgotten.set_key("00000000000000aa");
  forgotten.set_label("/usr/bin/curl");
  forgotten.set_host("web-2");
  ExpectGolden("who", RenderWho({{known, process}, {forgotten, {}}}, nullptr, Wide()));
}

TEST(ViewsTest, Top) {
  ExpectGolden("top_100", RenderTop(Load<v1::TopResponse>("top"), Terminal(100)));
}

TEST(ViewsTest, Status) {
  ExpectGolden("status", RenderStatus(Load<v1::GetStatusResponse>("status"), Wide()));
}

v1::DnsRow DnsOf(const std::string& text) {
  v1::DnsRow dns;
  dns.set_host(text);
  dns.set_name(text);
  dns.set_user(text);
  dns.set_command_line(text);
  dns.set_server(text);
  dns.set_type(text);
  dns.add_answers(text);
  return dns;
}

TEST(ViewsTest, TextOfHostsIsEscapedEverywhere) {
  const std::string evil = "evil\x1b[2J\nforged";
  v1::GetProcessResponse answer = Load<v1::GetProcessResponse>("process");
  for (auto* p :
       {answer.mutable_process(), answer.mutable_ancestors(0), answer.mutable_children(0)}) {
    p->set_exe(evil);
    p->set_comm(evil);
    p->set_user(evil);
    p->set_login_user(evil);
    p->set_host(evil);
    p->set_cgroup(evil);
    p->set_container_id(evil);
    p->set_argv(0, evil);
  }
  v1::FlowRow flow;
  for (auto set :
       {&v1::FlowRow::set_host<const std::string&>, &v1::FlowRow::set_user<const std::string&>,
        &v1::FlowRow::set_comm<const std::string&>, &v1::FlowRow::set_exe<const std::string&>,
        &v1::FlowRow::set_command_line<const std::string&>,
        &v1::FlowRow::set_state<const std::string&>, &v1::FlowRow::set_error<const std::string&>,
        &v1::FlowRow::set_remote<const std::string&>,
        &v1::FlowRow::set_protocol<const std::string&>}) {
    (flow.*set)(evil);
  }
  v1::ListHostsResponse hosts;
  v1::HostRow* host = hosts.add_hosts();
  host->set_hostname(evil);
  host->set_state(evil);
  host->add_degraded(evil);
  host->add_missing_hooks(evil);
  host->set_agent_name(evil);
  host->add_programs()->set_name(evil);
  host->add_losses()->set_detail(evil);
  host->mutable_losses(0)->set_cause(evil);
  host->add_missing()->set_name(evil);
  host->mutable_missing(0)->set_note(evil);
  host->mutable_coverage()->add_interfaces()->set_name(evil);
  host->mutable_coverage()->mutable_interfaces(0)->set_ifindex(2);
  v1::FlowGroup group;
  group.set_key(evil);
  group.set_label(evil);
  group.set_host(evil);
  v1::TopResponse top;
  *top.add_rows()->mutable_process() = answer.process();
  top.mutable_rows(0)->set_busiest_remote(evil);
  v1::GetStatusResponse status;
  status.set_version(evil);
  status.add_degraded(evil);
  const std::string all =
      RenderProcess(answer, Wide()) + RenderWho({{group, answer}, {group, {}}}, nullptr, Wide()) +
      RenderFlows({flow}, Wide()) + RenderFlowLine(flow, Wide()) + RenderHosts(hosts, Wide()) +
      RenderHealth(hosts.hosts(0), Wide()) + RenderGroups({group}, "exe", Wide()) +
      RenderTop(top, Wide()) + RenderDns({DnsOf(evil)}, Wide()) + RenderStatus(status, Wide());
  EXPECT_EQ(all.find('\x1b'), std::string::npos);
  EXPECT_EQ(all.find("\nforged"), std::string::npos);
}

TEST(ViewsTest, TheSshOfAHostAndWhoChangedIt) {
  ExpectGolden("posture", RenderPosture(Load<v1::HostPosture>("posture"), Wide()));
}

TEST(ViewsTest, KeysWithWhereTheyAreTaken) {
  const auto answer = Load<v1::ListKeysResponse>("keys");
  ExpectGolden("keys", RenderKeys({answer.keys().begin(), answer.keys().end()}, Wide()));
}

v1::ListFlowsResponse WithPlaces() {
  auto answer = Load<v1::ListFlowsResponse>("flows");
  for (auto& flow : *answer.mutable_flows())
    flow.set_route("unknown: region of the host is not known");
  v1::FlowRow& first = *answer.mutable_flows(0);
  first.set_region("me-south-1");
  first.set_service("EC2");
  first.set_country("BH");
  first.set_asn(64496);
  first.set_as_name("Example");
  first.set_route("ap-south-1 -> me-south-1");
  first.set_cost_known(true);
  first.set_cost_micro_usd(17'974'000);
  return answer;
}

TEST(ViewsTest, FlowsWithPlacesAndCosts) {
  const auto answer = WithPlaces();
  const std::vector<v1::FlowRow> flows(answer.flows().begin(), answer.flows().end());
  ExpectGolden("flows_where", RenderFlowsWhere(flows, Wide()));
  ExpectGolden("flows_where_100", RenderFlowsWhere(flows, Terminal(100)));
}

TEST(ViewsTest, CostsSayWhatHasNoPrice) {
  const auto costs = Load<v1::ListFlowsResponse>("cost");
  ExpectGolden("cost", RenderCost(costs, "process", Wide()) + RenderCost(costs, "region", Wide()) +
                           RenderCost(costs, "host", Terminal(80)));
  v1::ListFlowsResponse without = costs;
  without.clear_prices_date();
  EXPECT_THAT(CostNotes(without, Wide()), ::testing::StartsWith("no price table"));
}

TEST(ViewsTest, Where) {
  const auto where = Load<v1::WhereResponse>("where");
  ExpectGolden("where", RenderWhere(where, Wide()));
  ExpectGolden("where_80", RenderWhere(where, Terminal(80)));
}

TEST(ViewsTest, WhoSaysWhereTheAddressIs) {
  const auto where = Load<v1::WhereResponse>("where");
  EXPECT_THAT(RenderWho({}, &where.places(0), Wide()),
              ::testing::StartsWith("203.0.113.9 is me-south-1 EC2 BH AS64496 Example\n"));
}

}  // namespace
}  // namespace culprit::cli
