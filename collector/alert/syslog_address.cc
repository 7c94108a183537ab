// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/syslog_address.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace culprit {
namespace {

constexpr std::size_t kMaxLocalPath = 107;  // of sockaddr_un

struct Scheme {
  std::string_view prefix;
  SyslogAddress::Transport transport;
  const char* port;
};
constexpr std::array<Scheme, 3> kSchemes = {{
    {"udp://", SyslogAddress::Transport::kUdp, "514"},
    {"tcp://", SyslogAddress::Transport::kTcp, "601"},
    {"tls://", SyslogAddress::Transport::kTls, "6514"},
}};

bool IsPort(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(text) > 0 && std::stoi(text) < 65536;
}

}  // namespace

std::optional<SyslogAddress> ParseSyslogAddress(const std::string& text) {
  SyslogAddress address;
  if (text.starts_with('/')) {
    address.host = text;
    return text.size() <= kMaxLocalPath ? std::optional(address) : std::nullopt;
  }
  const auto scheme = std::find_if(kSchemes.begin(), kSchemes.end(), [&text](const Scheme& one) {
    return text.starts_with(one.prefix);
  });
  if (scheme == kSchemes.end()) return std::nullopt;
  address.transport = scheme->transport;
  address.port = scheme->port;
  std::string rest = text.substr(scheme->prefix.size());
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    address.port = rest.substr(colon + 1);
    rest.resize(colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  address.host = rest;
  const bool plain = std::all_of(rest.begin(), rest.end(),
                                 [](char c) { return c > ' ' && c < '\x7f' && c != '/'; });
  if (rest.empty() || !plain || !IsPort(address.port)) return std::nullopt;
  return address;
}

}  // namespace culprit
