// SPDX-License-Identifier: Apache-2.0
// Who chose the destination? A client that asks for it by SOCKS or CONNECT, a login that forwards
// through its sshd, or nobody in this host's configuration: many public places that carry, byte for
// byte, what public clients send and receive.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "collector/detect/detectors.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr auto kWindow = std::chrono::seconds(600);
constexpr std::size_t kMaxTargets = 16;
// What sshd itself, its PAM and its name service ask: DNS, Kerberos, LDAP.
constexpr std::array<std::uint16_t, 6> kOwnBusiness = {53, 88, 389, 464, 636, 853};

std::vector<v1::Target> BusiestOf(RecentMap<Endpoint, std::uint64_t>& sent, WallTime at) {
  std::vector<v1::Target> targets;
  for (const auto& [bytes, to] : LargestOf(sent, at, kMaxTargets)) {
    targets.push_back(MakeTarget(to, bytes));
  }
  return targets;
}

// The smaller as a part of the larger, in per cent.
double Conserved(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t larger = std::max(a, b);
  return larger == 0 ? 0
                     : 100.0 * static_cast<double>(std::min(a, b)) / static_cast<double>(larger);
}

// Of both ways. A way with less than a tenth of the bytes says nothing: in it there is what a
// client tells its proxy, and requests.
double ConservedBothWays(const RelayState& state) {
  const std::uint64_t there = std::max(state.in_rx, state.out_tx);
  const std::uint64_t back = std::max(state.out_rx, state.in_tx);
  double least = 100;
  if (there >= back / 10) least = std::min(least, Conserved(state.in_rx, state.out_tx));
  if (back >= there / 10) least = std::min(least, Conserved(state.out_rx, state.in_tx));
  return least;
}

