// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_patterns.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "agent/posture/sshd_lexer.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxSubPattern = 1023;  // longer ones end the list, as in sshd

struct Address {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};
  int bits() const { return v6 ? 128 : 32; }
  bool BitAt(int i) const {
    return ((bytes[static_cast<std::size_t>(i / 8)] >> (7 - i % 8)) & 1) != 0;
  }
};

// Numeric as getaddrinfo takes it: IPv4 also in its short forms ("10.1").
std::optional<Address> ParseAddress(std::string text) {
  Address address;
  in_addr v4{};
  if (text.find_first_of(" \t\r\n") != std::string::npos) return std::nullopt;
  if (text.find(':') == std::string::npos) {
    if (inet_aton(text.c_str(), &v4) == 0) return std::nullopt;
    std::memcpy(address.bytes.data(), &v4, 4);
    return address;
  }
  text.resize(std::min(text.find('%'), text.size()));
  address.v6 = true;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

enum class CidrParse { kOk, kNoCidr, kBad };

CidrParse ParseCidr(const std::string& text, Address* base, int* length) {
  if (text.size() >= 64) return CidrParse::kNoCidr;
  const std::size_t slash = text.find('/');
  unsigned long bits = 999;
  if (slash != std::string::npos) {
    const std::string mask = text.substr(slash + 1);
    char* end = nullptr;
    bits = std::strtoul(mask.c_str(), &end, 10);
    if (mask.empty() || std::isdigit(static_cast<unsigned char>(mask[0])) == 0 || *end != '\0' ||
        bits > 128)
      return CidrParse::kNoCidr;
  }
  const auto address = ParseAddress(text.substr(0, slash));
  if (!address) return CidrParse::kNoCidr;
  const int width = address->bits();
  if (slash == std::string::npos) bits = static_cast<unsigned long>(width);
  if (bits > static_cast<unsigned long>(width)) return CidrParse::kBad;
  for (int i = static_cast<int>(bits); i < width; ++i)
    if (address->BitAt(i)) return CidrParse::kBad;
  *base = *address;
  *length = static_cast<int>(bits);
  return CidrParse::kOk;
}

bool InNetwork(const Address& address, const Address& base, int length) {
  if (address.v6 != base.v6) return false;
  for (int i = 0; i < length; ++i)
    if (address.BitAt(i) != base.BitAt(i)) return false;
  return true;
}

}  // namespace

bool MatchPattern(std::string_view text, std::string_view pattern) {
  // The last star is the only one that can need another try, so this never goes back further.
  std::size_t t = 0, p = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

int MatchPatternList(std::string_view text, std::string_view list, bool lower_patterns) {
  bool positive = false;
  for (std::size_t i = 0; i < list.size();) {
    const bool negated = list[i] == '!';
    if (negated) ++i;
    const std::size_t end = std::min(list.find(',', i), list.size());
    if (end - i >= kMaxSubPattern) return 0;
    const std::string_view raw = list.substr(i, end - i);
    i = std::min(end + 1, list.size());
    if (MatchPattern(text, lower_patterns ? AsciiLower(raw) : std::string(raw))) {
      if (negated) return -1;
      positive = true;
    }
  }
  return positive ? 1 : 0;
}

int MatchHostName(std::string_view host, std::string_view list) {
  return MatchPatternList(AsciiLower(host), list, true);
}

int MatchAddressList(const std::string& address, std::string_view list) {
  std::optional<Address> tried;
  if (!address.empty()) {
    tried = ParseAddress(address);
    if (!tried) return 0;
  }
  int result = 0;
  for (std::string part : SplitBy(list, ',')) {
    const bool negated = !part.empty() && part[0] == '!';
    if (negated) part.erase(0, 1);
    if (part.empty()) return -2;
    Address base;
    int length = 0;
    const CidrParse parsed = ParseCidr(part, &base, &length);
    if (parsed == CidrParse::kBad) return -2;
    if (!tried) continue;
    const bool hit =
        parsed == CidrParse::kOk ? InNetwork(*tried, base, length) : MatchPattern(address, part);
    if (hit && negated) return -1;
    if (hit) result = 1;
  }
  return result;
}

int MatchHostAndAddress(const std::string& host, const std::string& address,
                        std::string_view list) {
  const int by_address = MatchAddressList(address, list);
  if (by_address == -2) return -1;
  if (host.empty() || address.empty() || by_address == -1) return 0;
  const int by_host = MatchHostName(host, list);
  if (by_host == -1 || (by_host == 0 && by_address == 0)) return 0;
  return 1;
}

int MatchUserPattern(const std::string& user, const std::string& host, const std::string& address,
                     const std::string& pattern) {
  const std::size_t at = pattern.find('@');
  if (at == std::string::npos) return MatchPattern(user, pattern) ? 1 : 0;
  if (!MatchPattern(user, pattern.substr(0, at))) return 0;
  return MatchHostAndAddress(host, address, pattern.substr(at + 1));
}

bool UserPatternIsValid(const std::string& pattern) {
  const std::size_t at = pattern.find('@');
  return at == std::string::npos || MatchAddressList("", pattern.substr(at + 1)) != -2;
}

bool MatchGroups(const std::vector<std::string>& groups, std::string_view list) {
  bool found = false;
  for (const std::string& group : groups) {
    const int match = MatchPatternList(group, list);
    if (match == -1) return false;
    found |= match == 1;
  }
  return found;
}

bool OnlyNegations(std::string_view list) {
  const auto parts = SplitBy(list, ',');
  return std::all_of(parts.begin(), parts.end(),
                     [](const std::string& part) { return !part.empty() && part[0] == '!'; });
}

}  // namespace culprit
