// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/detect/detectors.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxTargets = 16, kMaxTold = 256;
constexpr auto kSecond = std::chrono::seconds(1);

}  // namespace

void ResumeEgress(const v1::Finding& finding, Group* group) {
  EgressState& state = Need(group->egress);
  state.began = WallTimeFromNs(finding.first_ns());
  for (const v1::Target& target : finding.targets()) {
    const auto address = IpAddress::Parse(target.address());
    if (!address) continue;
    state.fresh.Touch(*address, WallTimeFromNs(finding.last_ns())) = {target.tx_bytes(),
                                                                      target.rx_bytes()};
    state.told.insert(*address);
  }
}

void WatchEgress(const FlowEvent& flow, const EgressThresholds& t, Group& group,
                 DetectContext& out) {
  // Whoever connects to a service of ours and fetches much is its client; what is pushed out is our
  // own doing.
  if (!flow.outbound() || flow.added.tx_wire_bytes == 0 || !flow.facts.remote.IsPublic()) return;
  const bool goes_on = group.egress && group.egress->told.count(flow.facts.remote) > 0;
  if (!goes_on && out.IsOldDestination(flow.facts.remote, flow.at)) return;
  EgressState& state = Need(group.egress);
  bool first = false;
  Egress& to = state.fresh.Touch(flow.facts.remote, flow.at, &first);
  to.tx += flow.added.tx_wire_bytes;
  to.rx += flow.added.rx_wire_bytes;
  state.minute.Add(flow.at, flow.added.tx_wire_bytes);
  if (first && state.fresh.Count(flow.at) == 1) {
    state.told.clear();
    state.began = std::min(flow.facts.start, flow.at);
  }
  // Cheap first: most flows are small.
  const std::uint64_t minute = state.minute.Sum(flow.at);
  if (to.tx < t.bytes / 256 && minute < t.bytes_per_second * 60) return;
  if (out.IsDue(group, "egress", flow.at)) JudgeEgress(flow, t, group, out);
}

void JudgeEgress(const FlowEvent& flow, const EgressThresholds& t, Group& group,
                 DetectContext& out) {
  if (!group.egress) return;
  EgressState& state = *group.egress;
  const std::uint64_t minute = state.minute.Sum(flow.at);
  std::uint64_t tx = 0, rx = 0;
  std::vector<std::pair<std::uint64_t, v1::Target>> busiest;
  state.fresh.ForEach(flow.at, [&](const IpAddress& address, const Egress& egress) {
    tx += egress.tx;
    rx += egress.rx;
    busiest.emplace_back(egress.tx, MakeTarget({address, 0}, egress.tx, egress.rx));
  });
  if (tx < static_cast<std::uint64_t>(t.out_in_ratio) * rx) return;
  if (tx < t.bytes && minute < t.bytes_per_second * 60) return;
  std::sort(busiest.begin(), busiest.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  Alarm alarm = MakeAlarm("egress", v1::SEVERITY_MEDIUM, flow.facts.process);
  alarm.first = state.began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  state.fresh.ForEach(flow.at, [&](const IpAddress& address, const Egress& egress) {
    if (egress.tx >= t.bytes / 256 && state.told.size() < kMaxTold) state.told.insert(address);
  });
  for (std::size_t i = 0; i < std::min(busiest.size(), kMaxTargets); ++i) {
    alarm.targets.push_back(std::move(busiest[i].second));
  }
  const auto lasted = std::max<std::chrono::nanoseconds>(flow.at - state.began, kSecond);
  alarm.reason = fmt::format(
      "sent {} in {} to {} that this host never talked to before", FormatByteSize(tx),
      FormatDuration(lasted),
      busiest.size() == 1 ? "an address" : fmt::format("{} addresses", busiest.size()));
  alarm.measures = {MakeMeasure("sent to new addresses", static_cast<double>(tx),
                                static_cast<double>(t.bytes), "B"),
                    MakeMeasure("over the last minute", static_cast<double>(minute) / 60,
                                static_cast<double>(t.bytes_per_second), "B/s"),
                    MakeMeasure("received from them", static_cast<double>(rx), 0, "B")};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
