// SPDX-License-Identifier: Apache-2.0
#include "collector/report/outline.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "collector/detect/rules.h"
#include "common/time.h"
#include "common/units.h"

namespace culprit::report {
namespace {

constexpr int kMaxDestinations = 40;

std::string SeverityWord(v1::Severity severity) {
  switch (severity) {
    case v1::SEVERITY_CRITICAL:
      return "critical";
    case v1::SEVERITY_HIGH:
      return "high";
    case v1::SEVERITY_MEDIUM:
      return "medium";
    default:
      return "low";
  }
}

std::string ConfidenceWord(v1::Confidence confidence) {
  return confidence == v1::CONFIDENCE_HIGH     ? "high"
         : confidence == v1::CONFIDENCE_MEDIUM ? "medium"
                                               : "low";
}

std::string Or(const std::string& text, const std::string& otherwise) {
  return text.empty() ? otherwise : text;
}

std::string HostName(const v1::HostRow& host) {
  return Or(host.instance_id(), Or(host.hostname(), host.agent_name()));
}

Section Summary(const Incident& incident) {
  Section section{"What happened", {}};
  if (incident.findings.empty()) {
    section.blocks.push_back(Paragraph{
        "No detector found anything in this time. What follows is about the process that sent "
        "most."});
  }
  Grid grid{{"Finding", "Severity", "Confidence", "What", "First", "Last"}, {}, {}};
  for (const v1::Finding& finding : incident.findings) {
    grid.rows.push_back({finding.id(), SeverityWord(finding.severity()),
                         ConfidenceWord(finding.confidence()),
                         std::string(RuleOf(finding.rule()).title) + ": " + finding.reason(),
                         At(finding.first_ns()), At(finding.last_ns())});
  }
  if (!grid.rows.empty()) section.blocks.emplace_back(std::move(grid));
  std::set<std::string> techniques;
  for (const v1::Finding& finding : incident.findings)
    techniques.insert(finding.attack_ids().begin(), finding.attack_ids().end());
  std::string text;
  for (const std::string& id : techniques) text += (text.empty() ? "" : ", ") + id;
  if (!text.empty()) section.blocks.push_back(Paragraph{"MITRE ATT&CK: " + text});
  return section;
}

Section HostSection(const Incident& incident) {
  const v1::HostRow& host = incident.host;
  Grid grid{{"Host", ""}, {}, {}};
  const auto row = [&grid](const char* name, const std::string& value) {
    if (!value.empty()) grid.rows.push_back({name, value});
  };
  row("instance", host.instance_id());
  row("host name", host.hostname());
  row("account", host.account_id());
  row("region", host.availability_zone().empty() ? host.region() : host.availability_zone());
  row("system", host.os() + (host.kernel().empty() ? "" : ", Linux " + host.kernel()));
  std::string addresses;
  for (const std::string& address : host.addresses())
    addresses += (addresses.empty() ? "" : ", ") + address;
  for (const auto& address : host.public_addresses())
    addresses += (addresses.empty() ? "" : ", ") + address.address() + " (public)";
  row("addresses", addresses);
  row("agent", host.agent_version() + ", " + host.state() + ", last heard of " +
                   At(host.last_received_ns()));
  row("reported time", At(incident.from_ns) + " to " + At(incident.to_ns));
  return {"The host", {std::move(grid)}};
}

std::string ProcessLine(const v1::ProcessInfo& p) {
  std::string line = fmt::format("{} {}", p.pid(), CommandLine(p));
  if (!p.exe().empty()) line += " [" + p.exe() + "]";
  if (p.exe_memfd()) line += " from memory";
  if (p.exe_deleted() && !p.exe_memfd()) line += " file deleted";
  if (!p.user().empty()) line += ", user " + p.user();
  if (p.start_ns() != 0) line += ", began " + At(p.start_ns());
  if (p.exit_ns() != 0) line += ", ended " + At(p.exit_ns());
  return line;
}

Section ProcessSection(const Incident& incident) {
  Section section{"Who did it", {}};
  for (const v1::GetProcessResponse& answer : incident.processes) {
    Tree tree;
    unsigned depth = 0;
    for (auto it = answer.ancestors().rbegin(); it != answer.ancestors().rend(); ++it)
      tree.nodes.push_back({depth++, ProcessLine(*it), false});
    tree.nodes.push_back({depth++, ProcessLine(answer.process()), true});
    for (const v1::ProcessInfo& child : answer.children())
      tree.nodes.push_back({depth, ProcessLine(child), false});
    section.blocks.emplace_back(std::move(tree));
    const v1::ProcessInfo& p = answer.process();
    const v1::FlowGroup& all = answer.totals();
    std::string text = fmt::format(
        "Process {}: {} sent and {} received over {} flows to {} "
        "destinations.",
        p.process_id(), FormatByteSize(all.tx_wire_bytes()), FormatByteSize(all.rx_wire_bytes()),
        all.flows(), all.destinations());
    if (!p.exe_sha256().empty()) text += " SHA-256 of the executable: " + p.exe_sha256() + ".";
    if (!p.container_id().empty()) text += " Container " + p.container_id() + ".";
    section.blocks.push_back(Paragraph{std::move(text)});
  }
  if (incident.processes.empty())
    section.blocks.push_back(Paragraph{"No process is known for it."});
  return section;
}

std::string PlaceWords(const v1::FlowGroup& group) {
  std::string place = group.region();
  if (!group.service().empty()) place += (place.empty() ? "" : " ") + group.service();
  if (!group.country().empty()) place += (place.empty() ? "" : ", ") + group.country();
  if (group.asn() != 0)
    place += fmt::format("{}AS{} {}", place.empty() ? "" : ", ", group.asn(), group.as_name());
  return place.empty() ? "-" : place;
}

std::string CostWords(const v1::FlowGroup& group) {
  if (!group.has_cost()) return "-";
  if (group.cost_unknown_bytes() > 0)
    return group.cost_micro_usd() == 0 ? "?" : FormatUsd(group.cost_micro_usd()) + " + ?";
  return FormatUsd(group.cost_micro_usd());
}

Section DestinationSection(const Incident& incident) {
  Section section{"Where it went", {}};
  Grid grid{
      {"Destination", "Where", "Flows", "Failed", "Sent", "Received", "Cost", "First", "Last"},
      {},
      {false, false, true, true, true, true, true, false, false}};
  for (const v1::FlowGroup& group : incident.destinations.groups()) {
    if (grid.rows.size() == kMaxDestinations) break;
    grid.rows.push_back({Or(group.label(), group.key()), PlaceWords(group),
                         std::to_string(group.flows()), std::to_string(group.failed()),
                         FormatByteSize(group.tx_wire_bytes()),
                         FormatByteSize(group.rx_wire_bytes()), CostWords(group),
                         At(group.first_ns()), At(group.last_ns())});
  }
  const int more = incident.destinations.groups_size() - kMaxDestinations;
  if (grid.rows.empty()) {
    section.blocks.push_back(Paragraph{"Nothing was sent or received in this time."});
  } else {
    section.blocks.emplace_back(std::move(grid));
  }
  if (more > 0) section.blocks.push_back(Paragraph{fmt::format("And {} more destinations.", more)});
  section.blocks.emplace_back(Chart{incident.series});
  return section;
}

Section CostSection(const Incident& incident) {
  const v1::ListFlowsResponse& costs = incident.destinations;
  std::string text;
  if (costs.prices_date().empty()) {
    text = "The collector has no price table, so the cost is unknown.";
  } else {
    text = fmt::format(
        "Data transfer of these processes: {} by the prices of {}, an estimate and "
        "not a bill.",
        FormatUsd(costs.cost_micro_usd()), costs.prices_date());
    if (costs.cost_unknown_bytes() > 0)
      text += fmt::format(" In it is no price for {} that was sent.",
                          FormatByteSize(costs.cost_unknown_bytes()));
    if (costs.free_tier_micro_usd() > 0)
      text += fmt::format(" The account's free allowance takes off at most {}.",
                          FormatUsd(costs.free_tier_micro_usd()));
  }
  return {"What it costs", {Paragraph{std::move(text)}}};
}

}  // namespace

std::string At(std::int64_t ns) { return ns == 0 ? "-" : FormatUtc(WallTimeFromNs(ns)); }

std::string CommandLine(const v1::ProcessInfo& process) {
  std::string line;
  for (const std::string& word : process.argv()) line += (line.empty() ? "" : " ") + word;
  if (line.empty()) line = process.exe().empty() ? process.comm() : process.exe();
  return line.empty() ? "unknown process" : line.substr(0, 300);
}

Outline MakeOutline(const Incident& incident) {
  Outline outline;
  outline.title = "Incident report: " + HostName(incident.host);
  outline.subtitle = "Made " + At(incident.made_ns) + " by " + incident.tool +
                     ". All times are UTC. Names, paths and command lines are what the host said.";
  outline.sections = {
      Summary(incident),        TimelineSection(incident), HostSection(incident),
      ProcessSection(incident), WayInSection(incident),    DestinationSection(incident),
      CostSection(incident),    ChangedSection(incident),  IndicatorSection(incident),
      ProofSection(incident),   StepsSection(incident)};
  if (!incident.reply.empty())
    outline.sections.push_back({"Draft of an answer to AWS, to be completed and checked by you",
                                {Verbatim{incident.reply}}});
  return outline;
}

}  // namespace culprit::report
