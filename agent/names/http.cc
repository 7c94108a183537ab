// SPDX-License-Identifier: Apache-2.0
#include "agent/names/http.h"

#include <algorithm>
#include <string>

#include "agent/names/name_text.h"
#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
char Lower(char c) { return IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; }
bool IsMethodChar(char c) { return IsUpper(c) || c == '-' || c == '_'; }

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return Lower(a) == b; });
}

// Takes a line and its end off `text`. False: its end is not there.
bool TakeLine(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  text.remove_prefix(end + 1);
  return true;
}

// "http://user@host:port/path" -> "host:port"; empty for any other form.
std::string_view AbsoluteAuthority(std::string_view target) {
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos || scheme == 0 || target.front() == '/') return {};
  std::string_view authority = target.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  const std::size_t user = authority.rfind('@');
  return user == std::string_view::npos ? authority : authority.substr(user + 1);
}

Verdict FindHost(std::string_view fields, std::string_view& host) {
  std::string_view line;
  while (TakeLine(fields, line)) {
    if (line.empty()) return Verdict::kOther;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (!EqualsIgnoringCase(line.substr(0, colon), "host")) continue;
    host = Trim(line.substr(colon + 1));
    return host.empty() ? Verdict::kOther : Verdict::kFound;
  }
  return Verdict::kMore;
}

// Of the rest of the line: what abuses a proxy does not always care for more than the target to be
// right.
Verdict TakeConnect(std::string_view line, Observation& out) {
  const std::string_view target = line.substr(0, line.find(' '));
  std::string_view host;
  ProxyRequest request;
  if (!SplitAuthority(target, host, request.port) || request.port == 0) return Verdict::kOther;
  request.source = NameSource::kHttpConnect;
  request.host = NameText(host);
  out = std::move(request);
  return Verdict::kFound;
}

}  // namespace

bool SplitAuthority(std::string_view authority, std::string_view& host, std::uint16_t& port) {
  std::string_view digits;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return false;
    host = authority.substr(1, close - 1);
    digits = authority.substr(close + 1);
    if (!digits.empty() && digits.front() != ':') return false;
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    host = authority.substr(0, colon);
    digits = authority.substr(colon);
  }
  if (digits.size() > 1 && !ParseWhole(digits.substr(1), &port)) return false;
  return !host.empty();
}

Verdict ParseHttpRequest(std::string_view stream, Observation& out) {
  const auto method_end = std::find_if_not(stream.begin(), stream.end(), IsMethodChar);
  const auto method_size = static_cast<std::size_t>(method_end - stream.begin());
  if (method_size > kMaxHttpMethod) return Verdict::kOther;
  if (method_size == stream.size()) return Verdict::kMore;
  if (method_size < 3 || *method_end != ' ') return Verdict::kOther;
  const std::string_view method = stream.substr(0, method_size);

  std::string_view rest = stream;
  std::string_view line;
  if (!TakeLine(rest, line)) return Verdict::kMore;
  if (method == "CONNECT") return TakeConnect(line.substr(method_size + 1), out);
  const std::size_t version = line.rfind(' ');
  if (version <= method_size || !line.substr(version + 1).starts_with(kVersion)) {
    return Verdict::kOther;
  }
  const std::string_view target = line.substr(method_size + 1, version - method_size - 1);

  std::string_view authority = AbsoluteAuthority(target);
  if (authority.empty()) {
    const Verdict verdict = FindHost(rest, authority);
    if (verdict != Verdict::kFound) return verdict;
  }
  std::string_view host;
  std::uint16_t port = 0;
  if (!SplitAuthority(authority, host, port)) return Verdict::kOther;
  out = ServerName{NameSource::kHttpHost, NameText(host), {}};
  return Verdict::kFound;
}

}  // namespace culprit
