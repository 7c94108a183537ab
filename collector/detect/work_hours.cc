// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/work_hours.h"

#include <absl/time/civil_time.h>
#include <spdlog/fmt/fmt.h>

#include <array>

namespace culprit {
namespace {

constexpr std::array<const char*, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                              "Friday", "Saturday", "Sunday"};

}  // namespace

std::optional<std::string> WorkHours::OffHours(WallTime at) const {
  if (!zone_) return std::nullopt;
  const absl::CivilSecond local = zone_->At(absl::FromUnixNanos(ToNs(at))).cs;
  const absl::Weekday day = absl::GetWeekday(local);
  const bool free = !settings_.weekend &&
                    (day == absl::Weekday::saturday || day == absl::Weekday::sunday);
  const auto hour = static_cast<std::uint32_t>(local.hour());
  if (!free && hour >= settings_.begin_hour && hour < settings_.end_hour) return std::nullopt;
  return fmt::format("{:02}:{:02} on {} in {}", local.hour(), local.minute(),
                     kDays[static_cast<std::size_t>(day)], settings_.zone);
}

std::optional<WorkHours> LoadWorkHours(const HoursSettings& settings) {
  if (settings.zone.empty()) return WorkHours();
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(settings.zone, &zone)) return std::nullopt;
  return WorkHours(settings, zone);
}

}  // namespace culprit
