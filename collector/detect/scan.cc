// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr auto kForget = std::chrono::seconds(1800);
constexpr auto kWithoutRows = std::chrono::seconds(10);
constexpr auto kAnswerTime =
    std::chrono::seconds(3);  // a first contact that has none by then failed
constexpr std::size_t kMaxTargets = 16;
constexpr std::uint32_t kMaxAddresses = 8;
constexpr std::uint64_t kMostContacts = 1ULL << 32;  // of one record: no sum leaves its range
// Of counters alone, where each attempt has a row as well, which says more.
constexpr std::uint32_t kBesideRows = 4;
// Where traceroute sends to: one port more for each of its probes, of which routers answer few.
constexpr std::uint16_t kTraceFirst = 33434, kTraceLast = 33534;

struct Spread {
  std::size_t addresses = 0, ports = 0;
  std::vector<v1::Target> targets;
};

std::string SpreadText(std::uint64_t addresses, std::uint64_t ports) {
  if (addresses == 1) return fmt::format("{} ports of one address", ports);
  if (ports == 1) return fmt::format("one port of {} addresses", addresses);
  return fmt::format("{} ports of {} addresses", ports, addresses);
}

Spread SpreadOf(RecentMap<Endpoint, bool>& contacts, bool value, WallTime at) {
  Spread spread;
  std::set<IpAddress> addresses;
  std::set<std::uint16_t> ports;
  contacts.ForEach(at, [&](const Endpoint& to, bool is) {
    if (is != value) return;
    addresses.insert(to.address);
    ports.insert(to.port);
    if (spread.targets.size() < kMaxTargets) spread.targets.push_back(MakeTarget(to));
  });
  spread.addresses = addresses.size();
  spread.ports = ports.size();
  return spread;
}

