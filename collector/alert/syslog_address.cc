// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/syslog_address.h"

#include <algorithm>

namespace culprit {
namespace {

constexpr std::size_t kMaxLocalPath = 107;  // of sockaddr_un

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
  const bool udp = text.starts_with("udp://");
  if (!udp && !text.starts_with("tcp://")) return std::nullopt;
  address.transport = udp ? SyslogAddress::Transport::kUdp : SyslogAddress::Transport::kTcp;
  address.port = udp ? "514" : "601";
  std::string rest = text.substr(6);
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
