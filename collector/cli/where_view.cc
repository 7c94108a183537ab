// SPDX-License-Identifier: Apache-2.0
// Where addresses are and what transfer costs.
#include <spdlog/fmt/fmt.h>

#include "collector/cli/flow_words.h"
#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

std::string TableLine(const v1::WhereResponse& where, const View& view) {
  std::string out;
  if (where.ip_ranges_created_ns() != 0) {
    out += FitLine(fmt::format("AWS's list: {} prefixes, made {} ({}), {}",
                               FormatCount(where.ip_ranges_prefixes()),
                               FormatTime(where.ip_ranges_created_ns(), view.zone),
                               FormatAge(where.ip_ranges_created_ns(), view.now_ns),
                               where.ip_ranges_file()),
                   view) +
           "\n";
  }
  for (const auto& database : where.databases()) {
    out += FitLine(fmt::format("{}: made {} ({}), {}", database.type(),
                               FormatTime(database.built_ns(), view.zone),
                               FormatAge(database.built_ns(), view.now_ns), database.path()),
                   view) +
           "\n";
  }
  if (!where.prices_date().empty()) {
    out +=
        FitLine(fmt::format("prices: of {}, {}", where.prices_date(), where.prices_file()), view) +
        "\n";
  }
  return out;
}

std::string Problems(const v1::WhereResponse& where, const View& view) {
  std::string out;
  for (const std::string& problem : where.problems()) {
    out += Styled(FitLine(problem, view), Style::kWarning, view.colour) + "\n";
  }
  return out;
}

}  // namespace

std::string RenderWhere(const v1::WhereResponse& where, const View& view) {
  Table table({{"ADDRESS"},
               {"REGION"},
               {"SERVICE"},
               {"COUNTRY", false, 0, 2},
               {"NETWORK", false, 8, 1},
               {"HOST", false, 8}});
  for (const v1::PlaceRow& row : where.places()) {
    const std::string network =
        row.asn() == 0 ? "-" : fmt::format("AS{} {}", row.asn(), row.as_name());
    table.Add({{row.address()},
               {Or(row.region(), "-")},
               {Or(row.service(), "-")},
               {Or(row.country(), "-")},
               {network},
               {Or(row.host(), "-")}});
  }
  return table.Render(view) + "\n" + TableLine(where, view) + Problems(where, view);
}

std::string RenderFlowsWhere(const std::vector<v1::FlowRow>& flows, const View& view) {
  Table table({{"LAST SEEN"},
               {"HOST", false, 6},
               {"PID", true, 0, 2},
               {"USER", false, 6, 3},
               {"REMOTE"},
               {"WHERE", false, 10},
               {"WAY", false, 10, 1},
               {"SENT", true},
               {"RECEIVED", true, 0, 4},
               {"COST", true},
               {"PROCESS ID", false, 0, 5},
               {"COMMAND", false, 12}});
  for (const v1::FlowRow& flow : flows) {
    table.Add({{ShortTime(flow.last_ns(), view)},
               {flow.host()},
               {Pid(flow.pid())},
               {Or(flow.user(), "-")},
               {RemoteOf(flow)},
               {PlaceText(PlaceIn(flow))},
               {flow.route()},
               {FormatByteSize(flow.tx_wire_bytes())},
               {FormatByteSize(flow.rx_wire_bytes())},
               {CostText(flow)},
               {flow.process_id()},
               {What(flow)}});
  }
  return table.Render(view);
}

std::string RenderCost(const v1::ListFlowsResponse& costs, std::string_view group_by,
                       const View& view) {
  const bool by_process = group_by == "process";
  const bool of_hosts = by_process || group_by == "host";
  std::string title(group_by);
  for (char& c : title) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  std::vector<Column> columns = {
      {"COST", true}, {"SENT", true}, {"RECEIVED", true}, {"FLOWS", true, 0, 1}};
  if (of_hosts) columns.push_back({"HOST", false, 8});
  if (by_process) columns.push_back({"PROCESS ID"});
  if (group_by != "host") columns.push_back({title, false, 12});
  columns.push_back({"LAST SEEN"});
  Table table(std::move(columns));
  for (const v1::FlowGroup& group : costs.groups()) {
    std::vector<Cell> row = {{CostText(group)},
                             {FormatByteSize(group.tx_wire_bytes())},
                             {FormatByteSize(group.rx_wire_bytes())},
                             {FormatCount(group.flows())}};
    const std::string name = Or(group.label(), Or(group.key(), "unknown"));
    if (of_hosts) row.push_back({Or(group.host(), name)});
    if (by_process) row.push_back({group.key()});
    if (group_by != "host") row.push_back({name});
    row.push_back({FormatTime(group.last_ns(), view.zone)});
    table.Add(std::move(row));
  }
  return table.Render(view) + "\n" + CostNotes(costs, view);
}

std::string CostNotes(const v1::ListFlowsResponse& costs, const View& view) {
  if (costs.prices_date().empty()) {
    return FitLine("no price table: costs are unknown; `culprit where` says what is missing",
                   view) +
           "\n";
  }
  std::string out = FitLine(fmt::format("total {} by the prices of {}; an estimate, not a bill",
                                        FormatUsd(costs.cost_micro_usd()), costs.prices_date()),
                            view) +
                    "\n";
  if (costs.cost_unknown_bytes() > 0) {
    out += FitLine(fmt::format("? is what has no price: {} sent; `culprit flows --where` shows why",
                               FormatByteSize(costs.cost_unknown_bytes())),
                   view) +
           "\n";
  }
  if (costs.free_tier_micro_usd() > 0) {
    out += FitLine(fmt::format("the account's free allowance takes off up to {} of it",
                               FormatUsd(costs.free_tier_micro_usd())),
                   view) +
           "\n";
  }
  return out;
}

}  // namespace culprit::cli
