// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/host_checks.h"

#include <algorithm>
#include <set>

#include "agent/posture/sshd_lexer.h"

namespace culprit {
namespace {

using S = Severity;

PostureFinding Finding(std::string id, Severity severity, std::string reason,
                       PostureEvidence evidence, std::string note = "") {
  PostureFinding finding;
  finding.id = std::move(id);
  finding.severity = severity;
  finding.reason = std::move(reason);
  finding.evidence.push_back(std::move(evidence));
  finding.fix.note = std::move(note);
  return finding;
}

std::string Octal(std::uint32_t mode) {
  std::string text = "0000";
  for (std::size_t i = 4; i-- > 0; mode >>= 3U) text[i] = static_cast<char>('0' + (mode & 7U));
  return text;
}

// Who beside root can write the path or a folder above it, so that it can be replaced; empty: none.
std::string WritableBy(FileTree& tree, const std::string& path) {
  std::string at = tree.Resolve(path).value_or(path);
  for (;;) {
    const auto info = tree.Stat(at);
    if (info && info->uid != 0) return at + " belongs to uid " + std::to_string(info->uid);
    const bool sticky = (info ? info->mode : 0) & 01000U;
    if (info && (info->mode & 022U) != 0 && !sticky)
      return at + " is writable by others (mode " + Octal(info->mode) + ")";
    if (at == "/" || at.empty()) return "";
    at = ParentOf(at);
  }
}

class FileChecker {
 public:
  FileChecker(FileTree& tree, const SshdConfig& config, const Accounts& accounts,
              const std::vector<PolicyContext>& contexts)
      : tree_(tree), config_(config), accounts_(accounts), contexts_(contexts) {}

  std::vector<PostureFinding> Run() {
    std::set<std::string> paths = {"/etc/ssh", "/etc/ssh/sshd_config.d"};
    for (const std::string& file : config_.Files()) paths.insert(file);
    for (const std::string& path : paths) ConfigPath(path);
    const Settings& global = *contexts_.front().settings;
    const auto keys = global.find("hostkey");
    if (keys != global.end())
      for (const SettingValue& key : keys->second) HostKey(key.text);
    for (const PolicyContext& context : contexts_) {
      for (const std::string_view keyword :
           {"authorizedkeysfile", "authorizedkeyscommand", "authorizedprincipalscommand",
            "forcecommand", "subsystem", "trustedusercakeys", "authorizedprincipalsfile"})
        Values(context, keyword);
    }
    return std::move(findings_);
  }

 private:
  void ConfigPath(const std::string& path) {
    const auto info = tree_.Stat(path);
    if (!info || (info->uid == 0 && (info->mode & 022U) == 0)) return;
    findings_.push_back(
        Finding("cfg.perms", S::kMedium, "others than root can change what sshd obeys",
                {{path, 0}, "uid " + std::to_string(info->uid) + ", mode " + Octal(info->mode)},
                "chown root:root " + path + "; chmod go-w " + path));
  }

  void HostKey(const std::string& path) {
    const auto info = tree_.Stat(path);
    if (!info) return;
    std::uint32_t allowed = 0600;
    for (const Group& group : accounts_.groups())
      if (group.gid == info->gid && group.name == "ssh_keys") allowed = 0640;
    if (info->uid == 0 && (info->mode & 0777U & ~allowed) == 0) return;
    findings_.push_back(Finding(
        "cfg.perms", S::kMedium, "others than root can read a host key and pose as this host",
        {{path, 0}, "uid " + std::to_string(info->uid) + ", mode " + Octal(info->mode)},
        "make new host keys: this one may be known"));
  }

  void Values(const PolicyContext& context, std::string_view keyword) {
    const auto it = context.settings->find(keyword);
    if (it == context.settings->end()) return;
    for (const SettingValue& value : it->second) {
      if (value.text == "none" || value.text.empty()) continue;
      if (!seen_.insert(value.origin.ToString() + " " + value.text).second) continue;
      const PostureEvidence evidence{value.origin, std::string(keyword) + " " + value.text};
      if (keyword == "authorizedkeysfile")
        KeyFile(context, value, evidence);
      else if (keyword == "trustedusercakeys" || keyword == "authorizedprincipalsfile")
        Program(keyword, value.text, evidence);
      else
        Command(keyword, value.text, evidence);
    }
  }

  void KeyFile(const PolicyContext& context, const SettingValue& value,
               const PostureEvidence& evidence) {
    std::string path = value.text;
    if (path.compare(0, 3, "%h/") == 0) path.erase(0, 3);
    const bool in_home = path[0] != '/' && path.compare(0, 2, "%h") != 0;
    const bool by_user =
        path.find("%u") != std::string::npos || path.find("%U") != std::string::npos;
    std::string why;
    if (in_home && path.compare(0, 5, ".ssh/") != 0)
      why = "keys are looked for outside of .ssh, where nobody looks for them";
    if (!in_home && !by_user && path.find("%h") == std::string::npos)
      why = "the keys in one file open every account";
    else if (!in_home && path.compare(0, 9, "/etc/ssh/") != 0)
      why = "keys are looked for outside of the home directories and /etc/ssh";
    if (!in_home && context.account != nullptr) {
      const std::string folder = ParentOf(path.substr(0, path.find('%')) + "x");
      const auto info = tree_.Stat(folder);
      if (info && (info->mode & 02U) != 0)
        why = folder + ", where keys are kept, is world-writable";
    }
    if (why.empty()) return;
    auto finding = Finding("cfg.authkeys_path", S::kHigh, why, evidence);
    finding.fix.text = "AuthorizedKeysFile .ssh/authorized_keys";
    findings_.push_back(std::move(finding));
  }

