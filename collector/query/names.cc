// SPDX-License-Identifier: Apache-2.0
// Words for enums, names for hosts and processes.
#include <fmt/format.h>
#include <netinet/in.h>
#include <string.h>

#include "collector/query/render.h"
#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
std::string ProtocolName(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
      return "icmp";
    case IPPROTO_SCTP:
      return "sctp";
    case IPPROTO_ICMPV6:
      return "icmp6";
    default:
      return std::to_string(protocol);
  }
}

Result<std::uint8_t> ParseProtocol(const std::string& text) {
  for (const int known : {int{IPPROTO_TCP}, int{IPPROTO_UDP}, int{IPPROTO_ICMP},
                          int{IPPROTO_ICMPV6}, int{IPPROTO_SCTP}}) {
    const auto protocol = static_cast<std::uint8_t>(known);
    if (AsciiLower(text.substr(0, 16)) == ProtocolName(protocol)) return protocol;
  }
  std::uint8_t number = 0;
  if (!ParseWhole(text, &number)) {
    return InvalidArgument("protocol: expected tcp, udp, sctp, icmp, icmp6 or a number below 256");
  }
  return number;
}

std::string DirectionName(v1::FlowDirection direction) {
  switch (direction) {
    case v1::FLOW_DIRECTION_OUTBOUND:
      return "out";
    case v1::FLOW_DIRECTION_INBOUND:
      return "in";
    case v1::FLOW_DIRECTION_LISTEN:
      return "listen";
    case v1::FLOW_DIRECTION_FORWARDED:
      return "forwarded";
    default:
      return "";
  }
}

Result<v1::FlowDirection> ParseDirection(const std::string& text) {
  for (const auto d : {v1::FLOW_DIRECTION_OUTBOUND, v1::FLOW_DIRECTION_INBOUND,
                       v1::FLOW_DIRECTION_LISTEN, v1::FLOW_DIRECTION_FORWARDED}) {
    if (text == DirectionName(d)) return d;
  }
  return InvalidArgument("direction: expected out, in, listen or forwarded");
}

std::string StateName(v1::FlowState state) {
  constexpr std::size_t kPrefix = sizeof("FLOW_STATE_") - 1;
  const std::string& name = v1::FlowState_Name(state);
  if (state == v1::FLOW_STATE_UNSPECIFIED || name.size() <= kPrefix) return "";
  return AsciiLower(name.substr(kPrefix));
}

Result<v1::FlowState> ParseState(const std::string& text) {
  for (int i = v1::FlowState_MIN; i <= v1::FlowState_MAX; ++i) {
    if (!v1::FlowState_IsValid(i) || i == v1::FLOW_STATE_UNSPECIFIED) continue;
    const auto state = static_cast<v1::FlowState>(i);
    if (text == StateName(state)) return state;
  }
  return InvalidArgument(
      "state: expected attempt, open, closed, failed, aborted, not_sent, handed_over or listening");
}

std::string ErrnoName(std::uint32_t error) {
  if (error == 0) return "";
  const char* name = error < 4096 ? strerrorname_np(static_cast<int>(error)) : nullptr;
  return name != nullptr ? name : std::to_string(error);
}

Names::Names(const EvidenceStore& store) : store_(store) { Forget(); }

void Names::Forget() {
  processes_.clear();
  roots_.clear();
  sessions_.clear();
  hosts_.clear();
  for (HostRecord& host : store_.Hosts()) hosts_[host.ref] = std::move(host);
}

const HostRecord* Names::Host(std::uint32_t ref) const {
  const auto it = hosts_.find(ref);
  return it == hosts_.end() ? nullptr : &it->second;
}

const ProcessRecord* Names::Process(std::uint32_t host, ProcessId id) {
  if (id.value() == 0) return nullptr;
  const auto [it, fresh] = processes_.try_emplace({host, id.value()});
  if (fresh) {
    auto found = store_.FindProcess(host, id);
    if (found) it->second = std::move(*found);
  }
  return it->second ? &*it->second : nullptr;
}

std::string HostLabel(const HostRecord* host) {
  if (host == nullptr) return "";
  if (!host->info.hostname().empty()) return host->info.hostname();
  return host->info.instance_id().empty() ? host->agent_name : host->info.instance_id();
}

std::string CommandLine(const v1::Process& process) {
  std::string out;
  for (const std::string& arg : process.argv()) {
    if (!out.empty()) out += ' ';
    const bool plain =
        !arg.empty() && arg.find_first_of(" \t\n\"'\\$`|&;<>()*?#~") == std::string::npos;
    if (plain) {
      out += arg;
      continue;
    }
    out += '\'';
    for (const char c : arg) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  if (out.empty()) return process.comm();
  if (process.argv_truncated()) out += " …";
  return out;
}

}  // namespace culprit
