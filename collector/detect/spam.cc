// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr std::uint16_t kSmtp = 25;
constexpr std::size_t kMaxTargets = 16;

}  // namespace

void WatchSpam(const FlowEvent& flow, const SpamThresholds& t, Group& group, DetectContext& out) {
  if (!flow.outbound() || flow.facts.protocol != IPPROTO_TCP || flow.facts.remote_port != kSmtp ||
      !flow.facts.remote.IsPublic() || !flow.first) {
    return;
  }
  SpamState& state = Need(group.spam);
  if (state.servers.Count(flow.at) == 0) state.began = flow.facts.start;
  state.servers.Touch(flow.facts.remote, flow.at) = true;
  const std::size_t servers = state.servers.Count(flow.at);
  if (servers < t.servers) return;
  Alarm alarm = MakeAlarm("spam", v1::SEVERITY_HIGH, flow.facts.process);
  alarm.first = state.began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  state.servers.ForEach(flow.at, [&](const IpAddress& address, bool) {
    if (alarm.targets.size() < kMaxTargets) alarm.targets.push_back(MakeTarget({address, kSmtp}));
  });
  alarm.reason = fmt::format("connected to {} mail servers (port 25) within ten minutes", servers);
  alarm.measures = {
      MakeMeasure("mail servers within ten minutes", static_cast<double>(servers), t.servers)};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
