// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxTargets = 8;
// Rows come a little later than the counters: a quarter of the packets is enough.
constexpr std::uint64_t kStreamShare = 4;
constexpr std::uint64_t kFewTargets = 8;  // more is a scan, or a busy client

using Busiest = std::vector<std::pair<std::uint64_t, Endpoint>>;  // packets

std::vector<v1::Target> TargetsOf(const Busiest& busiest) {
  std::vector<v1::Target> targets;
  for (const auto& [packets, to] : busiest) targets.push_back(MakeTarget(to));
  return targets;
}

std::string Towards(const std::vector<v1::Target>& targets) {
  if (targets.empty()) return "";
  const v1::Target& busiest = targets[0];
  const std::string port = busiest.port() == 0 ? "" : fmt::format(" port {}", busiest.port());
  return fmt::format(" to {}{}{}", busiest.address(), port,
                     targets.size() == 1 ? "" : " and others");
}

// Telemetry goes one way, too: to hosts of one's own, through sockets of the system.
bool IsOfTheHouse(const Busiest& busiest, const Group& group) {
  return !busiest.empty() && !group.makes_packets &&
         std::none_of(busiest.begin(), busiest.end(),
                      [](const auto& one) { return one.second.address.IsPublic(); });
}

void CountPackets(const ActivityEvent& activity, const FloodThresholds& t, Group& group,
                  DetectContext& out) {
  const v1::ProcessCounters& added = activity.added;
  const auto sent =
      static_cast<double>(std::max(added.tx_packets(), added.raw_packets() + added.link_packets()));
  const double rate = sent / activity.seconds;
  const double answered = sent > 0 ? 100.0 * static_cast<double>(added.rx_packets()) / sent : 100;
  FloodState& state = Need(group.flood);
  if (rate < t.packets_per_second || answered > t.answered_percent) {
    state.packet_seconds = 0;
    state.packets = 0;
    return;
  }
  if (state.packet_seconds == 0) state.packets_since = activity.at;
  state.packets += sent;
  // A fast upload has few acknowledgements, too.
  if (static_cast<double>(state.streams.Sum(activity.at)) * kStreamShare >= state.packets) return;
  state.packet_seconds += static_cast<std::uint32_t>(std::max(1.0, activity.seconds));
  const bool burst = rate >= t.burst_packets_per_second && state.packet_seconds >= 2;
  if (state.packet_seconds < t.seconds && !burst) return;
  const Busiest busiest = LargestOf(state.targets, activity.at, kMaxTargets);
  const bool of_the_house = IsOfTheHouse(busiest, group);
  Alarm alarm =
      MakeAlarm("flood", of_the_house ? v1::SEVERITY_MEDIUM : v1::SEVERITY_HIGH, activity.process);
  alarm.confidence = of_the_house ? v1::CONFIDENCE_MEDIUM : v1::CONFIDENCE_HIGH;
  alarm.first = state.packets_since;
  alarm.at = activity.at;
  alarm.lsn = activity.lsn;
  alarm.targets = TargetsOf(busiest);
  alarm.reason = fmt::format("sends {:.0f} packets/s{} and hears next to nothing back", rate,
                             Towards(alarm.targets));
  alarm.measures = {MakeMeasure("packets sent", rate, t.packets_per_second, "/s"),
                    MakeMeasure("received per packet sent", answered, t.answered_percent, "%"),
                    MakeMeasure("for", state.packet_seconds, t.seconds, "s")};
  out.Raise(group, std::move(alarm));
}

void CountAttempts(const ActivityEvent& activity, const FloodThresholds& t, Group& group,
                   DetectContext& out) {
  const v1::ProcessCounters& added = activity.added;
  const double rate =
      static_cast<double>(added.tcp_attempts() + added.bare_syns()) / activity.seconds;
  FloodState& state = Need(group.flood);
  // Most of a flood's attempts are not answered, or are given up at once.
  const bool unanswered = added.ok() * 5 <= added.tcp_attempts() + added.bare_syns();
  const bool few = activity.window_addresses <= kFewTargets && activity.window_ports <= kFewTargets;
  if (rate < t.attempts_per_second || !unanswered || !few) {
    state.attempt_seconds = 0;
    return;
  }
  if (state.attempt_seconds == 0) state.attempts_since = activity.at;
  state.attempt_seconds += static_cast<std::uint32_t>(std::max(1.0, activity.seconds));
  const bool burst = rate >= t.burst_attempts && added.ok() == 0;
  if (state.attempt_seconds < t.seconds && !burst) return;
  Alarm alarm = MakeAlarm("flood", v1::SEVERITY_HIGH, activity.process);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = state.attempts_since;
  alarm.at = activity.at;
  alarm.lsn = activity.lsn;
  alarm.targets = TargetsOf(LargestOf(state.targets, activity.at, kMaxTargets));
  alarm.reason = fmt::format("tries {:.0f} connections/s{}, nearly none of which is answered", rate,
                             Towards(alarm.targets));
  alarm.measures = {
      MakeMeasure("attempts", rate, t.attempts_per_second, "/s"),
      MakeMeasure("for", state.attempt_seconds, t.seconds, "s"),
      MakeMeasure("addresses within 10 s", static_cast<double>(activity.window_addresses), 0)};
  out.Raise(group, std::move(alarm));
}

// A download, or a film for a client that reports now and then. One question alone may have come
// under somebody else's address.
bool WasAskedFor(const FlowEvent& flow, FloodState* state) {
  if (flow.facts.protocol == IPPROTO_TCP) return flow.answered;
  if (!flow.inbound()) return false;
  if (flow.added.rx_packets > 0) state->clients.Touch(flow.remote(), flow.at);
  return state->clients.Find(flow.remote()) != nullptr;
}

}  // namespace

// Rows say where it went.
void WatchFlood(const FlowEvent& flow, Group& group) {
  if (flow.added.tx_packets + flow.added.rx_packets == 0) return;
  FloodState& state = Need(group.flood);
  if (WasAskedFor(flow, &state)) state.streams.Add(flow.at, flow.added.tx_packets);
  if (flow.inbound() || flow.added.tx_packets == 0) return;
  state.targets.Touch(flow.remote(), flow.at) += flow.added.tx_packets;
}

void WatchFlood(const ActivityEvent& activity, const FloodThresholds& t, Group& group,
                DetectContext& out) {
  CountPackets(activity, t, group, out);
  CountAttempts(activity, t, group, out);
}

}  // namespace culprit
