// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <algorithm>

#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "collector/detect/rules.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

template <class Enum>
std::string Word(Enum value) {
  const auto* found = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  return found == nullptr ? "" : EnumWord(*found);
}

Style StyleOf(v1::Severity severity) {
  if (severity >= v1::SEVERITY_HIGH) return Style::kBad;
  return severity == v1::SEVERITY_MEDIUM ? Style::kWarning : Style::kPlain;
}

std::string ProcessOf(const v1::Finding& finding) {
  if (!finding.command_line().empty()) return finding.command_line();
  return finding.exe().empty() ? "unknown process" : finding.exe();
}

std::string AmountOf(double value, const std::string& unit) {
  if (unit == "$") return FormatUsd(static_cast<std::uint64_t>(std::max(0.0, value) * 1e6 + 0.5));
  if (unit == "B" || unit == "B/s") {
    return FormatByteSize(static_cast<std::uint64_t>(value)) + unit.substr(1);
  }
  const bool whole = value == static_cast<double>(static_cast<std::int64_t>(value));
  return whole ? fmt::format("{:.0f}{}{}", value, unit.empty() || unit == "%" ? "" : " ", unit)
               : fmt::format("{:.1f}{}{}", value, unit.empty() || unit == "%" ? "" : " ", unit);
}

std::string TargetOf(const v1::Target& target) {
  std::string text = target.address();
  if (text.find(':') != std::string::npos && target.port() != 0) text = "[" + text + "]";
  if (target.port() != 0) text += fmt::format(":{}", target.port());
  if (!target.name().empty()) text += (text.empty() ? "" : " ") + target.name();
  if (!target.region().empty()) text += fmt::format(" ({} {})", target.region(), target.service());
  return text;
}

void Line(const char* title, std::string_view text, const View& view, std::string* out) {
  *out += FitLine(fmt::format("{:<12}{}", title, text), view) + "\n";
}

void Heading(const char* title, const View& view, std::string* out) {
  *out += "\n" + Styled(title, Style::kBold, view.colour) + "\n";
}

void SessionLines(const v1::FindingSession& session, const View& view, std::string* out) {
  const std::string user = session.user().empty() ? "an unknown user" : session.user();
  const std::string from = session.address().empty() ? "" : " from " + session.address();
  Line("login", fmt::format("{}{}; culprit session {}", user, from, session.session_id()), view,
       out);
  if (!session.method().empty()) {
    Line("", fmt::format("by {} {}", session.method(), session.key_fingerprint()), view, out);
  }
  if (session.failures_before() > 0) {
    Line("", fmt::format("after {} failed attempts from there", session.failures_before()), view,
         out);
  }
}

void WhoPart(const v1::Finding& finding, const View& view, std::string* out) {
  Heading("Who", view, out);
  Line("process", fmt::format("{} {}", finding.pid(), ProcessOf(finding)), view, out);
  if (!finding.exe().empty()) Line("executable", finding.exe(), view, out);
  if (!finding.exe_sha256().empty()) Line("sha256", finding.exe_sha256(), view, out);
  if (!finding.user().empty()) Line("user", finding.user(), view, out);
  if (finding.has_session()) SessionLines(finding.session(), view, out);
  const char* title = "started by";
  for (const std::string& ancestor : finding.ancestry()) {
    Line(title, ancestor, view, out);
    title = "";
  }
}

void EvidencePart(const v1::Finding& finding, const View& view, std::string* out) {
  Heading("What was counted", view, out);
  Table measures({{"MEASURE"}, {"VALUE", true}, {"THRESHOLD", true}});
  for (const v1::Measure& measure : finding.measures()) {
    measures.Add(
        {{measure.name()},
         {AmountOf(measure.value(), measure.unit())},
         {measure.threshold() == 0 ? "-" : AmountOf(measure.threshold(), measure.unit())}});
  }
  *out += measures.Render(view);
  if (finding.targets_size() == 0) return;
  Heading("Where", view, out);
  Table targets({{"TARGET"}, {"SENT", true}, {"RECEIVED", true}});
  for (const v1::Target& target : finding.targets()) {
    const bool counted = target.tx_bytes() + target.rx_bytes() > 0;
    targets.Add({{TargetOf(target)},
                 {counted ? FormatByteSize(target.tx_bytes()) : "-"},
                 {counted ? FormatByteSize(target.rx_bytes()) : "-"}});
  }
  *out += targets.Render(view);
}

// As `culprit cost` calls it.
std::string WayOf(const v1::CostShare& share) {
  switch (share.way()) {
    case v1::COST_WAY_SAME_ZONE:
      return "same zone";
    case v1::COST_WAY_CROSS_ZONE:
      return "cross zone";
    case v1::COST_WAY_AWS_SERVICE:
      return fmt::format("AWS {} in {}", share.to(), share.from());
    case v1::COST_WAY_INTER_REGION:
      return fmt::format("{} -> {}", share.from(), share.to());
    case v1::COST_WAY_INTERNET:
      return fmt::format("{} -> internet", share.from());
    default:
      return "unknown: " + share.to();
  }
}

