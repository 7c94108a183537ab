// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics/health.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/units.h"

namespace culprit {
namespace {

constexpr std::uint64_t kLagWarning = 5000, kLagFailing = 500'000;  // frames
constexpr std::uint64_t kFailuresToTell = 3;
constexpr auto kExpiryWarning = std::chrono::hours(24 * 30);

std::string_view NameOf(HealthLevel level) {
  switch (level) {
    case HealthLevel::kOk:
      return "ok";
    case HealthLevel::kWarning:
      return "warning";
    case HealthLevel::kFailing:
      return "failing";
  }
  return "failing";
}

HealthCheck JournalCheck(const CollectorFacts& facts) {
  if (facts.journal.failed.empty()) return {"journal", HealthLevel::kOk, ""};
  return {"journal", HealthLevel::kFailing,
          "nothing is accepted: " + facts.journal.failed + "; agents keep it and try again"};
}

HealthCheck DiskCheck(const CollectorFacts& facts) {
  const std::uint64_t free = facts.disk_free_bytes;
  if (free < facts.disk_critical_bytes) {
    return {"disk", HealthLevel::kFailing,
            fmt::format("{} free, less than disk.critical_free: evidence is about to be refused; "
                        "free space, or set journal.max_bytes",
                        FormatByteSize(free))};
  }
  if (free < facts.disk_warn_bytes) {
    return {"disk", HealthLevel::kWarning,
            FormatByteSize(free) + " free, less than disk.warn_free"};
  }
  return {"disk", HealthLevel::kOk, ""};
}

HealthCheck FollowerCheck(std::string_view name, std::uint64_t lag, const std::string& failing,
                          std::string_view what) {
  if (!failing.empty()) {
    return {name, HealthLevel::kFailing,
            fmt::format("{}; evidence is still taken, {}", failing, what)};
  }
  if (lag <= kLagWarning) return {name, HealthLevel::kOk, ""};
  return {name, lag > kLagFailing ? HealthLevel::kFailing : HealthLevel::kWarning,
          fmt::format("{} frames behind the journal: {}", lag, what)};
}

HealthCheck AlertsCheck(const CollectorFacts& facts) {
  if (!facts.alerts_failing.empty()) {
    return {"alerts", HealthLevel::kFailing, "nothing new can be queued: " + facts.alerts_failing};
  }
  std::string reason;
  for (const CollectorFacts::AlertTarget& target : facts.alerts) {
    if (target.queued == 0 || target.failures < kFailuresToTell) continue;
    reason +=
        fmt::format("{}{}: {} wait, {} failures in a row, the last: {}", reason.empty() ? "" : "; ",
                    target.name, target.queued, target.failures, target.last_error);
  }
  const HealthLevel level = reason.empty() ? HealthLevel::kOk : HealthLevel::kWarning;
  return {"alerts", level, std::move(reason)};
}

HealthCheck AgentsCheck(const CollectorFacts& facts) {
  const std::size_t silent = SilentAgents(facts);
  if (silent == 0) return {"agents", HealthLevel::kOk, ""};
  return {"agents", HealthLevel::kWarning,
          fmt::format("{} of {} have sent nothing for {}: `culprit hosts` names them", silent,
                      facts.ingest.agents.size(), FormatDuration(facts.silence))};
}

HealthCheck ConfigCheck(const CollectorFacts& facts) {
  if (facts.config_refused.empty()) return {"config", HealthLevel::kOk, ""};
  return {
      "config", HealthLevel::kWarning,
      "the newest configuration was refused, the one before is in force: " + facts.config_refused};
}

HealthCheck CertificateCheck(const CollectorFacts& facts) {
  const std::string until = FormatUtc(facts.certificate_not_after);
  if (facts.certificate_not_after < facts.now) {
    return {"certificate", HealthLevel::kFailing,
            "the server's certificate ended on " + until + ": no agent connects"};
  }
  if (facts.certificate_not_after - facts.now < kExpiryWarning) {
    return {"certificate", HealthLevel::kWarning, "the server's certificate ends on " + until};
  }
  return {"certificate", HealthLevel::kOk, ""};
}

}  // namespace

std::size_t SilentAgents(const CollectorFacts& facts) {
  return static_cast<std::size_t>(std::count_if(
      facts.ingest.agents.begin(), facts.ingest.agents.end(), [&](const AgentIngestStats& agent) {
        return agent.last_received != WallTime{} && facts.now - agent.last_received > facts.silence;
      }));
}

Health JudgeHealth(const CollectorFacts& facts) {
  Health health;
  health.checks = {
      JournalCheck(facts),
      DiskCheck(facts),
      FollowerCheck("index", facts.index.lag, facts.index.failing, "answers do not show it yet"),
      FollowerCheck("detect", facts.detect.lag, facts.detect.failing,
                    "findings are made once this is over"),
      AlertsCheck(facts),
      AgentsCheck(facts),
      ConfigCheck(facts),
      CertificateCheck(facts)};
  for (const HealthCheck& check : health.checks) health.level = std::max(health.level, check.level);
  return health;
}

std::string HealthJson(const Health& health) {
  nlohmann::ordered_json json;
  json["status"] = NameOf(health.level);
  json["checks"] = nlohmann::ordered_json::array();
  for (const HealthCheck& check : health.checks) {
    json["checks"].push_back(
        {{"name", check.name}, {"status", NameOf(check.level)}, {"reason", check.reason}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace culprit
