// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "collector/detect/detectors.h"
#include "common/units.h"

namespace culprit {
namespace {

// Media, games and QUIC also send much to whoever says little, and mean it.
constexpr std::array<std::uint16_t, 21> kMisused = {17,   19,   53,   111,  123,   137,   161,
                                                    177,  389,  427,  520,  1434,  1900,  3283,
                                                    3702, 5093, 5353, 5683, 10001, 11211, 37810};

}  // namespace

void WatchReflector(const FlowEvent& flow, const ReflectorThresholds& t, Group& group,
                    DetectContext& out) {
  if (!flow.inbound() || flow.facts.protocol != IPPROTO_UDP || flow.added.tx_packets == 0) return;
  if (!std::binary_search(kMisused.begin(), kMisused.end(), flow.facts.local_port)) return;
  ReflectorState& state = Need(group.reflector);
  ReflectorState::Service& service = state.services.Touch(flow.facts.local_port, flow.at);
  if (service.answers == 0) service.began = flow.facts.start;
  service.answers += flow.added.tx_packets;
  service.tx += flow.added.tx_payload_bytes;
  service.rx += flow.added.rx_payload_bytes;
  if (service.answers < t.answers || service.tx < service.answers * t.answer_bytes ||
      service.tx < service.rx * t.gain) {
    return;
  }
  Alarm alarm = MakeAlarm("reflector", v1::SEVERITY_HIGH, flow.facts.process);
  alarm.first = service.began;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.targets = {MakeTarget(flow.remote(), flow.total.tx_wire_bytes, flow.total.rx_wire_bytes)};
  alarm.reason = fmt::format(
      "its service on UDP port {} answers {} with {}: whoever forges a sender's address uses it "
      "against others",
      flow.facts.local_port, FormatByteSize(service.rx), FormatByteSize(service.tx));
  alarm.measures = {
      MakeMeasure("answer bytes per byte asked",
                  static_cast<double>(service.tx) /
                      static_cast<double>(std::max<std::uint64_t>(1, service.rx)),
                  t.gain),
      MakeMeasure("answers", static_cast<double>(service.answers), t.answers),
      MakeMeasure("bytes of an answer",
                  static_cast<double>(service.tx) / static_cast<double>(service.answers),
                  t.answer_bytes, "B")};
  alarm.flows = {flow.facts.flow};
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
