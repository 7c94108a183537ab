// SPDX-License-Identifier: Apache-2.0
// `culprit hosts --health`: what an agent covers, lost, costs and cannot see.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

// Narrower terminals get sizes without their shares.
constexpr std::size_t kWide = 120;
// Below this a difference is noise: counters of hooks and of the interface are not read in one
// instant.
constexpr std::uint64_t kNoiseBytes = 64U << 10U;

std::string_view MeaningOf(std::string_view cause) {
  static constexpr std::pair<std::string_view, std::string_view> kMeanings[] = {
      {"ring_full", "events came too fast: they arrive later, in the next sweep; no bytes lost"},
      {"socket_storage", "the kernel refused memory: flows without an owner, counted as unknown"},
      {"peer_table_full", "one socket with many peers: the rest is summed under \"overflow\""},
      {"process_table_full", "processes without a definition of their own"},
      {"spool_cap", "collector too long out of reach: oldest frames dropped, range declared"},
      {"spool_corrupt", "frames on the host's disk that did not check out"},
      {"spool_write", "the host's disk refused frames: full, or failing"},
      {"quarantined", "frames that this collector refused three times"},
      {"agent_table_full",
       "the agent's own tables were full: detail of flows or processes evicted"},
      {"queue_full", "a stage of the agent was too slow for the one before it"},
      {"hash_queue", "executables that have no hash"},
      {"forward_table_full", "forwarded flows summed by interface pair instead of one by one"},
      {"ledger_full", "more interfaces than the agent counts: the rest is one line"},
      {"process_budget", "a user made too many processes: the rest is summed by user"},
  };
  for (const auto& [name, meaning] : kMeanings) {
    if (cause == name) return meaning;
  }
  return "a cause that this version does not know";
}

std::string Line(std::string_view name, const std::string& value, const View& view) {
  return FitLine(fmt::format("{:<12} {}", name, value), view) + "\n";
}

std::string Percent(double share) { return fmt::format("{:.2f}%", share * 100); }

double Ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::uint64_t Magnitude(std::int64_t n) {
  return n < 0 ? ~static_cast<std::uint64_t>(n) + 1 : static_cast<std::uint64_t>(n);
}

std::string ClockOf(const v1::HostRow& host, const View& view) {
  const std::int64_t skew = host.clock_skew_ns();
  const std::uint64_t away = Magnitude(skew);
  std::string text = "agrees with the collector's within 1s";
  if (away >= 1'000'000'000) {
    text = fmt::format("{} {} the collector's, transit and spool time included",
                       FormatDuration(std::chrono::nanoseconds(
                           static_cast<std::int64_t>(std::min<std::uint64_t>(away, INT64_MAX)))),
                       skew > 0 ? "ahead of" : "behind");
  }
  if (host.heartbeat_ns() == 0) return text + "; no heartbeat yet";
  return text + "; newest heartbeat " + FormatAge(host.heartbeat_ns(), view.now_ns);
}

std::string CostOf(const v1::HostRow& host) {
  std::string cpu = "not known yet";
  if (host.cost_span_ns() > 0) {
    cpu = fmt::format(
        "{} of a core over {}", Percent(Ratio(host.cost_cpu_us(), host.cost_span_ns()) * 1000),
        FormatDuration(std::chrono::nanoseconds(static_cast<std::int64_t>(host.cost_span_ns()))));
  }
  return fmt::format(
      "CPU {}; PSS {}", cpu,
      host.agent_pss_bytes() == 0 ? "not known" : FormatByteSize(host.agent_pss_bytes()));
}

std::string SpoolOf(const v1::HostRow& host) {
  std::string text = FormatByteSize(host.spool_bytes());
  if (host.spool_cap_bytes() > 0) text += " of at most " + FormatByteSize(host.spool_cap_bytes());
  return text + " kept on the host until acknowledged";
}

std::string SignedSize(std::int64_t bytes) {
  return (bytes < 0 ? "-" : "+") + FormatByteSize(Magnitude(bytes));
}

void AddDirection(const v1::HostRow::Interface& i, const v1::HostRow::Traffic& t,
                  std::string_view direction, const View& view, Table* table) {
  const double share = Ratio(Magnitude(t.residual_bytes()), t.interface_bytes());
  const bool odd =
      Magnitude(t.residual_bytes()) > kNoiseBytes && (share > 0.01 || t.interface_bytes() == 0);
  const Style style = odd ? Style::kWarning : Style::kPlain;
  const bool wide = view.width == 0 || view.width >= kWide;
  const bool comparable = i.readable() && t.interface_bytes() > 0;
  const auto part = [&](std::uint64_t bytes) {
    if (bytes == 0) return std::string("-");
    if (!comparable || !wide) return FormatByteSize(bytes);
    return fmt::format("{} {:>5.1f}%", FormatByteSize(bytes),
                       Ratio(bytes, t.interface_bytes()) * 100);
  };
  const std::string name = i.ifindex() == 0 ? "(others)" : i.name();
  table->Add(
      {{name.empty() ? fmt::format("#{}", i.ifindex()) : name},
       {std::to_string(i.netns())},
       {std::string(direction)},
       {i.readable() ? FormatByteSize(t.interface_bytes()) : "not readable"},
       {part(t.process_bytes())},
       {part(t.kernel_bytes())},
       {part(t.forwarded_bytes())},
       {part(t.unknown_bytes()), t.unknown_bytes() > kNoiseBytes ? Style::kWarning : Style::kPlain},
       {i.readable() ? SignedSize(t.residual_bytes()) : "-", style},
       {comparable ? fmt::format("{}{:.2f}%", t.residual_bytes() < 0 ? "-" : "+", share * 100)
                   : "-",
        style}});
}

