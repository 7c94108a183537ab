// SPDX-License-Identifier: Apache-2.0
// What a host's data transfer costs within an hour, against what its operator thinks right.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "collector/detect/bill.h"
#include "collector/detect/detectors.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr auto kCheckInterval = std::chrono::seconds(10);
constexpr std::uint64_t kManyTimes = 5;  // over the budget: from medium to high
constexpr double kMicro = 1e6;

struct Spender {
  const Group* group = nullptr;
  std::uint64_t micro_usd = 0;
};

Spender LargestSpender(const BudgetCase& c) {
  Spender most;
  for (const auto& [key, group] : c.groups) {
    if (group.spend == nullptr) continue;
    const std::uint64_t spent = PriceOf(group.spend->LastHour(c.at), c.ways, *c.prices);
    // Of equal ones always the same, whatever order they are kept in.
    const bool more = most.group == nullptr || spent > most.micro_usd ||
                      (spent == most.micro_usd && key < most.group->key);
    if (more) most = {&group, spent};
  }
  return most;
}

std::string ProgramOf(const Spender& spender, const ProcessBook& processes) {
  const v1::Process* process = processes.Find(spender.group->newest);
  if (process != nullptr) return CommandLineOf(*process);
  return spender.group->newest == ProcessId{} ? "what passes through it or has no process"
                                              : "a process that is not known any more";
}

}  // namespace

void WatchBudget(const BudgetCase& c, Group& host, DetectContext& out) {
  if (c.thresholds.usd_per_hour <= 0 || c.prices == nullptr || host.spend == nullptr) return;
  BudgetState& state = Need(host.budget);
  if (state.checked != WallTime{} && c.at < state.checked + kCheckInterval) return;
  state.checked = c.at;
  const auto budget = static_cast<std::uint64_t>(std::llround(c.thresholds.usd_per_hour * kMicro));
  const std::uint64_t spent = PriceOf(host.spend->LastHour(c.at), c.ways, *c.prices);
  if (spent < budget || !out.IsDue(host, "budget", c.at)) return;
  const Spender most = LargestSpender(c);
  if (most.group == nullptr) return;
  Alarm alarm =
      MakeAlarm("budget", spent >= kManyTimes * budget ? v1::SEVERITY_HIGH : v1::SEVERITY_MEDIUM,
                most.group->newest);
  alarm.confidence = v1::CONFIDENCE_HIGH;
  alarm.first = c.at - std::chrono::hours(1);
  alarm.at = c.at;
  alarm.lsn = c.lsn;
  alarm.reason = fmt::format(
      "this host's data transfer cost {} within an hour, by the prices of {}; its budget is {}; "
      "most of it, {}, is by {}",
      FormatUsd(spent), c.prices->date(), FormatUsd(budget), FormatUsd(most.micro_usd),
      ProgramOf(most, out.processes()));
  alarm.measures = {
      MakeMeasure("spent within an hour", static_cast<double>(spent) / kMicro,
                  c.thresholds.usd_per_hour, "$"),
      MakeMeasure("of it by this program", static_cast<double>(most.micro_usd) / kMicro, 0, "$")};
  out.Raise(host, std::move(alarm));
}

}  // namespace culprit
