// SPDX-License-Identifier: Apache-2.0
// Regularity of intervals and sizes after RITA v5's score (Bowley skewness and median absolute
// deviation). The score alone says little: NTP reaches 1.0. So what is known to be regular is left
// out, and what the process is decides the severity.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr std::size_t kKept = 64;
// Time, names, addresses, routing: regular by design.
constexpr std::array<std::uint16_t, 10> kRegular = {53, 67, 68, 123, 137, 138, 161, 546, 547, 853};

double Quantile(std::vector<double> sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

// 0 to 1; `fallback` where the median is too small to divide by.
double Regularity(std::vector<double> values, double least_spread, double fallback) {
  std::sort(values.begin(), values.end());
  const double q1 = Quantile(values, 0.25), q2 = Quantile(values, 0.5), q3 = Quantile(values, 0.75);
  double skew = 0;
  if (q3 - q1 >= least_spread && q2 != q1 && q2 != q3) skew = (q1 + q3 - 2 * q2) / (q3 - q1);
  std::vector<double> deviations;
  deviations.reserve(values.size());
  for (const double value : values) deviations.push_back(std::abs(value - q2));
  std::sort(deviations.begin(), deviations.end());
  const double mad = q2 < 1 ? fallback : std::max(0.0, (q2 - Quantile(deviations, 0.5)) / q2);
  return ((1 - std::abs(skew)) + mad) / 2;
}

struct Score {
  double intervals = 0, sizes = 0, median_seconds = 0;
  double Both() const { return 100 * (intervals + sizes) / 2; }
};

Score ScoreOf(const Rhythm& rhythm) {
  std::vector<double> intervals, sizes(rhythm.sizes.begin(), rhythm.sizes.end());
  for (std::size_t i = 1; i < rhythm.starts.size(); ++i) {
    const double gap =
        std::chrono::duration<double>(rhythm.starts[i] - rhythm.starts[i - 1]).count();
    if (gap >= 1) intervals.push_back(gap);
  }
  Score score;
  if (intervals.size() < rhythm.starts.size() / 2 || intervals.empty()) return score;
  score.intervals = Regularity(intervals, 10, 1);
  score.sizes = Regularity(sizes, 32, 0);
  std::sort(intervals.begin(), intervals.end());
  score.median_seconds = Quantile(intervals, 0.5);
  return score;
}

}  // namespace

void WatchBeacon(const FlowEvent& flow, const BeaconThresholds& t, Group& group,
                 DetectContext& out) {
  if (!flow.outbound() || flow.facts.protocol != IPPROTO_TCP || !flow.ended || !flow.answered ||
      !flow.facts.remote.IsPublic() ||
      std::find(kRegular.begin(), kRegular.end(), flow.facts.remote_port) != kRegular.end()) {
    return;
  }
  Rhythm& rhythm = Need(group.beacon).rhythms.Touch(flow.remote(), flow.at);
  rhythm.starts.push_back(flow.facts.start);
  rhythm.sizes.push_back(flow.total.tx_payload_bytes);
  rhythm.flows.push_back(flow.facts.flow);
  if (rhythm.starts.size() > kKept) {
    rhythm.starts.pop_front();
    rhythm.sizes.pop_front();
    rhythm.flows.pop_front();
  }
  if (rhythm.starts.size() < t.connections) return;
  std::sort(rhythm.starts.begin(),
            rhythm.starts.end());  // flows end in another order than they begin
  const Score score = ScoreOf(rhythm);
  if (score.Both() < t.score_percent) return;
  const bool nameless = out.NameOf(flow.facts.remote).empty();
  // Updates and monitoring call as regularly: more than low only where the program speaks against
  // itself.
  const ProcessTraits traits = out.processes().TraitsOf(flow.facts.process);
  Alarm alarm = MakeAlarm("beacon", traits.driven() ? v1::SEVERITY_MEDIUM : v1::SEVERITY_LOW,
                          flow.facts.process);
  alarm.confidence = v1::CONFIDENCE_LOW;
  alarm.first = rhythm.starts.front();
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.targets = {MakeTarget(flow.remote(), flow.total.tx_wire_bytes, flow.total.rx_wire_bytes)};
  alarm.reason =
      fmt::format("connects to {}{} about every {:.0f} s, each time with nearly as much to say",
                  flow.remote().ToString(), nameless ? ", which it has no name for," : "",
                  score.median_seconds);
  alarm.measures = {
      MakeMeasure("regularity of intervals and sizes", score.Both(), t.score_percent, "%"),
      MakeMeasure("connections", static_cast<double>(rhythm.starts.size()), t.connections),
      MakeMeasure("interval", score.median_seconds, 0, "s")};
  alarm.flows.assign(rhythm.flows.begin(), rhythm.flows.end());
  if (alarm.flows.size() > 16) alarm.flows.resize(16);
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
