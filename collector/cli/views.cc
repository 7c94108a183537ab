// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/views.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/cli/flow_words.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

// Not "Join": protobuf has one that argument-dependent look-up would prefer.
std::string JoinWords(const google::protobuf::RepeatedPtrField<std::string>& parts,
                      std::string_view between) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += between;
    out += part;
  }
  return out;
}

// Sums over flows that are charged to nobody.
constexpr std::string_view kNoProcess = "0000000000000000";

Style StyleOfHost(std::string_view state) {
  if (state == "online") return Style::kGood;
  return state == "late" ? Style::kWarning : Style::kBad;
}

std::string SkewOf(std::int64_t ns) {
  const bool small = ns > -1'000'000'000 && ns < 1'000'000'000;
  return small ? "<1s" : FormatDuration(std::chrono::nanoseconds(ns));
}

// Lines under the table: what an operator should know about a host, most serious first.
std::string HostNotes(const v1::HostRow& host, const View& view) {
  std::vector<std::string> notes;
  if (host.forks() > 0) {
    notes.push_back(fmt::format("{} fork(s) of its evidence chain: its key may have been copied",
                                host.forks()));
  }
  if (host.rollbacks() > 0) {
    notes.push_back(
        fmt::format("{} rollback(s): its disk was restored from an older state", host.rollbacks()));
  }
  if (host.gaps() > 0) notes.push_back(fmt::format("{} gap(s) in its evidence", host.gaps()));
  if (host.lost_frames() > 0)
    notes.push_back(fmt::format("{} frames lost before they were sent", host.lost_frames()));
  if (host.rejected() > 0)
    notes.push_back(fmt::format("{} records or frames refused", host.rejected()));
  if (host.missing_hooks_size() > 0)
    notes.push_back("hooks not active: " + JoinWords(host.missing_hooks(), ", "));
  for (const std::string& degraded : host.degraded()) notes.push_back(degraded);
  std::string out;
  for (const std::string& note : notes) {
    const std::string name = Or(host.hostname(), host.agent_name());
    out += FitLine(fmt::format("{}: {}", name, note), view) + "\n";
  }
  return out;
}

}  // namespace

std::string CommandLineOf(const v1::ProcessInfo& process) {
  if (process.argv_size() > 0) {
    return JoinWords(process.argv(), " ") + (process.argv_truncated() ? " \u2026" : "");
  }
  if (process.comm().empty() && process.process_id() == kNoProcess) return "(forwarded or unknown)";
  return Or(process.exe(), Or(process.comm(), "unknown process"));
}

std::string RenderHosts(const v1::ListHostsResponse& hosts, const View& view) {
  Table table({{"HOST", false, 8},
               {"AGENT", false, 8, 1},
               {"INSTANCE", false, 12},
               {"REGION", false, 8, 1},
               {"STATE"},
               {"LAST SEEN", true},
               {"CLOCK", true, 0, 1},
               {"OWNER BY", false, 0, 1},
               {"RECORDS", true},
               {"GAPS", true, 0, 1},
               {"LOST", true},
               {"PSS", true, 0, 1},
               {"AGENT VERSION", false, 6, 1}});
  std::string notes;
  for (const v1::HostRow& host : hosts.hosts()) {
    table.Add({{Or(host.hostname(), "?")},
               {host.agent_name()},
               {Or(host.instance_id(), "-")},
               {Or(host.availability_zone(), Or(host.region(), "-"))},
               {host.state(), StyleOfHost(host.state())},
               {FormatAge(host.last_received_ns(), view.now_ns)},
               {SkewOf(host.clock_skew_ns())},
               {Or(host.fidelity().substr(0, host.fidelity().find(';')), "-")},
               {FormatCount(host.records())},
               CountCell(host.gaps(), Style::kWarning),
               CountCell(host.lost_events(), Style::kWarning),
               {host.agent_pss_bytes() == 0 ? "-" : FormatByteSize(host.agent_pss_bytes())},
               {Or(host.agent_version(), "-")}});
    notes += HostNotes(host, view);
  }
  return table.Render(view) + (notes.empty() ? "" : "\n" + notes);
}

