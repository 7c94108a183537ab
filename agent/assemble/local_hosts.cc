// SPDX-License-Identifier: Apache-2.0
#include "agent/assemble/local_hosts.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::uint32_t kFirstTgid = 0x40000000;  // above every pid_max: no real process has it

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  line = NextUntil(&line, '#');
  for (;;) {
    const std::string_view word = NextWord(&line, " \t\r,");
    if (word.empty()) return words;
    words.push_back(word);
  }
}

Result<MappedProcess> ParseLine(const std::vector<std::string_view>& words) {
  MappedProcess process;
  if (words.size() < 5 || words.size() > 6) {
    return InvalidArgument("expected ADDRESS PORT PROTOCOL PID EXE [UID]");
  }
  if (words[0] != "*") {
    TRY(process.local.address, IpAddress::Parse(words[0]));
  }
  if (words[1] != "*" && !ParseWhole(words[1], &process.local.port)) {
    return InvalidArgument("expected a port from 1 to 65535 or *");
  }
  if (words[2] != "*" && words[2] != "tcp" && words[2] != "udp") {
    return InvalidArgument("expected tcp, udp or *");
  }
  if (words[2] != "*") process.protocol = words[2] == "tcp" ? IPPROTO_TCP : IPPROTO_UDP;
  std::uint32_t pid = 0, uid = 0;
  if (!ParseWhole(words[3], &pid) || pid == 0) return InvalidArgument("expected a pid");
  if (words.size() == 6 && !ParseWhole(words[5], &uid)) return InvalidArgument("expected a uid");
  process.tgid = Tgid(pid);
  if (words.size() == 6) process.uid = Uid(uid);
  process.exe = std::string(words[4]);
  process.comm = process.exe.substr(process.exe.rfind('/') + 1);
  return process;
}

bool Matches(const MappedProcess& mapped, const Endpoint& local, std::uint8_t protocol) {
  return (mapped.local.address.IsUnspecified() || mapped.local.address == local.address) &&
         (mapped.local.port == 0 || mapped.local.port == local.port) &&
         (mapped.protocol == 0 || mapped.protocol == protocol);
}

ExecEvent Found(const ProcessKey& key, std::string exe, std::string comm, Uid uid, BootTime at) {
  ExecEvent exec;
  exec.at = at;
  exec.key = key;
  exec.uid = exec.euid = uid;
  exec.path = std::move(exe);
  exec.comm = std::move(comm);
  exec.from_iterator = true;
  return exec;
}

}  // namespace

Result<std::vector<MappedProcess>> ParseProcessMap(std::string_view text) {
  std::vector<MappedProcess> map;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto words = Words(NextLine(&text));
    if (words.empty()) continue;
    auto process = ParseLine(words);
    if (!process) {
      return std::move(process).error().Context("line " + std::to_string(number));
    }
    map.push_back(std::move(*process));
  }
  return map;
}

LocalHosts::LocalHosts(std::vector<Cidr> given, std::vector<MappedProcess> map)
    : given_(std::move(given)), map_(std::move(map)), mapped_(map_.size()) {}

bool LocalHosts::IsLocal(const IpAddress& address) const {
  if (!given_.empty()) {
    return std::any_of(given_.begin(), given_.end(),
                       [&](const Cidr& cidr) { return cidr.Contains(address); });
  }
  const auto& bytes = address.bytes();
  const bool multicast = address.IsV4() ? bytes[12] >= 224 : bytes[0] == 0xff;
  return !address.IsPublic() && !multicast && !address.IsUnspecified();
}

ExecEvent LocalHosts::Stand(const IpAddress& host, BootTime at) {
  const bool room = hosts_.size() < kMaxHosts;
  const IpAddress name = room ? host : IpAddress();
  const auto [entry, fresh] = hosts_.try_emplace(name);
  if (fresh) {
    entry->second.tgid = Tgid(kFirstTgid + static_cast<std::uint32_t>(hosts_.size()));
    entry->second.start = at;
    entry->second.exec_id = 1;
    if (room) seen_.push_back(host);
  }
  return Found(entry->second, "", room ? host.ToString() : "other hosts", kNoUid, at);
}

ProcessKey LocalHosts::ProcessOf(const Endpoint& local, std::uint8_t protocol, BootTime at,
                                 std::optional<ExecEvent>* started) {
  for (std::size_t i = 0; i < map_.size(); ++i) {
    if (!Matches(map_[i], local, protocol)) continue;
    if (!mapped_[i]) {
      mapped_[i] = ProcessKey{map_[i].tgid, BootTimeFromNs(i + 1), 1};
      *started = Found(*mapped_[i], map_[i].exe, map_[i].comm, map_[i].uid, at);
    }
    return *mapped_[i];
  }
  if (const auto known = hosts_.find(local.address); known != hosts_.end()) return known->second;
  const std::size_t before = hosts_.size();
  ExecEvent exec = Stand(local.address, at);
  const ProcessKey key = exec.key;
  if (hosts_.size() != before) *started = std::move(exec);
  return key;
}

}  // namespace culprit
