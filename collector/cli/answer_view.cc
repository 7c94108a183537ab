// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/answer_view.h"

#include <spdlog/fmt/fmt.h>

#include "collector/cli/flow_words.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kShownDestinations = 10;

std::string Line(std::string_view name, const std::string& value) {
  return value.empty() ? "" : fmt::format("  {:<11} {}\n", name, EscapeText(value));
}

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string SightingsText(const AbuseReport& report, const ProcessMatch& match) {
  if (report.sightings.size() < 2) return "";
  return fmt::format(", {} of {} lines of the report", match.sightings, report.sightings.size());
}

std::string Story(const AbuseReport& report, const Culprit& culprit, const View& view) {
  const ProcessMatch& match = culprit.match;
  WhoMatch who;
  who.process = culprit.process;
  who.group.set_key(match.process_id);
  who.group.set_host(match.host);
  who.group.set_label("(a process that is not known any more)");
  who.group.set_flows(match.flows);
  who.group.set_tx_wire_bytes(match.tx_wire_bytes);
  who.group.set_rx_wire_bytes(match.rx_wire_bytes);
  who.group.set_first_ns(match.first_ns);
  who.group.set_last_ns(match.last_ns);
  std::string out = RenderWho({who}, nullptr, view);
  const v1::ProcessInfo& p = culprit.process.process();
  if (p.start_ns() != 0) {
    out += Line("began", fmt::format("{}{}", FormatTime(p.start_ns(), view.zone),
                                     p.preexisting() ? ", before the agent" : ""));
  }
  if (!p.process_id().empty()) {
    out += Line("runs", p.exit_ns() == 0 ? fmt::format("as far as is known at {}",
                                                       FormatTime(view.now_ns, view.zone))
                                         : "no: ended " + FormatTime(p.exit_ns(), view.zone));
  }
  const v1::FlowGroup& all = culprit.process.totals();
  if (all.flows() > 0) {
    out += Line("in all", fmt::format("{} flows to {} destinations, {} sent, {} received, cost {}",
                                      FormatCount(all.flows()), FormatCount(all.destinations()),
                                      FormatByteSize(all.tx_wire_bytes()),
                                      FormatByteSize(all.rx_wire_bytes()), CostText(all)));
  }
  for (const v1::Finding& finding : culprit.findings) {
    out +=
        Line("finding", fmt::format("{} {}: {}", finding.id(), finding.rule(), finding.reason()));
    if (!finding.has_cost()) continue;
    out += Line("", fmt::format("cost {} so far, {} an hour", FindingCostText(finding),
                                FormatUsd(finding.cost().micro_usd_per_hour())));
  }
  out += Line("match", fmt::format("{} ({:.1f} points{})", match.confidence, match.points,
                                   SightingsText(report, match)));
  for (const FlowMatch& flow : match.best) {
    out += Line("", fmt::format("{}: {}", AddressPort(flow.flow.remote(), flow.flow.remote_port()),
                                Joined(flow.why)));
  }
  return out;
}

std::string Touched(const Culprit& culprit, const View& view) {
  if (culprit.destinations.empty()) return "";
  std::vector<v1::FlowGroup> shown = culprit.destinations;
  if (shown.size() > kShownDestinations) shown.resize(kShownDestinations);
  return "\nWhat else it talked to, the biggest first:\n" +
         RenderGroups(shown, "destination", view);
}

std::string JsonList(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + JsonString(word);
  return "[" + out + "]";
}

std::vector<std::string> TimesOf(const AbuseReport& report) {
  std::vector<std::string> out;
  for (const WrittenTime& time : report.times) out.push_back(time.text);
  return out;
}

std::vector<std::string> AddressesOf(const AbuseReport& report) {
  std::vector<std::string> out;
  for (const IpAddress& address : report.addresses) out.push_back(address.ToString());
  return out;
}

std::string MatchJson(const ProcessMatch& match) {
  std::string flows;
  for (const FlowMatch& flow : match.best) {
    flows += (flows.empty() ? "" : ",") + fmt::format(R"({{"points":{:.1f},"why":{},"flow":{}}})",
                                                      flow.points, JsonList(flow.why),
                                                      ToJson(flow.flow));
  }
  return fmt::format(
      R"("host":{},"agent_id":{},"process_id":{},"confidence":{},"points":{:.1f},"sightings":{},)"
      R"("flows":{},"tx_wire_bytes":{},"rx_wire_bytes":{},"first_time":{},"last_time":{},"best":[{}])",
      JsonString(match.host), JsonString(match.agent_id), JsonString(match.process_id),
      JsonString(match.confidence), match.points, match.sightings, match.flows, match.tx_wire_bytes,
      match.rx_wire_bytes, JsonString(FormatRfc3339(match.first_ns)),
      JsonString(FormatRfc3339(match.last_ns)), flows);
}

}  // namespace

std::string RenderReport(const AbuseReport& report) {
  std::string out = fmt::format("The report ({}) names", report.shape);
  const auto add = [&out](const char* what, const std::vector<std::string>& words) {
    if (words.empty()) return;
    out += fmt::format("{} {}: {}", out.ends_with("names") ? "" : ";", what,
                       EscapeText(Joined(words)));
  };
  add("instances", report.instances);
  add("addresses", AddressesOf(report));
  add("times", TimesOf(report));
  add("activity", report.activities);
  if (report.zone.known()) out += "; zone " + EscapeText(report.zone.name);
  return out + "\n";
}

std::string RenderAnswer(const AbuseReport& report, const Answer& answer,
                         const std::vector<Culprit>& culprits, const View& view) {
  std::string out = FitLine(RenderReport(report), view);
  // The line's own end was escaped.
  if (out.ends_with("\\n")) out.resize(out.size() - 2);
  out += "\n";
  for (const std::string& note : answer.notes) out += FitLine(note, view) + "\n";
  for (const Culprit& culprit : culprits) {
    out += "\n" + Story(report, culprit, view);
    if (&culprit == &culprits.front()) out += Touched(culprit, view);
  }
  out += "\nDraft of a reply, to be completed and checked by you:\n\n";
  if (!culprits.empty()) out += DraftReply(report, culprits.front());
  return out;
}

std::string AnswerJson(const AbuseReport& report, const Answer& answer,
                       const std::vector<Culprit>& culprits) {
  std::string matches;
  for (const Culprit& culprit : culprits) {
    std::string destinations;
    for (const v1::FlowGroup& group : culprit.destinations) {
      destinations += (destinations.empty() ? "" : ",") + ToJson(group);
    }
    std::string findings;
    for (const v1::Finding& finding : culprit.findings) {
      findings += (findings.empty() ? "" : ",") + ToJson(finding);
    }
    const bool known = culprit.process.has_process();
    matches += (matches.empty() ? "" : ",") +
               fmt::format(R"({{{},"process":{},"destinations":[{}],"findings":[{}]}})",
                           MatchJson(culprit.match), known ? ToJson(culprit.process) : "null",
                           destinations, findings);
  }
  const std::string reply = culprits.empty() ? "" : DraftReply(report, culprits.front());
  return fmt::format(
      R"({{"report":{{"shape":{},"sightings":{},"addresses":{},"instances":{},"times":{},)"
      R"("activities":{}}},"notes":{},"matches":[{}],"reply":{}}})"
      "\n",
      JsonString(report.shape), report.sightings.size(), JsonList(AddressesOf(report)),
      JsonList(report.instances), JsonList(TimesOf(report)), JsonList(report.activities),
      JsonList(answer.notes), matches, JsonString(reply));
}

}  // namespace culprit::cli