std::string RenderFlows(const std::vector<v1::FlowRow>& flows, const View& view) {
  const bool logins = std::ranges::any_of(
      flows, [](const v1::FlowRow& flow) { return !flow.session_id().empty(); });
  std::vector<Column> columns = {{"LAST SEEN"},
                                 {"HOST", false, 6},
                                 {"PID", true},
                                 {"USER", false, 6, 2},
                                 {"DIR", false, 0, 3},
                                 {"PROTO", false, 0, 4},
                                 {"LOCAL", false, 0, 5},
                                 {"REMOTE"},
                                 {"STATE"},
                                 {"SENT", true},
                                 {"RECEIVED", true, 0, 1},
                                 {"PROCESS ID", false, 0, 6}};
  if (logins) {
    columns.push_back({"LOGIN", false, 12, 7});
    columns.push_back({"SESSION", false, 0, 8});
    columns.push_back({"KEY", false, 12, 9});
  }
  columns.push_back({"COMMAND", false, 12});
  Table table(std::move(columns));
  for (const v1::FlowRow& flow : flows) {
    std::vector<Cell> row = {{ShortTime(flow.last_ns(), view)},
                             {flow.host()},
                             {Pid(flow.pid())},
                             {Or(flow.user(), "-")},
                             {flow.direction()},
                             {flow.protocol()},
                             {AddressPort(flow.local(), flow.local_port())},
                             {RemoteOf(flow)},
                             StateCell(flow),
                             {FormatByteSize(flow.tx_wire_bytes())},
                             {FormatByteSize(flow.rx_wire_bytes())},
                             {flow.process_id()}};
    if (logins) {
      row.push_back({LoginOf(flow)});
      row.push_back({Or(flow.session_id(), "-")});
      row.push_back({Or(flow.key_fingerprint(), "-")});
    }
    row.push_back({What(flow)});
    table.Add(std::move(row));
  }
  return table.Render(view);
}

std::string RenderGroups(const std::vector<v1::FlowGroup>& groups, std::string_view group_by,
                         const View& view) {
  std::string title(group_by);
  for (char& c : title) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  const bool by_process = group_by == "process";
  const bool by_host = group_by == "host";
  const bool by_region = group_by == "region";
  const bool by_destination = group_by == "destination";
  std::vector<Column> columns = {{title, false, 16}};
  if (by_process) columns.push_back({"PROCESS ID"});
  if (by_destination) columns.push_back({"WHERE", false, 8, 2});
  if (!by_host && !by_region) columns.push_back({"HOST", false, 8});
  for (const char* number : {"FLOWS", "DESTINATIONS", "FAILED", "SENT", "RECEIVED"})
    columns.push_back({number, true});
  columns.push_back({"COST", true, 0, 3});
  columns.push_back({"FIRST SEEN", false, 0, 1});
  columns.push_back({"LAST SEEN"});
  Table table(std::move(columns));
  for (const v1::FlowGroup& group : groups) {
    std::vector<Cell> row = {{Or(group.label(), Or(group.key(), "unknown"))}};
    if (by_process) row.push_back({group.key()});
    if (by_destination) row.push_back({PlaceText(PlaceIn(group))});
    if (!by_host && !by_region) row.push_back({Or(group.host(), "-")});
    row.push_back({FormatCount(group.flows())});
    row.push_back({FormatCount(group.destinations())});
    row.push_back(CountCell(group.failed(), Style::kWarning));
    row.push_back({FormatByteSize(group.tx_wire_bytes())});
    row.push_back({FormatByteSize(group.rx_wire_bytes())});
    row.push_back({CostText(group)});
    row.push_back({FormatTime(group.first_ns(), view.zone)});
    row.push_back({FormatTime(group.last_ns(), view.zone)});
    table.Add(std::move(row));
  }
  return table.Render(view);
}

namespace {

// The part of a --follow line before the command, which gets what is left of the width.
std::string FollowLine(const std::string& fixed, const std::string& command, Style style,
                       const View& view) {
  std::string line = EscapeText(fixed) + "  ";
  const std::size_t used = DisplayWidth(line);
  if (view.width == 0) {
    line += EscapeText(command);
  } else if (used < view.width) {
    line += TruncateMiddle(EscapeText(command), view.width - used);
  }
  return Styled(line, style, view.colour);
}

constexpr const char* kFollowFormat = "{:<{}} {:<14} {:>7} {:<3} {:<5} {:<22} {:<12} {:>10} {:>10}";

std::size_t ClockWidth(const View& view) { return view.zone == Zone::kUtc ? 9 : 14; }

}  // namespace

