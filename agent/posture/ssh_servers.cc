// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/ssh_servers.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "agent/posture/sshd_command.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxExecutable = std::size_t{2} << 20;
constexpr std::size_t kMaxAll = std::size_t{32} << 20;
using Kind = SshServer::Kind;

bool Holds(const std::string& bytes, std::string_view text) {
  return memmem(bytes.data(), bytes.size(), text.data(), text.size()) != nullptr;
}

std::optional<Kind> KindOf(const std::string& bytes) {
  if (Holds(bytes, "authorizedkeysfile") && Holds(bytes, "no hostkeys available -- exiting"))
    return Kind::kOpenSsh;
  if (Holds(bytes, "SSH-2.0-dropbear")) return Kind::kDropbear;
  if (Holds(bytes, "SSH-2.0-tinyssh")) return Kind::kTinySsh;
  return std::nullopt;
}

bool SocketUnitListens(const ListeningProcess& process, const std::optional<SystemdUnit>& socket) {
  if (process.pid != 1 || !socket) return false;
  for (const UnitLine& line : socket->Listens()) {
    const std::string port = line.value.substr(line.value.rfind(':') + 1);
    for (const Endpoint& endpoint : process.listens)
      if (std::to_string(endpoint.port) == port) return true;
  }
  return false;
}

std::string CommandText(const std::string& cmdline) {
  std::string text = cmdline.substr(0, 4'096);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

SshServer ServerOf(const ListeningProcess& process, Kind kind) {
  SshServer server;
  server.kind = kind;
  server.pid = process.pid;
  server.exe = process.exe;
  server.exe_deleted = process.exe_deleted;
  server.own_root = process.own_root;
  server.command = CommandText(process.cmdline);
  if (kind == Kind::kOpenSsh) server.arguments = SshdArguments(process.cmdline);
  server.start_ns = process.start_ns;
  server.listens = process.listens;
  std::sort(server.listens.begin(), server.listens.end());
  return server;
}

}  // namespace

Result<std::vector<SshServer>> FindSshServers(HostView& host,
                                              const std::optional<SystemdUnit>& socket) {
  TRY(const auto processes, host.Listeners());
  std::map<std::string, std::optional<Kind>> known;  // by executable
  std::size_t read = 0;
  std::vector<SshServer> servers;
  for (const ListeningProcess& process : processes) {
    if (SocketUnitListens(process, socket)) {
      servers.push_back(ServerOf(process, Kind::kSocketUnit));
      continue;
    }
    // A deleted executable shares its name with others.
    const bool shared = !process.exe_deleted && !process.own_root;
    const auto it = known.find(process.exe);
    std::optional<Kind> kind;
    if (shared && it != known.end()) {
      kind = it->second;
    } else if (read < kMaxAll) {
      const auto bytes = host.ReadExecutable(process.pid, kMaxExecutable);
      if (bytes) kind = KindOf(*bytes);
      read += bytes ? bytes->size() : 0;
      if (shared) known[process.exe] = kind;
    }
    if (kind) servers.push_back(ServerOf(process, *kind));
  }
  return servers;
}

bool IsSshServer(const std::string& executable) { return KindOf(executable).has_value(); }

const SshServer* MainServer(const std::vector<SshServer>& servers,
                            const std::vector<std::string>& unit_command) {
  const std::string expected = OptionsOfCommand(unit_command).path;
  const auto it = std::find_if(servers.begin(), servers.end(), [&](const SshServer& server) {
    return server.kind == Kind::kOpenSsh && server.exe == "/usr/sbin/sshd" && !server.own_root &&
           OptionsOfCommand(server.arguments).path == expected;
  });
  return it == servers.end() ? nullptr : &*it;
}

}  // namespace culprit
