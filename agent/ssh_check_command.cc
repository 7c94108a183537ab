// SPDX-License-Identifier: Apache-2.0
#include "agent/ssh_check_command.h"

#include <iostream>

namespace culprit {
namespace {

constexpr const char* kFooter =
    "It reads what sshd would read and changes nothing. Each finding names the line that decides\n"
    "and a fix for a drop-in that sshd reads first: an appended line would lose, since the first\n"
    "value wins.\n"
    "Exit codes, by the worst finding: 0 none but information; 10 low; 11 medium; 12 high;\n"
    "13 critical; 1 failed; 2 wrong options.\n"
    "Examples:\n"
    "  sudo culprit-agent ssh-check\n"
    "  sudo culprit-agent ssh-check --user alice\n"
    "  sudo culprit-agent ssh-check --write-baseline keys.txt   # now, and later:\n"
    "  sudo culprit-agent ssh-check --baseline keys.txt\n"
    "  culprit-agent ssh-check --root /mnt/image --sarif > ssh.sarif\n"
    "  culprit-agent ssh-check --config /root/sshd_config.new --json";

}  // namespace

CLI::App* AddSshCheck(CLI::App& app, SshCheckOptions* options) {
  CLI::App* check = app.add_subcommand(
      "ssh-check", "Judge the SSH of this host or of a mounted image; needs no collector");
  check->footer(kFooter);
  check->add_option("--root", options->root, "Where the image is mounted")->capture_default_str();
  check->add_option("--config", options->config,
                    "Configuration, instead of the running daemon's or its unit's");
  check->add_option("--user", options->user, "For this user alone");
  check->add_option("--known-bad", options->known_bad,
                    "More keys that are known to be bad: lines \"SHA256:… WHY\"");
  check->add_option("--baseline", options->baseline, "Name each key that is not in this file");
  check->add_option("--write-baseline", options->write_baseline,
                    "Write the keys that are there now to this file");
  auto* json = check->add_flag("--json", options->json, "JSON instead of text");
  check->add_flag("--sarif", options->sarif, "SARIF 2.1.0 instead of text")->excludes(json);
  return check;
}

int RunSshCheck(const SshCheckOptions& options, const std::string& version) {
  const auto report = SshCheck(options);
  if (!report) {
    std::cerr << "culprit-agent: " << report.error().message << "\n";
    return 1;
  }
  std::cout << (options.json    ? FormatPostureJson(*report)
                : options.sarif ? FormatPostureSarif(*report, version)
                                : FormatPostureText(*report));
  return PostureExitCode(report->Worst());
}

}  // namespace culprit
