// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_posture.h"

#include "agent/posture/accounts.h"
#include "agent/posture/disk_tree.h"
#include "agent/posture/key_paths.h"
#include "agent/posture/sshd_config.h"
#include "agent/snapshot/redact.h"
#include "agent/ssh_check.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxText = std::size_t{4} << 20;
constexpr std::size_t kMaxAccounts = 200;

std::string Read(DiskTree& tree, const std::string& path) {
  const auto content = tree.Read(path, kMaxText);
  return content ? content->bytes : std::string();
}

void AddKeys(Evidence& evidence, DiskTree& tree, const Account& account, const std::string& path) {
  Row row;
  row["user"] = RowText(account.name);
  row["path"] = RowText(path);
  const auto info = tree.Stat(path);
  row["there"] = info.has_value();
  if (info) {
    row["mode"] = info->mode;
    row["uid"] = info->uid;
    row["mtime_ns"] = info->mtime_ns;
    row["ctime_ns"] = info->ctime_ns;
    row["immutable"] = info->immutable;
    row["append_only"] = info->append_only;
  }
  const auto content = tree.Read(path, kMaxText);
  if (content && HoldsPrivateKey(content->bytes)) {
    evidence.Skip(path, "holds a private key: never copied");
  } else if (content) {
    row["text"] = RowText(content->bytes);
  }
  if (content && content->cut) row["cut"] = true;
  evidence.Add("authorized_keys", std::move(row));
}

// What sshd decides for each user who can log in, and the keys that let him in, wherever they lie.
void CollectSshd(Evidence& evidence, const std::string& root) {
  evidence.At("sshd's configuration");
  auto tree = DiskTree::Open(root);
  if (!tree) {
    evidence.Skip("sshd's configuration", tree.error().message);
    return;
  }
  const std::string shadow = Read(**tree, "/etc/shadow");
  const Accounts accounts(Read(**tree, "/etc/passwd"), Read(**tree, "/etc/group"),
                          shadow.empty() ? nullptr : &shadow);
  const SshdConfig config = SshdConfig::Parse(**tree, accounts, {});
  for (const ConfigProblem& problem : config.problems())
    evidence.Skip("sshd's configuration", problem.what);
  std::size_t count = 0;
  for (const Account& account : accounts.all()) {
    if (evidence.Over() || !account.LoginShell()) continue;
    if (++count > kMaxAccounts) {
      evidence.Skip("sshd's configuration", "more users than the limit");
      return;
    }
    std::vector<ConfigProblem> problems;
    const Settings settings =
        config.Effective({account.name, "", "192.0.2.1", "192.0.2.2", 22}, &problems);
    Row row;
    row["user"] = RowText(account.name);
    Row& lines = row["settings"] = Row::array();
    for (const std::string& line : DumpSettings(settings)) lines.push_back(RowText(line));
    evidence.Add("sshd", std::move(row));
    const auto keys = settings.find("authorizedkeysfile");
    if (keys == settings.end()) continue;
    for (const SettingValue& value : keys->second) {
      const auto path = ExpandKeyPath(value.text, account);
      if (value.text != "none" && path) AddKeys(evidence, **tree, account, *path);
    }
  }
}

}  // namespace

void CollectPosture(Evidence& evidence) { CollectPostureOf(evidence, "/"); }

void CollectPostureOf(Evidence& evidence, const std::string& root) {
  CollectSshd(evidence, root);
  evidence.At("the posture of SSH");
  SshCheckOptions options;
  options.root = root;
  const auto report = SshCheck(options);
  if (!report) {
    evidence.Skip("the posture of SSH", report.error().message);
    return;
  }
  BundleMember member;
  member.name = "live/ssh-posture.json";
  member.source = "the report of culprit-agent ssh-check";
  evidence.AddBytes(std::move(member), FormatPostureJson(*report));
}

}  // namespace culprit