  void Command(std::string_view keyword, const std::string& text, const PostureEvidence& evidence) {
    auto words = SplitArguments(text).value_or(std::vector<std::string>{});
    if (keyword == "subsystem" && !words.empty()) words.erase(words.begin());
    if (words.empty() || words[0][0] != '/') return;
    const std::string& program = words[0];
    if (keyword == "authorizedkeyscommand") {
      static const std::set<std::string, std::less<>> kKnown = {
          "/opt/aws/bin/eic_run_authorized_keys",
          "/usr/share/ec2-instance-connect/eic_run_authorized_keys",
          "/usr/bin/sss_ssh_authorizedkeys", "/usr/bin/google_authorized_keys"};
      const bool known = kKnown.count(program) != 0;
      findings_.push_back(Finding(
          "cfg.authkeys_command", known ? S::kInfo : S::kHigh,
          known ? "keys also come from a program of the cloud or the directory"
                : "keys also come from a program that no known package brings: it decides who gets "
                  "in",
          evidence, known ? "" : "look at the program, then set AuthorizedKeysCommand none"));
    }
    Program(keyword, program, evidence);
  }

  void Program(std::string_view keyword, const std::string& path, const PostureEvidence& evidence) {
    if (path.empty() || path[0] != '/' || path.find('%') != std::string::npos) return;
    const std::string who = WritableBy(tree_, path);
    if (who.empty()) return;
    const bool keys = keyword == "authorizedkeyscommand";
    findings_.push_back(Finding(keys ? "cfg.authkeys_command" : "cfg." + std::string(keyword),
                                S::kHigh,
                                "others than root can replace what sshd runs or trusts: " + who,
                                evidence, "chown root:root and chmod go-w what is named"));
  }

  FileTree& tree_;
  const SshdConfig& config_;
  const Accounts& accounts_;
  const std::vector<PolicyContext>& contexts_;
  std::set<std::string> seen_;
  std::vector<PostureFinding> findings_;
};

}  // namespace

std::vector<PostureFinding> CheckFiles(FileTree& tree, const SshdConfig& config,
                                       const Accounts& accounts,
                                       const std::vector<PolicyContext>& contexts) {
  return FileChecker(tree, config, accounts, contexts).Run();
}

std::vector<PostureFinding> CheckAccounts(const Accounts& accounts) {
  static const std::set<std::string, std::less<>> kCloud = {
      "ec2-user", "ubuntu",    "admin", "debian",    "centos",     "fedora",
      "rocky",    "almalinux", "opc",   "azureuser", "cloud-user", "bitnami"};
  std::vector<PostureFinding> findings;
  for (const Account& account : accounts.all()) {
    const PostureEvidence passwd{{"/etc/passwd", 0},
                                 account.name + ", uid " + std::to_string(account.uid)};
    if (account.uid == 0 && account.name != "root")
      findings.push_back(Finding("acct.uid0", S::kCritical, "a second account is root", passwd,
                                 "remove the account, and look for who made it"));
    if (account.password == PasswordState::kEmpty && account.LoginShell())
      findings.push_back(Finding("acct.empty_password", S::kHigh, "the account has no password",
                                 {{"/etc/shadow", 0}, account.name}, "passwd -l " + account.name));
    if (account.password == PasswordState::kUsable && kCloud.count(account.name) != 0)
      findings.push_back(
          Finding("acct.cloud_user_password", S::kHigh,
                  "the image's default user, whose name everybody knows, has been given a password",
                  {{"/etc/shadow", 0}, account.name}, "passwd -l " + account.name));
  }
  return findings;
}

std::vector<PostureFinding> CheckUnit(const SystemdUnit& unit) {
  std::vector<PostureFinding> findings;
  const UnitLine exec = unit.ExecStart();
  const bool packaged =
      exec.origin.file.compare(0, 5, "/usr/") == 0 || exec.origin.file.compare(0, 5, "/lib/") == 0;
  if (exec.value.empty() || packaged) return findings;
  const bool connect = exec.value.find("/eic_run_authorized_keys") != std::string::npos;
  findings.push_back(Finding(
      "cfg.unit_override", connect ? S::kInfo : S::kHigh,
      connect ? "EC2 Instance Connect starts sshd with a command for keys"
              : "the unit that starts sshd is not the package's: its options beat every file",
      {exec.origin, exec.key + "=" + exec.value},
      connect ? "" : "systemctl revert " + unit.name + ", unless you made it"));
  return findings;
}

}  // namespace culprit
