// SPDX-License-Identifier: Apache-2.0
#include "collector/detect_config.h"

#include <spdlog/fmt/fmt.h>

#include "collector/detect/work_hours.h"

namespace culprit {
namespace {

constexpr std::uint32_t kMaxCount = 1'000'000'000;
constexpr std::uint64_t kMaxBytes = 1ULL << 50;
constexpr double kMaxUsd = 1e6;

// Calls `number` and `bytes` for each key of `t`, whose type may be const.
template <class Thresholds, class Number, class Bytes>
void ForEachKey(Thresholds& t, const Number& number, const Bytes& bytes) {
  number("detect.scan.net_failures", t.scan.net_failures);
  number("detect.scan.unanswered", t.scan.unanswered);
  number("detect.scan.unanswered_percent", t.scan.unanswered_percent);
  number("detect.scan.crafted_targets", t.scan.crafted_targets);
  number("detect.flood.packets_per_second", t.flood.packets_per_second);
  number("detect.flood.answered_percent", t.flood.answered_percent);
  number("detect.flood.attempts_per_second", t.flood.attempts_per_second);
  number("detect.flood.seconds", t.flood.seconds);
  number("detect.flood.burst_packets_per_second", t.flood.burst_packets_per_second);
  number("detect.flood.burst_attempts", t.flood.burst_attempts);
  number("detect.brute_force.connections", t.brute_force.connections);
  number("detect.brute_force.ssh_connections", t.brute_force.ssh_connections);
  number("detect.brute_force.targets", t.brute_force.targets);
  bytes("detect.brute_force.bytes", t.brute_force.bytes);
  bytes("detect.brute_force.ssh_bytes", t.brute_force.ssh_bytes);
  number("detect.brute_force.seconds", t.brute_force.seconds);
  number("detect.relay.ssh_destinations", t.relay.ssh_destinations);
  bytes("detect.relay.ssh_bytes", t.relay.ssh_bytes);
  number("detect.relay.destinations", t.relay.destinations);
  number("detect.relay.conserved_percent", t.relay.conserved_percent);
  bytes("detect.relay.bytes", t.relay.bytes);
  number("detect.relay.asked", t.relay.asked);
  bytes("detect.egress.bytes", t.egress.bytes);
  bytes("detect.egress.bytes_per_second", t.egress.bytes_per_second);
  number("detect.egress.out_in_ratio", t.egress.out_in_ratio);
  number("detect.mining.score", t.mining.score);
  number("detect.mining.seconds", t.mining.seconds);
  number("detect.beacon.connections", t.beacon.connections);
  number("detect.beacon.score_percent", t.beacon.score_percent);
  number("detect.dns_tunnel.unique_names", t.dns_tunnel.unique_names);
  number("detect.dns_tunnel.text_names", t.dns_tunnel.text_names);
  number("detect.dns_tunnel.data_names", t.dns_tunnel.data_names);
  number("detect.dns_tunnel.long_names", t.dns_tunnel.long_names);
  number("detect.dns_tunnel.long_name_bytes", t.dns_tunnel.long_name_bytes);
  number("detect.spam.servers", t.spam.servers);
  number("detect.reflector.gain", t.reflector.gain);
  number("detect.reflector.answers", t.reflector.answers);
  number("detect.reflector.answer_bytes", t.reflector.answer_bytes);
  number("detect.integrity.silence_warning_seconds", t.integrity.silence_warning_seconds);
  number("detect.integrity.silence_seconds", t.integrity.silence_seconds);
  number("detect.integrity.pause_seconds", t.integrity.pause_seconds);
  number("detect.integrity.gap_seconds", t.integrity.gap_seconds);
  number("detect.integrity.clock_jump_seconds", t.integrity.clock_jump_seconds);
  number("detect.integrity.shed_records", t.integrity.shed_records);
  number("detect.baseline.learn_hours", t.baseline.learn_hours);
  number("detect.baseline.fresh_hours", t.baseline.fresh_hours);
  number("detect.baseline.known_hours", t.baseline.known_hours);
}

void ReadHours(TomlReader& toml, HoursSettings* hours) {
  toml.String("detect.hours.zone", hours->zone);
  toml.Uint32("detect.hours.begin_hour", hours->begin_hour, 0, 23);
  toml.Uint32("detect.hours.end_hour", hours->end_hour, 1, 24);
  toml.Bool("detect.hours.weekend", hours->weekend);
  if (hours->begin_hour >= hours->end_hour) {
    toml.AddError("detect.hours.end_hour", "must be after detect.hours.begin_hour");
  }
  if (!LoadWorkHours(*hours)) {
    toml.AddError("detect.hours.zone",
                  "expected a time zone that this machine knows, such as \"Asia/Kolkata\" (package "
                  "tzdata), or \"\" for none");
  }
}

}  // namespace

void ReadThresholds(TomlReader& toml, DetectThresholds* thresholds) {
  ForEachKey(
      *thresholds,
      [&](const char* key, std::uint32_t& value) { toml.Uint32(key, value, 1, kMaxCount); },
      [&](const char* key, std::uint64_t& value) { toml.Bytes(key, value, 1, kMaxBytes); });
  toml.Double("detect.budget.usd_per_hour", thresholds->budget.usd_per_hour, 0, kMaxUsd);
  ReadHours(toml, &thresholds->hours);
}

std::string FormatThresholds(const DetectThresholds& thresholds) {
  std::string out, section;
  const auto add = [&](std::string_view key, std::uint64_t value) {
    const std::size_t dot = key.rfind('.');
    if (key.substr(0, dot) != section) {
      section = key.substr(0, dot);
      out += fmt::format("\n[{}]\n", section);
    }
    out += fmt::format("{} = {}\n", key.substr(dot + 1), value);
  };
  ForEachKey(thresholds, add, add);
  const HoursSettings& hours = thresholds.hours;
  out += fmt::format("\n[detect.budget]\nusd_per_hour = {}\n", thresholds.budget.usd_per_hour);
  out += fmt::format(
      "\n[detect.hours]\nzone = \"{}\"\nbegin_hour = {}\nend_hour = {}\nweekend = {}\n", hours.zone,
      hours.begin_hour, hours.end_hour, hours.weekend);
  return out;
}

}  // namespace culprit
