// SPDX-License-Identifier: Apache-2.0
// Checks of what runs: a second server, one whose configuration is not what is on the disk, and how
// far it can be reached.
#include <algorithm>

#include "agent/posture/host_checks.h"
#include "agent/posture/ssh_servers.h"
#include "agent/posture/sshd_command.h"

namespace culprit {
namespace {

using Kind = SshServer::Kind;
constexpr std::string_view kConfig = "/etc/ssh/sshd_config";

class ServerChecker {
 public:
  ServerChecker(FileTree& tree, const ServerFacts& facts) : tree_(tree), facts_(facts) {}

  std::vector<PostureFinding> Run() {
    const SshServer* main = MainServer(facts_.servers, facts_.unit_command);
    for (const SshServer& server : facts_.servers) {
      if (&server == main) {
        Drift(server);
      } else if (server.kind != Kind::kSocketUnit) {
        Second(server);
      }
      Exposure(server);
    }
    return std::move(findings_);
  }

 private:
  void Add(std::string id, Severity severity, std::string reason, const SshServer& server,
           std::string note) {
    PostureFinding finding;
    finding.id = std::move(id);
    finding.severity = severity;
    finding.reason = std::move(reason);
    std::string text = server.exe + (server.exe_deleted ? " (deleted)" : "") + ", pid " +
                       std::to_string(server.pid) + ":";
    for (const Endpoint& endpoint : server.listens) text += " " + endpoint.ToString();
    finding.evidence.push_back({{"/proc/" + std::to_string(server.pid), 0}, std::move(text)});
    finding.fix.note = std::move(note);
    findings_.push_back(std::move(finding));
  }

  void Second(const SshServer& server) {
    const std::string name(ServerKindName(server.kind));
    if (server.own_root) {
      Add("proc.second_sshd", Severity::kMedium, "a container has an SSH server (" + name + ")",
          server, "check its own configuration: it is not the one that is judged here");
      return;
    }
    const auto file = tree_.Stat(server.exe);
    const bool packaged = file && file->uid == 0 && (file->mode & 022U) == 0 &&
                          server.exe.compare(0, 5, "/usr/") == 0 &&
                          server.exe.compare(0, 11, "/usr/local/") != 0;
    if (server.kind != Kind::kOpenSsh && packaged) {
      Add("proc.second_sshd", Severity::kHigh, "another SSH server runs (" + name + ")", server,
          "stop it, unless you put it there: the checks of sshd's configuration do not hold for "
          "it");
      return;
    }
    const std::string path =
        server.kind == Kind::kOpenSsh ? OptionsOfCommand(server.arguments).path : "";
    std::string reason = "a second SSH server runs (" + name + ")";
    if (server.exe_deleted) reason += ", from an executable that is deleted";
    if (!path.empty() && path != kConfig) reason += ", with a configuration of its own: " + path;
    if (server.exe != "/usr/sbin/sshd") reason += ", from where no package puts it";
    Add("proc.second_sshd", Severity::kCritical, std::move(reason), server,
        "look at it before you end it: it is how an intruder stays; --config judges its "
        "configuration");
  }

  // sshd reads its files at its start, and again at a reload, when it writes its pid file anew.
  std::int64_t LoadedAt(const SshServer& server) {
    const std::string& path = ValueOf(facts_.config.global(), "pidfile").text;
    const std::string pid_file = path.empty() ? "/run/sshd.pid" : path;
    const auto info = tree_.Stat(pid_file);
    const auto content = tree_.Read(pid_file, 32);
    const bool own = info && content && content->bytes == std::to_string(server.pid) + "\n";
    return own ? std::max(server.start_ns, info->mtime_ns) : server.start_ns;
  }

  void Drift(const SshServer& server) {
    if (server.exe_deleted)
      Add("cfg.drift", Severity::kHigh,
          "sshd runs from an executable that was replaced since (an upgrade, or somebody)", server,
          "restart it");
    const std::int64_t loaded = LoadedAt(server);
    for (const std::string& file : facts_.config.Files()) {
      const auto info = tree_.Stat(file);
      if (!info || std::max(info->mtime_ns, info->ctime_ns) <= loaded) continue;
      Add("cfg.drift", Severity::kHigh,
          file + " was changed after sshd had read it: what runs is not what is written", server,
          "sshd -t, then reload it");
      findings_.back().evidence.push_back({{file, 0}, "changed later"});
    }
    if (facts_.unit_command.empty() || server.arguments.empty()) return;
    if (Options(facts_.unit_command) == Options(server.arguments)) return;
    Add("cfg.drift", Severity::kHigh, "sshd was not started with the options that its unit has",
        server, "systemctl restart " + (facts_.unit ? facts_.unit->name : std::string("ssh")));
    findings_.back().evidence.push_back(
        {{"/proc/" + std::to_string(server.pid) + "/cmdline", 0}, server.command});
    if (facts_.unit)
      findings_.back().evidence.push_back(
          {facts_.unit->ExecStart().origin, facts_.unit->ExecStart().value});
  }

  static std::vector<std::string> Options(const std::vector<std::string>& command) {
    const SshdParseOptions options = OptionsOfCommand(command);
    std::vector<std::string> all = {options.path};
    for (const auto* list :
         {&options.command_options, &options.command_ports, &options.command_host_keys})
      all.insert(all.end(), list->begin(), list->end());
    return all;
  }

  void Exposure(const SshServer& server) {
    const bool wide =
        std::any_of(server.listens.begin(), server.listens.end(), [](const Endpoint& endpoint) {
          return endpoint.address.IsUnspecified() ||
                 endpoint.address == IpAddress::Parse("0.0.0.0").value() ||
                 endpoint.address.IsPublic();
        });
    if (!wide) return;
    Add("net.exposure", facts_.password_from_public ? Severity::kHigh : Severity::kMedium,
        facts_.password_from_public
            ? "SSH listens on public or all addresses, and takes passwords from there"
            : "SSH listens on public or all addresses",
        server,
        "let the security group admit known addresses only, or use SSM or Instance Connect; "
        "ListenAddress narrows it on the host");
  }

  FileTree& tree_;
  const ServerFacts& facts_;
  std::vector<PostureFinding> findings_;
};

}  // namespace

std::vector<PostureFinding> CheckServers(FileTree& tree, const ServerFacts& facts) {
  return ServerChecker(tree, facts).Run();
}

}  // namespace culprit
