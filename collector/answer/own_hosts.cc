// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/own_hosts.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace culprit {
namespace {

constexpr std::int64_t kHour = 3'600'000'000'000;

std::string LabelOf(const v1::HostRow& host) {
  return host.hostname().empty() ? host.instance_id() : host.hostname();
}

}  // namespace

OwnHosts::OwnHosts(const v1::ListHostsResponse& hosts) {
  for (const v1::HostRow& host : hosts.hosts()) {
    if (host.instance_id().starts_with("capture-")) imported_.insert(host.agent_id());
    if (!host.instance_id().empty()) by_instance_[host.instance_id()] = host.agent_id();
    for (const std::string& text : host.addresses()) {
      const auto address = IpAddress::Parse(text);
      if (address) by_address_.insert({*address, {host.agent_id(), LabelOf(host), false, 0, 0}});
    }
    for (const auto& was : host.public_addresses()) {
      const auto address = IpAddress::Parse(was.address());
      if (!address) continue;
      by_address_.insert(
          {*address, {host.agent_id(), LabelOf(host), true, was.first_ns(), was.last_ns()}});
    }
  }
}

bool OwnHosts::AllOwn(const Sighting& sighting) const {
  return std::ranges::all_of(sighting.addresses, [this](const IpAddress& a) { return IsOwn(a); });
}

std::set<std::string> OwnHosts::AgentsOf(const IpAddress& address) const {
  std::set<std::string> out;
  const auto [begin, end] = by_address_.equal_range(address);
  for (auto it = begin; it != end; ++it) out.insert(it->second.agent_id);
  return out;
}

bool OwnHosts::HasProtocol(const std::set<std::uint8_t>& protocols, const std::string& name) {
  const auto has = [&](int number, const char* its) {
    return name == its && protocols.count(static_cast<std::uint8_t>(number)) != 0;
  };
  return has(IPPROTO_TCP, "tcp") || has(IPPROTO_UDP, "udp") || has(IPPROTO_ICMP, "icmp") ||
         has(IPPROTO_ICMP, "icmp6") || has(IPPROTO_SCTP, "sctp");
}

void OwnHosts::JudgeHost(const Sighting& sighting, const v1::FlowRow& flow,
                         const std::function<void(double, std::string)>& add) const {
  bool named = false, known = false;
  for (const std::string& instance : sighting.instances) {
    const auto found = by_instance_.find(instance);
    known |= found != by_instance_.end();
    named |= found != by_instance_.end() && found->second == flow.agent_id();
  }
  if (imported_.count(flow.agent_id()) != 0) add(-3, "imported, which tells no process");
  if (named) add(5, "the instance of the report");
  if (known && !named) add(-8, "another instance than the report's");
  for (const IpAddress& address : sighting.addresses) {
    const auto [begin, end] = by_address_.equal_range(address);
    if (begin == end || address.ToString() == flow.remote()) continue;
    const bool its = std::any_of(begin, end, [&flow](const auto& entry) {
      const Owner& owner = entry.second;
      if (owner.agent_id != flow.agent_id()) return false;
      return !owner.moved ||
             (flow.last_ns() >= owner.first_ns - kHour && flow.start_ns() <= owner.last_ns + kHour);
    });
    const std::string text = address.ToString();
    add(its ? 4 : -6, its ? text + " was this host's address" : text + " was another host's");
  }
}

void OwnHosts::NoteAddress(const IpAddress& address, std::vector<std::string>* notes) const {
  const auto [begin, end] = by_address_.equal_range(address);
  if (begin == end) return;
  std::string hosts;
  for (auto it = begin; it != end; ++it) {
    if (hosts.find(it->second.label) != std::string::npos) continue;
    hosts += (hosts.empty() ? "" : ", ") + it->second.label;
  }
  notes->push_back(fmt::format("{} is or was an address of {}", address.ToString(), hosts));
}

void OwnHosts::NoteInstance(const std::string& instance, std::vector<std::string>* notes) const {
  if (HasInstance(instance)) return;
  notes->push_back(
      fmt::format("{} has no agent that reports here: only other hosts can be searched", instance));
}

}  // namespace culprit
