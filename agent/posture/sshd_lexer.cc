// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_lexer.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::size_t SkipSpace(const std::string& text, std::size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

bool IsEscape(std::string_view text, std::size_t i, char quote) {
  if (text[i] != '\\' || i + 1 >= text.size()) return false;
  const char next = text[i + 1];
  return next == '\'' || next == '"' || next == '\\' || (quote == 0 && next == ' ');
}

// strtoll over the whole text, blanks and sign before it allowed.
std::optional<long long> WholeNumber(const std::string& text, long long low, long long high) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || end == text.c_str() || *end != '\0' || errno == ERANGE) return std::nullopt;
  if (value < low || value > high) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> WordReader::Next() {
  if (ended_) return std::nullopt;
  const std::size_t start = at_;
  const std::size_t stop = text_.find_first_of(" \t\r\n\"=", start);
  if (stop == std::string::npos) {
    ended_ = true;
    return text_.substr(start);
  }
  if (text_[stop] == '"') {
    text_.erase(stop, 1);
    const std::size_t close = text_.find('"', stop);
    if (close == std::string::npos) {
      ended_ = true;
      return std::nullopt;
    }
    at_ = SkipSpace(text_, close + 1);
    return text_.substr(start, close - start);
  }
  const bool equals = text_[stop] == '=';
  at_ = SkipSpace(text_, stop + 1);
  if (!equals && at_ < text_.size() && text_[at_] == '=') at_ = SkipSpace(text_, at_ + 1);
  return text_.substr(start, stop - start);
}

std::optional<std::string_view> WordReader::rest() const {
  if (ended_) return std::nullopt;
  return std::string_view(text_).substr(at_);
}

std::optional<std::vector<std::string>> SplitArguments(std::string_view text) {
  std::vector<std::string> arguments;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text[i] == ' ' || text[i] == '\t') {
      ++i;
      continue;
    }
    if (text[i] == '#') break;
    std::string argument;
    char quote = 0;
    for (; i < text.size(); ++i) {
      const char c = text[i];
      if (IsEscape(text, i, quote)) {
        argument += text[++i];
      } else if (quote == 0 && (c == ' ' || c == '\t')) {
        break;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      } else if (quote != 0 && c == quote) {
        quote = 0;
      } else {
        argument += c;
      }
    }
    if (quote != 0) return std::nullopt;
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

std::optional<int> SshdInt(const std::string& text) {
  const auto value = WholeNumber(text, 0, INT_MAX);
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

std::optional<int> SshdTime(const std::string& text) {
  if (text.empty()) return std::nullopt;
  long total = 0;
  for (const char* p = text.c_str(); *p != '\0';) {
    char* end = nullptr;
    const long count = std::strtol(p, &end, 10);
    if (end == p || count < 0) return std::nullopt;
    long unit = 1;
    switch (std::tolower(static_cast<unsigned char>(*end))) {
      case '\0':
        break;
      case 's':
        ++end;
        break;
      case 'm':
        unit = 60, ++end;
        break;
      case 'h':
        unit = 3600, ++end;
        break;
      case 'd':
        unit = 86400, ++end;
        break;
      case 'w':
        unit = 604800, ++end;
        break;
      default:
        return std::nullopt;
    }
    if (count > INT_MAX / unit || total > INT_MAX - count * unit) return std::nullopt;
    total += count * unit;
    p = end;
  }
  return static_cast<int>(total);
}

int SshdPort(const std::string& text) {
  if (const auto number = WholeNumber(text, 0, 65535)) return static_cast<int>(*number);
  if (text == "ssh") return 22;
  if (text == "http") return 80;
  if (text == "https") return 443;
  return -1;
}

std::optional<std::int64_t> SshdSize(const std::string& text) {
  constexpr std::string_view kUnits = "bkmgtpe";
  std::size_t at = 0;
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  bool negative = false;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';
  __extension__ using Wide = __int128;
  Wide whole = 0, fraction = 0, divisor = 1;
  bool point = false;
  for (; at < text.size() &&
         (std::isdigit(static_cast<unsigned char>(text[at])) != 0 || text[at] == '.');
       ++at) {
    if (text[at] == '.') {
      if (point) return std::nullopt;
      point = true;
    } else if (point) {
      if (divisor < 1'000'000'000) fraction = fraction * 10 + (text[at] - '0'), divisor *= 10;
    } else {
      whole = whole * 10 + (text[at] - '0');
      if (whole > LLONG_MAX) return std::nullopt;
    }
  }
  Wide unit = 1;
  if (at < text.size()) {
    const std::size_t power =
        kUnits.find(static_cast<char>(std::tolower(static_cast<unsigned char>(text[at]))));
    if (power == std::string_view::npos) return std::nullopt;
    if (at + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[at + 1])) != 0)
      return std::nullopt;
    unit <<= 10 * power;
  } else {
    fraction = 0;  // without a unit it does not count
  }
  const Wide value = whole * unit + fraction * unit / divisor;
  if (value > LLONG_MAX) return std::nullopt;
  return static_cast<std::int64_t>(negative ? -value : value);
}

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

std::vector<std::string> SplitBy(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<HostPort> SplitHostPort(const std::string& text) {
  std::size_t end = 0;
  if (!text.empty() && text[0] == '[') {
    end = text.find(']');
    if (end == std::string::npos) return std::nullopt;
    ++end;
  } else {
    end = std::min(text.find_first_of(":/"), text.size());
  }
  if (end == text.size()) return HostPort{text, std::nullopt};
  if (text[end] != ':' && text[end] != '/') return std::nullopt;
  return HostPort{text.substr(0, end), text.substr(end + 1)};
}

std::string WithoutBrackets(const std::string& host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return host;
  return host.substr(1, host.size() - 2);
}

}  // namespace culprit