std::string FlowLineHeader(const View& view) {
  const std::string fixed = fmt::format(kFollowFormat, "TIME", ClockWidth(view), "HOST", "PID",
                                        "DIR", "PROTO", "REMOTE", "STATE", "SENT", "RECEIVED");
  return FollowLine(fixed, "COMMAND", Style::kBold, view);
}

std::string RenderFlowLine(const v1::FlowRow& flow, const View& view) {
  const Cell state = StateCell(flow);
  const bool forwarded = flow.direction() == "forwarded";
  const std::string fixed =
      fmt::format(kFollowFormat, FormatClock(flow.last_ns(), view.zone), ClockWidth(view),
                  TruncateMiddle(EscapeText(flow.host()), 14), Pid(flow.pid()),
                  forwarded ? "fwd" : flow.direction(), flow.protocol(),
                  AddressPort(flow.remote(), flow.remote_port()), state.text,
                  FormatByteSize(flow.tx_wire_bytes()), FormatByteSize(flow.rx_wire_bytes()));
  return FollowLine(fixed, What(flow), state.style, view);
}

namespace {

std::string BusiestOf(const v1::TopRow& row) {
  const std::string remote = Or(row.busiest_remote(), "-");
  return row.busiest_region().empty() ? remote
                                      : fmt::format("{} ({})", remote, row.busiest_region());
}

}  // namespace

std::string RenderTop(const v1::TopResponse& top, const View& view) {
  Table table({{"HOST", false, 8},
               {"PID", true},
               {"USER", false, 6},
               {"FLOWS", true},
               {"DESTS", true},
               {"ATTEMPTS", true, 0, 1},
               {"FAILED", true},
               {"CRAFTED", true, 0, 2},
               {"SENT", true},
               {"RECEIVED", true},
               {"BUSIEST REMOTE", false, 0, 1},
               {"COMMAND", false, 16}});
  for (const v1::TopRow& row : top.rows()) {
    table.Add({{row.process().host()},
               {Pid(row.process().pid())},
               {Or(row.process().user(), "-")},
               {FormatCount(row.flows())},
               {FormatCount(row.destinations())},
               {FormatCount(row.attempts())},
               CountCell(row.failed(), Style::kWarning),
               CountCell(row.crafted_packets(), Style::kWarning),
               {FormatByteSize(row.tx_wire_bytes())},
               {FormatByteSize(row.rx_wire_bytes())},
               {BusiestOf(row)},
               {CommandLineOf(row.process())}});
  }
  const std::string range = fmt::format("{} to {}", FormatTime(top.from_ns(), view.zone),
                                        FormatTime(top.to_ns(), view.zone));
  return FitLine("Busiest processes, " + range, view) + "\n\n" + table.Render(view);
}

std::string RenderStatus(const v1::GetStatusResponse& status, const View& view) {
  const auto line = [](std::string_view name, const std::string& value) {
    return fmt::format("{:<20} {}\n", name, value);
  };
  const std::uint64_t lag =
      status.journal_lsn() > status.index_lsn() ? status.journal_lsn() - status.index_lsn() : 0;
  std::string out = line("version", EscapeText(status.version()));
  out += line("started", fmt::format("{} ({})", FormatTime(status.started_ns(), view.zone),
                                     FormatAge(status.started_ns(), view.now_ns)));
  out += line("agents connected", FormatCount(status.agents_connected()));
  out += line("journal", fmt::format("{} in {} entries", FormatByteSize(status.journal_bytes()),
                                     FormatCount(status.journal_lsn())));
  out += line("index", fmt::format("{}, {}", FormatByteSize(status.index_bytes()),
                                   lag == 0 ? "up to date"
                                            : FormatCount(lag) + " entries behind the journal"));
  out += line(
      "frames",
      fmt::format("{} accepted, {} duplicate, {} refused", FormatCount(status.frames_accepted()),
                  FormatCount(status.frames_duplicate()), FormatCount(status.frames_rejected())));
  out +=
      line("records", fmt::format("{} accepted, {} refused", FormatCount(status.records_accepted()),
                                  FormatCount(status.records_rejected())));
  out += line("disk free", FormatByteSize(status.free_disk_bytes()));
  for (const std::string& degraded : status.degraded()) {
    out += line("degraded", Styled(EscapeText(degraded), Style::kWarning, view.colour));
  }
  return out;
}

}  // namespace culprit::cli