void JudgeListener(const FlowEvent& flow, const RelayThresholds& t, Group& group,
                   DetectContext& out) {
  RelayState& state = *group.relay;
  Alarm alarm = MakeAlarm("ssh-relay",
                          state.ssh_bytes >= t.ssh_bytes ? v1::SEVERITY_HIGH : v1::SEVERITY_MEDIUM,
                          flow.facts.process);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = state.ssh_began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.targets = {MakeTarget(flow.remote(), flow.total.tx_wire_bytes, flow.total.rx_wire_bytes)};
  alarm.reason = fmt::format(
      "the sshd of a login takes connections at port {} for the client at the other end of that "
      "login (ssh -R), {} so far",
      flow.facts.local_port, FormatByteSize(state.ssh_bytes));
  alarm.measures = {MakeMeasure("clients within ten minutes",
                                static_cast<double>(state.ssh_served.Count(flow.at)), 1),
                    MakeMeasure("relayed", static_cast<double>(state.ssh_bytes),
                                static_cast<double>(t.ssh_bytes), "B")};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

// A listener of the session's own: ssh -R. What the login itself came through is a port of sshd.
void WatchListener(const FlowEvent& flow, const RelayThresholds& t, Group& group,
                   DetectContext& out) {
  if (!out.IsBesideSsh(flow.facts.local_port)) return;
  RelayState& state = Need(group.relay);
  if (state.ssh_served.Count(flow.at) == 0) state.ssh_began = flow.facts.start;
  state.ssh_served.Touch(flow.facts.remote, flow.at) = true;
  state.ssh_bytes += flow.added.tx_wire_bytes + flow.added.rx_wire_bytes;
  if (out.IsDue(group, "ssh-relay", flow.at)) JudgeListener(flow, t, group, out);
}

void JudgeSshd(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out) {
  RelayState& state = *group.relay;
  const std::size_t destinations = state.ssh_destinations.Count(flow.at);
  const bool much = destinations >= t.ssh_destinations || state.ssh_bytes >= t.ssh_bytes;
  Alarm alarm =
      MakeAlarm("ssh-relay", much ? v1::SEVERITY_HIGH : v1::SEVERITY_MEDIUM, flow.facts.process);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = state.ssh_began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.targets = BusiestOf(state.ssh_destinations, flow.at);
  alarm.reason = fmt::format(
      "the sshd of a login connects to {} by itself: the client at the other end of that login "
      "chose where "
      "to (ssh -D, -L or -J), {} so far",
      destinations == 1 ? flow.remote().ToString() : fmt::format("{} destinations", destinations),
      FormatByteSize(state.ssh_bytes));
  alarm.measures = {MakeMeasure("destinations within ten minutes",
                                static_cast<double>(destinations), t.ssh_destinations),
                    MakeMeasure("relayed", static_cast<double>(state.ssh_bytes),
                                static_cast<double>(t.ssh_bytes), "B")};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

void WatchSshd(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out) {
  if (flow.facts.remote.IsLoopback()) return;
  if (flow.inbound()) {
    WatchListener(flow, t, group, out);
    return;
  }
  if (!flow.outbound() || std::find(kOwnBusiness.begin(), kOwnBusiness.end(),
                                    flow.facts.remote_port) != kOwnBusiness.end()) {
    return;
  }
  RelayState& state = Need(group.relay);
  const std::uint64_t bytes = flow.added.tx_wire_bytes + flow.added.rx_wire_bytes;
  if (state.ssh_destinations.Count(flow.at) == 0) state.ssh_began = flow.facts.start;
  state.ssh_destinations.Touch(flow.remote(), flow.at) += bytes;
  state.ssh_bytes += bytes;
  // The third destination makes it worse, and is told at once.
  const bool third = state.ssh_destinations.Count(flow.at) == t.ssh_destinations;
  if (third || out.IsDue(group, "ssh-relay", flow.at)) JudgeSshd(flow, t, group, out);
}

// A connection to what a client had asked for.
struct Grant {
  Endpoint to;
  ProcessId process;
  FlowId flow;  // that connection, or the one that asked
  WallTime first, at;
  Lsn lsn = 0;
};

void RaiseGrant(const Grant& grant, const RelayThresholds& t, Group& group, DetectContext& out) {
  RelayState& state = *group.relay;
  ++state.granted;
  if (state.granted < t.asked || !grant.to.address.IsPublic()) return;
  const bool open = state.asking.IsPublic();
  Alarm alarm = MakeAlarm("relay", open ? v1::SEVERITY_HIGH : v1::SEVERITY_LOW, grant.process);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = grant.first;
  alarm.at = grant.at;
  alarm.lsn = grant.lsn;
  alarm.targets = {MakeTarget(grant.to)};
  alarm.reason = fmt::format(
      "a proxy: {} asked for {} destinations by SOCKS or CONNECT, and it connected there",
      open ? "a public client, " + state.asking.ToString() + "," : state.asking.ToString(),
      state.granted);
  alarm.measures = {MakeMeasure("destinations asked for and reached", state.granted, t.asked)};
  alarm.flows = {grant.flow};
  out.Raise(group, std::move(alarm));
}

// What a client of a proxy asked for came about.
void WatchGranted(const FlowEvent& flow, const RelayThresholds& t, Group& group,
                  DetectContext& out) {
  RelayState& state = *group.relay;
  bool* by_address = state.asked.Find(flow.remote());
  const std::string name = out.NameOf(flow.facts.remote);
  bool* by_name = name.empty() ? nullptr : state.asked_names.Find(name);
  bool* asked = by_address != nullptr ? by_address : by_name;
  if (asked == nullptr || *asked) return;
  *asked = true;
  RaiseGrant(
      {flow.remote(), flow.facts.process, flow.facts.flow, flow.facts.start, flow.at, flow.lsn}, t,
      group, out);
}

void TakeLegs(const FlowEvent& flow, RelayState* state) {
  if (state->window_began + kWindow < flow.at) {
    state->in_rx = state->in_tx = state->out_rx = state->out_tx = 0;
    state->window_began = flow.at;
  }
  const std::uint64_t bytes = flow.added.tx_payload_bytes + flow.added.rx_payload_bytes;
  if (flow.inbound()) {
    state->serves = true;
    state->in_rx += flow.added.rx_payload_bytes;
    state->in_tx += flow.added.tx_payload_bytes;
    if (flow.facts.remote.IsPublic()) state->clients.Touch(flow.facts.remote, flow.at) += bytes;
  } else if (flow.outbound()) {
    state->out_rx += flow.added.rx_payload_bytes;
    state->out_tx += flow.added.tx_payload_bytes;
    if (flow.facts.remote.IsPublic() && flow.answered) {
      state->destinations.Touch(flow.remote(), flow.at) += bytes;
    }
  }
}

bool CarriesMuch(const RelayState& state, const RelayThresholds& t) {
  return state.in_rx + state.in_tx >= t.bytes && state.out_rx + state.out_tx >= t.bytes;
}

void JudgeConserved(const FlowEvent& flow, const RelayThresholds& t, Group& group,
                    DetectContext& out) {
  RelayState& state = *group.relay;
  if (!CarriesMuch(state, t)) return;
  const double conserved = ConservedBothWays(state);
  if (conserved < t.conserved_percent) return;
  const std::size_t clients = state.clients.Count(flow.at);
  const std::size_t destinations = state.destinations.Count(flow.at);
  if (clients == 0 || destinations < t.destinations) return;
  if (out.processes().TraitsOf(flow.facts.process).configured_proxy) return;
  Alarm alarm = MakeAlarm("relay", v1::SEVERITY_HIGH, flow.facts.process);
  alarm.confidence = v1::CONFIDENCE_MEDIUM;
  alarm.first = state.window_began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.targets = BusiestOf(state.destinations, flow.at);
  alarm.reason = fmt::format(
      "passes on what {} public clients send to {} public destinations, and back: {} in and "
      "{} out are the same within {:.0f} %",
      clients, destinations, FormatByteSize(state.in_rx + state.out_rx),
      FormatByteSize(state.in_tx + state.out_tx), 100 - conserved);
  alarm.measures = {MakeMeasure("conserved", conserved, t.conserved_percent, "%"),
                    MakeMeasure("public destinations within ten minutes",
                                static_cast<double>(destinations), t.destinations),
                    MakeMeasure("public clients", static_cast<double>(clients), 1)};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

}  // namespace

void JudgeRelay(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out) {
  if (!group.relay) return;
  if (!out.processes().IsLoginSshd(flow.facts.process)) {
    JudgeConserved(flow, t, group, out);
  } else if (flow.inbound()) {
    JudgeListener(flow, t, group, out);
  } else {
    JudgeSshd(flow, t, group, out);
  }
}

void WatchRelay(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out) {
  if (flow.facts.protocol != IPPROTO_TCP && flow.facts.protocol != IPPROTO_UDP) return;
  if (out.processes().IsLoginSshd(flow.facts.process)) {
    WatchSshd(flow, t, group, out);
    return;
  }
  if (!flow.inbound() && !flow.outbound()) return;
  // Of who serves nobody yet, too: the rows of a relay's two sides come in any order.
  TakeLegs(flow, &Need(group.relay));
  if (!group.relay->serves) return;
  if (flow.outbound() && flow.answered) WatchGranted(flow, t, group, out);
  if (CarriesMuch(*group.relay, t) && out.IsDue(group, "relay", flow.at)) {
    JudgeConserved(flow, t, group, out);
  }
}

void WatchRelay(const NameEvent& name, const FlowFacts* flow, const RelayThresholds& t,
                Group& group, DetectContext& out) {
  const bool asks = name.name.source() == v1::NAME_SOURCE_SOCKS ||
                    name.name.source() == v1::NAME_SOURCE_HTTP_CONNECT;
  if (!asks || flow == nullptr || flow->direction != v1::FLOW_DIRECTION_INBOUND) return;
  RelayState& state = Need(group.relay);
  state.serves = true;
  state.asking = flow->remote;
  const auto address = IpAddress::Parse(name.name.name());
  if (!address) {
    state.asked_names.Touch(name.name.name(), name.at);
    return;
  }
  const Endpoint to{*address, static_cast<std::uint16_t>(name.name.port())};
  bool& met = state.asked.Touch(to, name.at);
  // What was asked is told behind the rows of short connections.
  if (met || state.destinations.Find(to) == nullptr) return;
  met = true;
  RaiseGrant({to, flow->process, flow->flow, flow->start, name.at, name.lsn}, t, group, out);
}

}  // namespace culprit