std::string RenderCoverage(const v1::HostRow& host, const View& view) {
  if (!host.has_coverage()) return "\n" + Line("coverage", "none reported yet", view);
  const v1::HostRow::Coverage& coverage = host.coverage();
  Table table({{"INTERFACE", false, 8},
               {"NETNS", true, 0, 2},
               {"DIR"},
               {"DEVICE", true},
               {"PROCESS", true},
               {"KERNEL", true, 0, 1},
               {"FORWARDED", true},
               {"UNKNOWN", true},
               {"RESIDUAL", true},
               {"%", true}});
  for (const auto& i : coverage.interfaces()) {
    AddDirection(i, i.tx(), "tx", view, &table);
    AddDirection(i, i.rx(), "rx", view, &table);
  }
  return "\n" +
         Line("coverage",
              fmt::format("{} to {}", FormatTime(coverage.since_ns(), view.zone),
                          FormatTime(coverage.at_ns(), view.zone)),
              view) +
         table.Render(view);
}

std::string RenderLosses(const v1::HostRow& host, const View& view) {
  if (host.losses_size() == 0) return "\n" + Line("losses", "none", view);
  Table table({{"LOST", false}, {"COUNT", true}, {"MEANING", false, 16}, {"DETAIL", false, 8, 1}});
  for (const auto& loss : host.losses()) {
    table.Add({{loss.cause(), Style::kWarning},
               {FormatCount(loss.count())},
               {std::string(MeaningOf(loss.cause()))},
               {loss.detail().empty() ? "-" : loss.detail()}});
  }
  return "\n" + table.Render(view);
}

std::string RenderPrograms(const v1::HostRow& host, const View& view) {
  if (host.programs_size() == 0) {
    return "\n" + Line("programs",
                       host.heartbeat_ns() == 0
                           ? "not reported yet"
                           : "no run times: kernel.bpf_stats_enabled is off on the host",
                       view);
  }
  Table table({{"PROGRAM", false, 10}, {"RUNS", true}, {"NS/RUN", true}, {"OF A CORE", true}});
  for (const auto& p : host.programs()) {
    const bool known = host.cost_span_ns() > 0;
    table.Add({{p.name()},
               {FormatCount(p.run_count())},
               {p.run_count() == 0 ? "-" : FormatCount(p.run_time_ns() / p.run_count())},
               {known ? Percent(Ratio(p.span_run_time_ns(), host.cost_span_ns())) : "-"}});
  }
  return "\n" + table.Render(view);
}

std::string RenderMissing(const v1::HostRow& host, const View& view) {
  if (host.missing_size() == 0) {
    return "\n" + Line("hooks", host.fidelity().empty() ? "not reported yet" : "all active", view);
  }
  Table table({{"MISSING HOOK"}, {"WHAT STANDS IN", false, 16}});
  for (const auto& hook : host.missing()) {
    table.Add({{hook.name(), hook.required() ? Style::kBad : Style::kWarning},
               {hook.note().empty() ? "nothing" : hook.note()}});
  }
  return "\n" + table.Render(view);
}

}  // namespace

std::string RenderHealth(const v1::HostRow& host, const View& view) {
  const std::string name = host.hostname().empty() ? host.agent_name() : host.hostname();
  const std::string title =
      fmt::format("{}: {}, last seen {}", name.empty() ? host.agent_id() : name, host.state(),
                  FormatAge(host.last_received_ns(), view.now_ns));
  std::string out = Styled(FitLine(title, view), Style::kBold, view.colour) + "\n";
  out += Line("agent",
              fmt::format("{} ({}), version {}", host.agent_name(), host.agent_id(),
                          host.agent_version().empty() ? "?" : host.agent_version()),
              view);
  out += Line("clock", ClockOf(host, view), view);
  out += Line("cost", CostOf(host), view);
  out += Line("spool", SpoolOf(host), view);
  out += Line("tracks",
              fmt::format("{} flows, {} processes", FormatCount(host.flows_live()),
                          FormatCount(host.processes_live())),
              view);
  out += Line("chain",
              fmt::format("{} frames, {} gaps, {} forks, {} rollbacks, {} lost frames, "
                          "{} records or frames refused",
                          FormatCount(host.frames()), FormatCount(host.gaps()),
                          FormatCount(host.forks()), FormatCount(host.rollbacks()),
                          FormatCount(host.lost_frames()), FormatCount(host.rejected())),
              view);
  for (const std::string& degraded : host.degraded()) out += Line("degraded", degraded, view);
  return out + RenderCoverage(host, view) + RenderLosses(host, view) + RenderPrograms(host, view) +
         RenderMissing(host, view);
}

}  // namespace culprit::cli
