// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/alerts_view.h"

#include <spdlog/fmt/fmt.h>

#include "collector/cli/json.h"

namespace culprit::cli {
namespace {

// "-" is for never.
std::string Age(std::int64_t ns, const View& view) {
  return ns == 0 ? "-" : FormatAge(ns, view.now_ns);
}

std::string StateOf(const v1::AlertTarget& target, Style* style) {
  *style = Style::kPlain;
  if (!target.configured()) return "not configured";
  if (target.failures() == 0) return "fine";
  *style = target.queued() > 0 ? Style::kBad : Style::kWarning;
  return fmt::format("{} failures", target.failures());
}

}  // namespace

std::string RenderAlertTargets(const v1::ListAlertTargetsResponse& targets, const View& view) {
  std::string out;
  if (!targets.failing().empty()) {
    out += Styled(FitLine("nothing new can be queued: " + targets.failing(), view), Style::kBad,
                  view.colour) +
           "\n";
  }
  Table table({{"TARGET"},
               {"KIND"},
               {"DESTINATION", false, 12},
               {"FROM"},
               {"STATE"},
               {"WAIT", true},
               {"OLDEST", false, 0, 2},
               {"SENT", true},
               {"LOST", true},
               {"LAST SENT"}});
  for (const v1::AlertTarget& target : targets.targets()) {
    Style style = Style::kPlain;
    const std::string state = StateOf(target, &style);
    table.Add(
        {{target.name()},
         {target.kind().empty() ? "-" : target.kind()},
         {target.destination().empty() ? "-" : target.destination()},
         {target.configured() ? WordOf(target.min_severity()) : "-"},
         {state, style},
         {std::to_string(target.queued()), target.queued() > 0 ? Style::kWarning : Style::kPlain},
         {Age(target.oldest_ns(), view)},
         {std::to_string(target.delivered())},
         {std::to_string(target.lost()), target.lost() > 0 ? Style::kBad : Style::kPlain},
         {Age(target.last_success_ns(), view)}});
  }
  out += table.Render(view);
  for (const v1::AlertTarget& target : targets.targets()) {
    if (target.last_error().empty()) continue;
    out += FitLine(fmt::format("{}: {}, {}", target.name(), Age(target.last_error_ns(), view),
                               target.last_error()),
                   view) +
           "\n";
  }
  return out;
}

std::string RenderAlertLines(const v1::ListAlertTargetsResponse& targets, const View& view) {
  std::string out;
  for (const v1::AlertTarget& target : targets.targets()) {
    const std::string error =
        target.last_error().empty() ? "" : "; last error " + target.last_error();
    out += FitLine(fmt::format("{:<20} {} wait, {} sent (last {}), {} lost{}",
                               "alert " + target.name(), target.queued(), target.delivered(),
                               Age(target.last_success_ns(), view), target.lost(), error),
                   view) +
           "\n";
  }
  return out;
}

std::string RenderAlertTests(const v1::TestAlertsResponse& tests, const View& view) {
  Table table(
      {{"TARGET"}, {"RESULT"}, {"WAIT", true}, {"KEY", false, 0, 2}, {"LAST ERROR", false, 16}});
  for (const v1::AlertTest& test : tests.tests()) {
    table.Add({{test.target()},
               {test.delivered() ? "delivered" : "still waits",
                test.delivered() ? Style::kPlain : Style::kBad},
               {std::to_string(test.queued())},
               {test.key()},
               {test.error().empty() ? "-" : test.error()}});
  }
  return table.Render(view);
}

}  // namespace culprit::cli