std::string CostLine(const v1::Finding& finding) {
  const v1::FindingCost& cost = finding.cost();
  if (cost.prices_date().empty()) return "unknown: no price table; culprit status";
  std::string text = fmt::format("{} so far, {} an hour, by the prices of {}",
                                 FindingCostText(finding), FormatUsd(cost.micro_usd_per_hour()),
                                 cost.prices_date());
  if (cost.unknown_bytes() > 0) {
    text += fmt::format("; {} on ways without a price", FormatByteSize(cost.unknown_bytes()));
  }
  return text;
}

void CostPart(const v1::FindingCost& cost, const View& view, std::string* out) {
  Heading("What it costs", view, out);
  Table ways({{"WAY"}, {"SENT", true}, {"RECEIVED", true}, {"COST", true}});
  for (const v1::CostShare& share : cost.shares()) {
    ways.Add({{WayOf(share)},
              {FormatByteSize(share.tx_bytes())},
              {FormatByteSize(share.rx_bytes())},
              {share.price_known() ? FormatUsd(share.micro_usd()) : "?"}});
  }
  *out += ways.Render(view);
}

}  // namespace

std::string FindingCostText(const v1::Finding& finding) {
  if (!finding.has_cost()) return "-";
  const v1::FindingCost& cost = finding.cost();
  const bool unknown = cost.unknown_bytes() > 0;
  if (cost.micro_usd() == 0 && unknown) return "?";
  return FormatUsd(cost.micro_usd()) + (unknown ? " + ?" : "");
}

std::string RenderFindings(const std::vector<v1::Finding>& findings, const View& view) {
  Table table({{"ID"},
               {"LAST"},
               {"SEVERITY"},
               {"RULE"},
               {"HOST", false, 8, 2},
               {"PID", true},
               {"PROCESS", false, 16},
               {"COST", true, 0, 4},
               {"STATE", false, 0, 3},
               {"REASON", false, 24}});
  for (const v1::Finding& finding : findings) {
    table.Add({{finding.id()},
               {ShortTime(finding.last_ns(), view)},
               {Word(finding.severity()), StyleOf(finding.severity())},
               {finding.rule()},
               {finding.host()},
               {finding.pid() == 0 ? "-" : std::to_string(finding.pid())},
               {ProcessOf(finding)},
               {FindingCostText(finding)},
               {Word(finding.state())},
               {finding.reason()}});
  }
  return table.Render(view);
}

std::string RenderFinding(const v1::Finding& finding, const View& view) {
  std::string out;
  const Rule& rule = RuleOf(finding.rule());
  out += Styled(fmt::format("{}: {}", Word(finding.severity()), rule.title),
                StyleOf(finding.severity()), view.colour) +
         "\n" + FitLine(finding.reason(), {.width = 0}) + "\n\n";
  Line("finding", finding.id(), view, &out);
  Line("host", finding.host(), view, &out);
  Line("rule",
       fmt::format("{} version {}; confidence {}", finding.rule(), finding.rule_version(),
                   Word(finding.confidence())),
       view, &out);
  Line("first", FormatTime(finding.first_ns(), view.zone), view, &out);
  Line("last", FormatTime(finding.last_ns(), view.zone), view, &out);
  std::string state = Word(finding.state());
  if (!finding.state_by().empty()) state += " by " + finding.state_by();
  if (!finding.state_reason().empty()) state += ": " + finding.state_reason();
  Line("state", state, view, &out);
  std::string attack;
  for (const std::string& id : finding.attack_ids()) attack += (attack.empty() ? "" : ", ") + id;
  Line("ATT&CK", attack, view, &out);
  if (finding.has_cost()) Line("cost", CostLine(finding), view, &out);
  for (const std::string& weight : finding.weights()) Line("weighs", weight, view, &out);
  if (finding.weights_size() > 0 && finding.base_severity() != v1::SEVERITY_UNSPECIFIED) {
    Line("", "the behaviour by itself: " + Word(finding.base_severity()), view, &out);
  }
  WhoPart(finding, view, &out);
  EvidencePart(finding, view, &out);
  if (finding.cost().shares_size() > 0) CostPart(finding.cost(), view, &out);
  if (finding.exe().empty() && finding.pid() == 0) {
    out += fmt::format("\nNext: culprit hosts; culprit flows --host {}; culprit explain {}\n",
                       EscapeText(finding.host()), finding.rule());
    return out;
  }
  out += fmt::format(
      "\nNext: culprit process {} --host {}; culprit packets --process {}; culprit explain {}\n",
      finding.process_id(), EscapeText(finding.host()), finding.process_id(), finding.rule());
  return out;
}

}  // namespace culprit::cli
