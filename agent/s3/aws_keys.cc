// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/aws_keys.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxBytes = 64U << 10;
constexpr std::size_t kMaxKeyBytes = 256, kMaxTokenBytes = 16U << 10;
constexpr std::string_view kBlanks = " \t\r";

bool IsKey(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

Result<AwsKeys> Checked(AwsKeys keys) {
  if (!IsKey(keys.access_key_id, kMaxKeyBytes)) return InvalidArgument("no access key id");
  if (!IsKey(keys.secret_access_key, kMaxKeyBytes)) return InvalidArgument("no secret access key");
  if (!keys.session_token.empty() && !IsKey(keys.session_token, kMaxTokenBytes))
    return InvalidArgument("not a session token");
  return keys;
}

// nullopt: not digits.
std::optional<std::uint16_t> Number(std::string_view text) { return AsNumber<std::uint16_t>(text); }

// "2026-03-01T02:03:04Z".
std::optional<WallTime> ParseTime(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text.back() != 'Z') {
    return std::nullopt;
  }
  const auto year = Number(text.substr(0, 4)), month = Number(text.substr(5, 2)),
             day = Number(text.substr(8, 2)), hour = Number(text.substr(11, 2)),
             minute = Number(text.substr(14, 2)), second = Number(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  const bool fits = *year >= 1970 && *year < 2200;  // into nanoseconds of 64 bits
  if (!fits || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::string Text(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

}  // namespace

Result<AwsKeys> ParseRoleKeys(std::string_view json) {
  if (json.size() > kMaxBytes) return DataLoss("over 64 KiB");
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return DataLoss("not a JSON object");
  if (const std::string code = Text(object, "Code"); !code.empty() && code != "Success") {
    const bool plain = code.size() <= 64 && IsKey(code, 64);
    return Unavailable("the role has no keys now: " + (plain ? code : "another code"));
  }
  AwsKeys keys;
  keys.access_key_id = Text(object, "AccessKeyId");
  keys.secret_access_key = Text(object, "SecretAccessKey");
  keys.session_token = Text(object, "Token");
  keys.expires = ParseTime(Text(object, "Expiration"));
  if (!keys.expires) return InvalidArgument("no Expiration");
  return Checked(std::move(keys));
}

Result<AwsKeys> ParseKeyFile(std::string_view text) {
  if (text.size() > kMaxBytes) return DataLoss("over 64 KiB");
  AwsKeys keys;
  bool ours = false, seen = false;
  while (!text.empty()) {
    const std::string_view line = Trim(NextLine(&text), kBlanks);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      ours = line == "[default]" || line == "[profile default]";
      seen |= ours;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!ours || equals == std::string_view::npos) continue;
    const std::string_view key = Trim(line.substr(0, equals), kBlanks);
    const std::string value(Trim(line.substr(equals + 1), kBlanks));
    if (key == "aws_access_key_id") keys.access_key_id = value;
    if (key == "aws_secret_access_key") keys.secret_access_key = value;
    if (key == "aws_session_token") keys.session_token = value;
  }
  if (!seen) return InvalidArgument("no section [default]");
  return Checked(std::move(keys));
}

}  // namespace culprit
