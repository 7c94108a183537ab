// SPDX-License-Identifier: Apache-2.0
// The view of what was done with a key.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "collector/cli/views.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kMostCommands = 40, kMostDestinations = 40;

// Bytes that sshd sent on for the client, of the flows that the answer holds.
std::uint64_t Forwarded(const v1::GetSessionResponse& session) {
  std::uint64_t sum = 0;
  for (const v1::FlowRow& flow : session.flows()) {
    if (flow.forwarded_by_session()) sum += flow.tx_wire_bytes() + flow.rx_wire_bytes();
  }
  return sum;
}

std::string SessionsOf(const std::vector<v1::GetSessionResponse>& sessions, const View& view) {
  Table table({{"TIME"},
               {"ENDED", false, 0, 3},
               {"HOST", false, 8},
               {"USER", false, 6},
               {"FROM"},
               {"SESSION"},
               {"PROCESSES", true, 0, 2},
               {"OVER SSH", true, 0, 1},
               {"FORWARDED", true, 0, 1},
               {"SENT", true},
               {"RECEIVED", true}});
  for (const v1::GetSessionResponse& session : sessions) {
    const v1::LoginRow& login = session.login();
    const v1::FlowRow& own = session.connection();
    table.Add({{ShortTime(login.at_ns(), view)},
               {login.ended_ns() == 0 ? "-" : ShortTime(login.ended_ns(), view)},
               {login.host()},
               {login.user()},
               {login.address().empty() ? "-" : login.address()},
               {login.session_id()},
               {FormatCount(static_cast<std::uint64_t>(session.processes_size()))},
               {FormatByteSize(own.tx_wire_bytes() + own.rx_wire_bytes())},
               {FormatByteSize(Forwarded(session))},
               {FormatByteSize(session.totals().tx_wire_bytes())},
               {FormatByteSize(session.totals().rx_wire_bytes())}});
  }
  return table.Render(view);
}

struct Ran {
  std::uint64_t times = 0;
  std::int64_t last_ns = 0;
};

// Oldest first would be a story of each session; together, what was run most often shows what the
// key is for.
std::string CommandsOf(const std::vector<v1::GetSessionResponse>& sessions, const View& view) {
  std::map<std::string, Ran> commands;
  for (const v1::GetSessionResponse& session : sessions) {
    for (const auto& member : session.processes()) {
      const v1::ProcessInfo& process = member.process();
      if (process.forked() || process.comm().starts_with("sshd")) continue;
      Ran& ran = commands[CommandLineOf(process)];
      ++ran.times;
      ran.last_ns = std::max({ran.last_ns, process.start_ns(), process.exec_ns()});
    }
  }
  std::vector<std::pair<std::string, Ran>> sorted(commands.begin(), commands.end());
  std::ranges::stable_sort(
      sorted, [](const auto& a, const auto& b) { return a.second.times > b.second.times; });
  Table table({{"RAN", true}, {"LAST"}, {"COMMAND", false, 16}});
  for (const auto& [command, ran] : sorted) {
    if (table.rows() == kMostCommands) break;
    table.Add({{FormatCount(ran.times)},
               {ran.last_ns == 0 ? "-" : ShortTime(ran.last_ns, view)},
               {command}});
  }
  if (table.rows() == 0) return "";
  const bool more = sorted.size() > kMostCommands;
  return "\n" + table.Render(view) +
         (more ? fmt::format("and {} more\n", FormatCount(sorted.size() - kMostCommands)) : "");
}

std::string DestinationsOf(const std::vector<v1::GetSessionResponse>& sessions, const View& view) {
  std::map<std::string, v1::FlowGroup> sums;
  for (const v1::GetSessionResponse& session : sessions) {
    for (const v1::FlowGroup& group : session.destinations()) {
      v1::FlowGroup& sum = sums[group.key()];
      sum.set_flows(sum.flows() + group.flows());
      sum.set_tx_wire_bytes(sum.tx_wire_bytes() + group.tx_wire_bytes());
      sum.set_rx_wire_bytes(sum.rx_wire_bytes() + group.rx_wire_bytes());
      sum.set_last_ns(std::max(sum.last_ns(), group.last_ns()));
    }
  }
  std::vector<std::pair<std::string, v1::FlowGroup>> sorted(sums.begin(), sums.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) {
    return a.second.tx_wire_bytes() > b.second.tx_wire_bytes();
  });
  Table table(
      {{"DESTINATION"}, {"FLOWS", true}, {"SENT", true}, {"RECEIVED", true}, {"LAST SEEN"}});
  for (const auto& [address, sum] : sorted) {
    if (table.rows() == kMostDestinations) break;
    table.Add({{address},
               {FormatCount(sum.flows())},
               {FormatByteSize(sum.tx_wire_bytes())},
               {FormatByteSize(sum.rx_wire_bytes())},
               {ShortTime(sum.last_ns(), view)}});
  }
  return table.rows() == 0 ? "" : "\n" + table.Render(view);
}

}  // namespace

std::string RenderKeyUse(const std::vector<v1::GetSessionResponse>& sessions, const View& view) {
  return SessionsOf(sessions, view) + CommandsOf(sessions, view) + DestinationsOf(sessions, view);
}

}  // namespace culprit::cli