void RaiseFailures(const FlowEvent& flow, const ScanThresholds& t, Group& group,
                   DetectContext& out) {
  ScanState& state = *group.scan;
  const Spread spread = SpreadOf(state.contacts, true, flow.at);
  Alarm alarm = MakeAlarm("scan", v1::SEVERITY_HIGH, flow.facts.process);
  alarm.confidence = state.failures >= 2 * static_cast<int>(t.net_failures) ? v1::CONFIDENCE_HIGH
                                                                            : v1::CONFIDENCE_MEDIUM;
  alarm.first = state.began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.reason = fmt::format("tried {} for the first time and was refused or not answered",
                             SpreadText(spread.addresses, spread.ports));
  alarm.measures = {
      MakeMeasure("failed first contacts less successful ones", state.failures, t.net_failures),
      MakeMeasure("addresses", static_cast<double>(spread.addresses), 0),
      MakeMeasure("ports", static_cast<double>(spread.ports), 0)};
  alarm.targets = spread.targets;
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

// ENETUNREACH: this host has no way there; that says nothing about the process.
bool Failed(const FlowEvent& flow) {
  return !flow.answered ? flow.facts.error != ENETUNREACH
                        : flow.facts.state == v1::FLOW_STATE_FAILED;
}

// Who tries one address of a name after the other looks for a service that does not answer. No name
// has many.
bool IsOfFailedName(const FlowEvent& flow, ScanState* state, DetectContext& out) {
  const std::uint64_t name = out.ResolvedFrom(flow.facts.remote);
  if (name == 0) return false;
  const std::uint32_t before = state->names.Touch(name ^ flow.facts.remote_port, flow.at)++;
  return before > 0 && before < kMaxAddresses;
}

void TakeContact(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out) {
  ScanState& state = Need(group.scan);
  if (state.last_failure + kForget < flow.at) state.failures = 0;
  if (flow.late) {
    bool* wrong = state.contacts.Find(flow.remote());
    if (wrong != nullptr && *wrong) state.failures = std::max(0, state.failures - 2);
    if (wrong != nullptr) *wrong = false;
    return;
  }
  bool fresh = false;
  bool& failed = state.contacts.Touch(flow.remote(), flow.at, &fresh);
  if (!fresh) return;
  failed = Failed(flow);
  if (!failed) {
    state.failures = std::max(0, state.failures - 1);
    return;
  }
  if (IsOfFailedName(flow, &state, out)) return;
  if (state.failures == 0) state.began = flow.facts.start;
  ++state.failures;
  state.last_failure = flow.at;
  if (state.failures >= static_cast<int>(t.net_failures) && out.IsDue(group, "scan", flow.at)) {
    RaiseFailures(flow, t, group, out);
  }
}

bool IsProbe(const FlowFacts& facts) {
  if (facts.protocol == IPPROTO_TCP) return false;
  const auto& bytes = facts.remote.bytes();
  const bool multicast =
      facts.remote.IsV4() ? (bytes[12] & 0xf0) == 224 || bytes[12] == 255 : bytes[0] == 0xff;
  const bool link_local = !facts.remote.IsV4() && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  return !multicast && !link_local;
}

// Nobody but a scanner sends to many and hears from none.
void JudgeProbes(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out) {
  ScanState& state = *group.scan;
  std::size_t all = 0, silent = 0;
  state.probes.ForEach(flow.at, [&](const Endpoint&, bool had_answer) {
    ++all;
    if (!had_answer) ++silent;
  });
  if (silent < t.unanswered || silent * 100 < all * t.unanswered_percent) return;
  Spread spread = SpreadOf(state.probes, false, flow.at);
  if (flow.facts.protocol != IPPROTO_UDP) {
    for (v1::Target& target : spread.targets) target.set_port(0);
  }
  Alarm alarm = MakeAlarm("scan", v1::SEVERITY_HIGH, flow.facts.process);
  alarm.first = flow.at - std::chrono::seconds(60);
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  const char* what = flow.facts.protocol == IPPROTO_UDP ? "datagrams" : "packets that are not TCP";
  alarm.reason =
      fmt::format("sent {} to {} within a minute and got no answer from {}", what,
                  SpreadText(spread.addresses, spread.ports), silent == all ? "any" : "most");
  alarm.measures = {
      MakeMeasure("targets without an answer", static_cast<double>(silent), t.unanswered),
      MakeMeasure("of all", 100.0 * static_cast<double>(silent) / static_cast<double>(all),
                  t.unanswered_percent, "%")};
  alarm.targets = spread.targets;
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

void TakeProbe(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out) {
  ScanState& state = Need(group.scan);
  Endpoint to = flow.remote();
  if (flow.facts.protocol != IPPROTO_UDP) to.port = flow.facts.protocol;  // kept apart, not shown
  if (to.port >= kTraceFirst && to.port <= kTraceLast) to.port = kTraceFirst;
  bool& answered = state.probes.Touch(to, flow.at);
  answered = answered || flow.answered;
  if (!answered && flow.first && out.IsDue(group, "scan", flow.at)) {
    JudgeProbes(flow, t, group, out);
  }
}

// Counts what was answered of the first contacts that still have time; returns what is left.
std::uint64_t TakeAnswers(std::uint64_t answers, ScanState* state) {
  for (ScanState::Begun& begun : state->begun) {
    const std::uint64_t of_these = std::min(answers, begun.silent);
    begun.silent -= of_these;
    begun.answered += of_these;
    answers -= of_these;
  }
  return answers;
}

void TakeCounted(const ActivityEvent& activity, const ScanThresholds& t, Group& group,
                 DetectContext& out) {
  ScanState& state = Need(group.scan);
  if (state.counted_last + kForget < activity.at) state.counted = 0;
  state.begun.push_back({activity.at, std::min(activity.added.first_contacts(), kMostContacts), 0});
  const std::uint64_t late =
      TakeAnswers(std::min(activity.added.first_contacts_ok(), kMostContacts), &state);
  if (state.counted == 0) state.counted_since = activity.at;
  // As with rows: up by one that has failed, down by one that has not.
  std::int64_t change = -2 * static_cast<std::int64_t>(late);
  bool failed = false;
  while (!state.begun.empty() && state.begun.front().at + kAnswerTime <= activity.at) {
    const ScanState::Begun& due = state.begun.front();
    change += static_cast<std::int64_t>(due.silent) - static_cast<std::int64_t>(due.answered);
    failed = failed || due.silent > 0;
    state.begun.pop_front();
  }
  if (failed) state.counted_last = activity.at;
  state.counted = std::max<std::int64_t>(0, state.counted + change);
  if (activity.added.suppressed_flows() > 0) state.without_rows = activity.at;
  const bool rows = state.without_rows + kWithoutRows < activity.at;
  const std::uint32_t needed = t.net_failures * (rows ? kBesideRows : 1);
  const std::uint64_t spread = std::max(activity.window_addresses, activity.window_ports);
  if (state.counted < needed || !failed || spread < needed) return;
  Alarm alarm = MakeAlarm("scan", v1::SEVERITY_HIGH, activity.process);
  alarm.confidence =
      state.counted >= 2 * std::int64_t{needed} ? v1::CONFIDENCE_HIGH : v1::CONFIDENCE_MEDIUM;
  alarm.first = state.counted_since;
  alarm.at = activity.at;
  alarm.lsn = activity.lsn;
  alarm.reason = fmt::format("tried about {} within ten seconds, nearly all without success",
                             SpreadText(activity.window_addresses, activity.window_ports));
  alarm.measures = {
      MakeMeasure("failed first contacts less successful ones", static_cast<double>(state.counted),
                  needed),
      MakeMeasure("attempts", static_cast<double>(activity.added.tcp_attempts()) / activity.seconds,
                  0, "/s")};
  out.Raise(group, std::move(alarm));
}

}  // namespace

void JudgeScan(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out) {
  if (!group.scan) return;
  if (flow.facts.protocol != IPPROTO_TCP) {
    JudgeProbes(flow, t, group, out);
  } else if (group.scan->failures >= static_cast<int>(t.net_failures)) {
    RaiseFailures(flow, t, group, out);
  }
}

void WatchScan(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out) {
  if (!flow.outbound()) return;
  if (flow.facts.protocol == IPPROTO_TCP) {
    if (flow.decided || flow.late) TakeContact(flow, t, group, out);
  } else if (IsProbe(flow.facts)) {
    TakeProbe(flow, t, group, out);
  }
}

void WatchScan(const ActivityEvent& activity, const ScanThresholds& t, Group& group,
               DetectContext& out) {
  if (activity.added.first_contacts() + activity.added.first_contacts_ok() > 0 ||
      (group.scan && !group.scan->begun.empty())) {
    TakeCounted(activity, t, group, out);
  }
  const std::uint64_t spread = std::max(activity.window_addresses, activity.window_ports);
  if (activity.added.bare_syns() < t.crafted_targets || spread < t.crafted_targets) return;
  Alarm alarm = MakeAlarm("scan", v1::SEVERITY_HIGH, activity.process);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = activity.at;
  alarm.at = activity.at;
  alarm.lsn = activity.lsn;
  alarm.reason =
      fmt::format("made SYNs of its own, past the system's TCP, to about {} within ten seconds",
                  SpreadText(activity.window_addresses, activity.window_ports));
  alarm.measures = {MakeMeasure("crafted SYNs", static_cast<double>(activity.added.bare_syns()), 0),
                    MakeMeasure("addresses or ports within 10 s", static_cast<double>(spread),
                                t.crafted_targets)};
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
