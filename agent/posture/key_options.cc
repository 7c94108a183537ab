// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>

#include "agent/posture/authorized_keys.h"
#include "agent/posture/sshd_lexer.h"

namespace culprit {
namespace {

constexpr std::string_view kFlags[] = {"port-forwarding", "agent-forwarding", "x11-forwarding",
                                       "touch-required",  "verify-required",  "pty",
                                       "user-rc"};
constexpr std::size_t kMaxHost = 1025;

bool EndsOptions(std::string_view text) {
  return text.empty() || text[0] == ' ' || text[0] == '\t';
}

bool TakeWord(std::string_view* text, std::string_view word) {
  if (!EqualNoCase(text->substr(0, word.size()), word)) return false;
  text->remove_prefix(word.size());
  return true;
}

bool TakeFlag(std::string_view* text) {
  for (const std::string_view flag : kFlags) {
    std::string_view rest = *text;
    TakeWord(&rest, "no-");
    if (!TakeWord(&rest, flag)) continue;
    *text = rest;
    return true;
  }
  return false;
}

bool TakeName(std::string_view* text, std::string_view name) {
  if (text->size() <= name.size() || (*text)[name.size()] != '=') return false;
  if (!TakeWord(text, name)) return false;
  text->remove_prefix(1);
  return true;
}

Result<std::string> Dequote(std::string_view* text) {
  if (text->empty() || (*text)[0] != '"') return InvalidArgument("missing start quote");
  text->remove_prefix(1);
  std::string value;
  while (!text->empty() && (*text)[0] != '"') {
    if (text->substr(0, 2) == "\\\"") text->remove_prefix(1);
    value += (*text)[0];
    text->remove_prefix(1);
  }
  if (text->empty()) return InvalidArgument("missing end quote");
  text->remove_prefix(1);
  return value;
}

// "20300101", "203001011200", "20300101120000", with Z or UTC behind.
std::optional<std::int64_t> AbsoluteTime(std::string_view text) {
  if (text.size() > 1 && EqualNoCase(text.substr(text.size() - 1), "Z"))
    text.remove_suffix(1);
  else if (text.size() > 3 && EqualNoCase(text.substr(text.size() - 3), "UTC"))
    text.remove_suffix(3);
  if (text.size() != 8 && text.size() != 12 && text.size() != 14) return std::nullopt;
  if (text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto field = [&](std::size_t at, std::size_t length) {
    return at < text.size() ? SshdInt(std::string(text.substr(at, length))).value_or(0) : 0;
  };
  const int year = field(0, 4), month = field(4, 2), day = field(6, 2);
  const int hour = field(8, 2), minute = field(10, 2), second = field(12, 2);
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 61)
    return std::nullopt;
  // The 31st of a shorter month is a day of the next.
  const std::chrono::sys_days first = std::chrono::year(year) / month / 1;
  const std::int64_t days = first.time_since_epoch().count() + day - 1;
  const std::int64_t seconds = days * 86'400 + hour * 3'600 + minute * 60 + second;
  return seconds > 0 ? std::optional<std::int64_t>(seconds) : std::nullopt;
}

bool EnvironmentIsValid(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Status CheckPermit(std::string text, bool bare_port) {
  if (bare_port && text.find(':') == std::string::npos) text = "*:" + text;
  const auto split = SplitHostPort(text);
  if (!split || split->host.size() >= kMaxHost)
    return InvalidArgument("invalid permission hostname");
  if (!split->port || (*split->port != "*" && SshdPort(*split->port) <= 0))
    return InvalidArgument("invalid permission port");
  return Ok();
}

bool TunnelIsValid(const std::string& text) {
  constexpr int kMost = 0x7ffffffd;
  const auto number = SshdInt(text);
  return EqualNoCase(text, "any") || (number && *number <= kMost);
}

Status Once(std::string_view* text, std::string_view name, std::optional<std::string>* value) {
  if (value->has_value()) return InvalidArgument("several " + std::string(name) + " options");
  TRY(*value, Dequote(text));
  return Ok();
}

// An option with a value. false: none that sshd knows.
Result<bool> TakeValue(std::string_view* text, KeyOptions* options) {
  const auto named = [&](std::string_view name) { return TakeName(text, name); };
  if (named("command")) {
    TRY_VOID(Once(text, "command", &options->command));
  } else if (named("principals")) {
    TRY_VOID(Once(text, "principals", &options->principals));
  } else if (named("from")) {
    TRY_VOID(Once(text, "from", &options->from));
  } else if (named("expiry-time")) {
    TRY(const std::string value, Dequote(text));
    const auto time = AbsoluteTime(value);
    if (!time) return InvalidArgument("invalid expires time");
    options->expires_s = std::min(options->expires_s.value_or(*time), *time);
  } else if (named("environment")) {
    TRY(std::string value, Dequote(text));
    if (!EnvironmentIsValid(value)) return InvalidArgument("invalid environment string");
    options->environment.push_back(std::move(value));
  } else if (named("permitopen")) {
    TRY(std::string value, Dequote(text));
    TRY_VOID(CheckPermit(std::move(value), false));
  } else if (named("permitlisten")) {
    TRY(std::string value, Dequote(text));
    TRY_VOID(CheckPermit(std::move(value), true));
  } else if (named("tunnel")) {
    TRY(const std::string value, Dequote(text));
    if (!TunnelIsValid(value)) return InvalidArgument("invalid tun device");
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<KeyOptions> ParseKeyOptions(std::string_view text) {
  KeyOptions options;
  const std::string_view whole = text;
  while (!EndsOptions(text)) {
    if (TakeWord(&text, "restrict")) {
      options.restricted = true;
    } else if (TakeWord(&text, "cert-authority")) {
      options.cert_authority = true;
    } else if (!TakeFlag(&text)) {
      TRY_VOID(TakeValue(&text, &options));
    }
    if (EndsOptions(text)) break;
    if (text[0] != ',') return InvalidArgument("unknown key option");
    text.remove_prefix(1);
    if (text.empty()) return InvalidArgument("unexpected end-of-options");
  }
  options.text = std::string(whole.substr(0, whole.size() - text.size()));
  return options;
}

}  // namespace culprit
