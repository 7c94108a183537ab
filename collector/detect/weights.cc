// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/weights.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "collector/detect/programs.h"

namespace culprit {
namespace {

constexpr int kStrong = 2, kWeak = 1, kContext = 0;

void WeighProgram(const Alarm& alarm, const Group& group, const WeighSources& from, Weights* out) {
  const ProcessTraits traits = from.processes.TraitsOf(alarm.process);
  const v1::Process* process = from.processes.Find(alarm.process);
  const bool system = process != nullptr && IsSystemPath(process->exe());
  out->Add(traits.memory_only, "its executable is in memory only", kStrong);
  // An upgrade of its package replaces the file below a daemon that runs on.
  out->Add(traits.deleted && !traits.memory_only,
           system ? "its executable was deleted or replaced" : "its executable is deleted",
           system ? kWeak : kStrong);
  out->Add(traits.odd_path, "its executable lies where anybody may write", kStrong);
  out->Add(traits.altered,
           "its executable differs from its package" +
               (process == nullptr ? "" : " " + process->exe_package().name()),
           kStrong);
  out->Add(traits.unpackaged && !traits.deleted && !traits.memory_only,
           "its executable belongs to no package", kWeak);
  if (!traits.under.empty()) {
    // That an sshd is under sshd is what the rule is about.
    const bool said = std::string_view(alarm.rule) == "ssh-relay";
    out->Add(true, "started under " + traits.under,
             said                             ? kContext
             : traits.under == "a web server" ? kStrong
                                              : kWeak);
  }
  out->Add(group.makes_packets, "it makes packets of its own, through raw or packet sockets",
           kWeak);
  const std::string program = from.processes.ProgramKeyOf(alarm.process);
  if (program.empty()) return;
  const Familiarity known =
      from.scene.baseline().Judge(from.agent, SeenKind::kProgram, program, alarm.at);
  out->Add(known == Familiarity::kNew, "the host had not run this program on the network before",
           kWeak);
  // What a tool does is in its arguments.
  const bool tool = process != nullptr && IsGeneralTool(process->exe());
  out->Add(known == Familiarity::kKnown && !tool,
           "the host has run this program on the network for long", -kWeak);
}

void WeighSession(const Alarm& alarm, const WeighSources& from, Weights* out) {
  const auto session = from.sessions.SessionOf(alarm.process, from.processes);
  if (!session) return;
  const auto address = IpAddress::Parse(session->address());
  const bool by_password = session->method().starts_with("password") ||
                           session->method().starts_with("keyboard-interactive");
  out->Add(by_password && address && address->IsPublic(),
           "its session was opened with a password from a public address", kStrong);
  out->Add(session->failures_before() > 0,
           "there were failed logins from the same address before the session", kStrong);
}

// Where to: regions, and for rules that are not about new destinations the destinations.
void WeighTargets(const Alarm& alarm, const WeighSources& from, Weights* out) {
  const Baseline& baseline = from.scene.baseline();
  std::set<std::string> regions;  // new ones
  std::size_t judged = 0, fresh = 0, known = 0;
  for (const v1::Target& target : alarm.targets) {
    const auto address = IpAddress::Parse(target.address());
    if (!address || !address->IsPublic()) continue;
    const std::string region = from.scene.RegionOf(*address);
    if (!region.empty() &&
        baseline.Judge(from.agent, SeenKind::kRegion, region, alarm.at) == Familiarity::kNew) {
      regions.insert(region);
    }
    const Familiarity seen = baseline.Judge(from.agent, SeenKind::kDestination,
                                            std::string(address->AsBytes()), alarm.at);
    if (seen == Familiarity::kNotJudged) continue;
    ++judged;
    if (seen == Familiarity::kNew) ++fresh;
    if (seen == Familiarity::kKnown) ++known;
  }
  const std::string names = fmt::format("{}", fmt::join(regions, ", "));
  out->Add(!regions.empty(), "the host had never talked to " + names + " before", kWeak);
  const std::string_view rule = alarm.rule;
  if (judged == 0 || rule == "egress" || rule == "scan") return;
  out->Add(fresh == judged, "the host had not talked to its destinations before", kWeak);
  out->Add(known == judged, "the host has talked to its destinations for long", -kWeak);
}

}  // namespace

void Weights::Add(bool holds, std::string_view what, int weight) {
  if (!holds) return;
  lines.push_back(weight == kContext ? fmt::format("{} (0)", what)
                                     : fmt::format("{} ({:+d})", what, weight));
  points += weight;
}

Weights WeighAlarm(const Alarm& alarm, const Group& group, const WeighSources& sources) {
  Weights weights;
  for (const auto& [what, points] : alarm.weights) weights.Add(true, what, points);
  WeighProgram(alarm, group, sources, &weights);
  WeighSession(alarm, sources, &weights);
  WeighTargets(alarm, sources, &weights);
  if (const auto local = sources.scene.hours().OffHours(alarm.at)) {
    weights.Add(true, "outside working hours: " + *local, kWeak);
  }
  return weights;
}

v1::Severity Weighed(v1::Severity base, int points) {
  int severity = static_cast<int>(base);
  if (points >= kStrong) ++severity;
  if (points <= -kStrong) --severity;
  return static_cast<v1::Severity>(std::clamp(severity, static_cast<int>(v1::SEVERITY_LOW),
                                              static_cast<int>(v1::SEVERITY_CRITICAL)));
}

}  // namespace culprit
