// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/posture_scan.h"

#include <algorithm>

#include "agent/posture/drop_in.h"
#include "agent/posture/host_checks.h"
#include "agent/posture/key_scan.h"
#include "agent/posture/ssh_servers.h"
#include "agent/posture/sshd_checks.h"
#include "agent/posture/sshd_command.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAccountBytes = std::size_t{4} << 20;

Accounts ReadAccounts(FileTree& tree) {
  const auto text = [&](const char* path) {
    auto content = tree.Read(path, kMaxAccountBytes);
    return content ? std::move(content->bytes) : std::string();
  };
  const auto shadow = tree.Read("/etc/shadow", kMaxAccountBytes);
  return {text("/etc/passwd"), text("/etc/group"), shadow ? &shadow->bytes : nullptr};
}

// The daemon that runs knows best how it was started, then its unit.
SshdParseOptions OptionsFor(const PostureScanOptions& asked, const PostureReport& report,
                            const std::vector<std::string>& unit_command) {
  SshdParseOptions options;
  const SshServer* server = MainServer(report.servers, unit_command);
  if (!asked.config.empty()) {
    options.path = asked.config;
  } else if (server != nullptr) {
    options = OptionsOfCommand(server->arguments);
  } else {
    options = OptionsOfCommand(unit_command);
  }
  return options;
}

void Append(std::vector<PostureFinding> more, std::vector<PostureFinding>* findings) {
  findings->insert(findings->end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
}

bool PasswordFromPublic(const std::vector<PolicyContext>& contexts) {
  return std::any_of(contexts.begin(), contexts.end(), [](const PolicyContext& context) {
    if (context.source != SourceClass::kPublic || !context.admitted || context.account == nullptr)
      return false;
    const auto methods = EntryOf(context).methods;
    return context.account->password != PasswordState::kLocked &&
           std::find(methods.begin(), methods.end(), "password") != methods.end() &&
           MethodSuffices(*context.settings, "password");
  });
}

}  // namespace

Result<PostureReport> ScanPosture(FileTree& tree, HostView* host,
                                  const PostureScanOptions& options) {
  PostureReport report;
  const Accounts accounts = ReadAccounts(tree);
  if (!options.user.empty() && accounts.Find(options.user) == nullptr)
    return NotFound("there is no user " + options.user + " in /etc/passwd");
  const auto unit = FindUnit(tree, {"ssh.service", "sshd.service"});
  const std::vector<std::string> unit_command =
      unit ? CommandOf(tree, *unit) : std::vector<std::string>{};
  if (host != nullptr) {
    TRY(report.servers, FindSshServers(*host, FindUnit(tree, {"ssh.socket", "sshd.socket"})));
    report.live = true;
  }
  if (!tree.Read("/etc/shadow", 1))
    report.limits.emplace_back(
        "/etc/shadow cannot be read: which accounts have passwords is unknown");
  const SshdParseOptions parse = OptionsFor(options, report, unit_command);
  if (!tree.Stat(parse.path))
    return NotFound(parse.path +
                    " cannot be read: is there an SSH server on this host? Name its "
                    "configuration with --config");
  const SshdConfig config = SshdConfig::Parse(tree, accounts, parse);
  report.config_path = config.path();
  report.files = config.Files();
  auto contexts = PolicyContexts(config, accounts);
  if (!options.user.empty()) {
    std::erase_if(contexts, [&](const PolicyContext& context) {
      return context.account != nullptr && context.account->name != options.user;
    });
  }
  for (const PolicyContext& context : contexts)
    if (context.account != nullptr) report.policy.push_back(EntryOf(context));
  const DropIn drop_in = DropInFor(config);
  report.drop_in = drop_in.path;
  report.drop_in_note = drop_in.note;
  Append(CheckSshdConfig(config, accounts, contexts), &report.findings);
  Append(CheckFiles(tree, config, accounts, contexts), &report.findings);
  Append(CheckAccounts(accounts), &report.findings);
  if (unit) Append(CheckUnit(*unit), &report.findings);
  ScanKeys(tree, {config, accounts, contexts, options.user, options.now_s}, &report);
  const KeyBaseline* baseline = options.baseline ? &*options.baseline : nullptr;
  Append(CheckKeys(tree, {accounts, options.known_bad, baseline}, report), &report.findings);
  const ServerFacts facts{report.servers, config, unit, unit_command, PasswordFromPublic(contexts)};
  Append(CheckServers(tree, facts), &report.findings);
  std::stable_sort(
      report.findings.begin(), report.findings.end(),
      [](const PostureFinding& a, const PostureFinding& b) { return a.severity > b.severity; });
  return report;
}

}  // namespace culprit
