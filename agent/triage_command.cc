// SPDX-License-Identifier: Apache-2.0
#include "agent/triage_command.h"

#include <unistd.h>

#include <iostream>

#include "common/log.h"

namespace culprit {
namespace {

constexpr const char* kFooter =
    "For a host where nothing was installed: this one program, no configuration, no collector, no\n"
    "other file of ours; as packaged it needs glibc 2.34 and libsystemd. It watches, then takes a\n"
    "snapshot (tiers 0 to 2, with what was watched) and\n"
    "says what stands out: who talks to whom, connections older than the watch with the bytes "
    "that\n"
    "they had moved, on whose login and key, programs that have no file, keys, persistence. It\n"
    "writes the bundle and nothing else, runs nothing of the host, and signs with a key that it\n"
    "makes for that and forgets. Progress goes to stderr; the first ^C ends the watch, a second "
    "one\n"
    "the program.\n"
    "Its facts are what was there to be seen. What only a collector says: scans, floods, beacons,\n"
    "egress and relays judged by their course; what is new compared with before or with other\n"
    "hosts; regions and cost; findings (`culprit findings`).\n"
    "With --root a mounted disk is looked at instead: logins in its logs, keys, SSH, persistence.\n"
    "Of the machine it is mounted at nothing gets in.\n"
    "Exit codes: 0 done; 1 failed; 2 wrong options; 4 done, but the host could not be watched "
    "(root\n"
    "is needed, and a kernel with type information): the snapshot is there.\n"
    "Examples:\n"
    "  sudo ./culprit-agent triage\n"
    "  scp culprit-agent root@host: && ssh root@host ./culprit-agent triage --out - > "
    "host.tar.zst\n"
    "  sudo ./culprit-agent triage --no-bundle --seconds 10 --json\n"
    "  culprit-agent triage --root /mnt/disk --out case-17.tar.zst\n"
    "Next: culprit-agent snapshot verify FILE; culprit-agent snapshot show FILE";

enum ExitCode { kDone = 0, kFailed = 1, kNotWatched = 4 };

}  // namespace

CLI::App* AddTriage(CLI::App& app, TriageArguments* arguments) {
  TriageOptions& options = arguments->options;
  CLI::App* triage = app.add_subcommand(
      "triage", "One look at a host without an installation: who did it, and a signed snapshot");
  triage->footer(kFooter);
  auto* seconds = triage->add_option("--seconds", arguments->seconds, "How long to watch")
                      ->check(CLI::Range(4U, 86'400U))
                      ->capture_default_str();
  triage->add_option("--root", options.root, "Where a disk is mounted that is to be looked at")
      ->capture_default_str()
      ->excludes(seconds);
  auto* out =
      triage->add_option("--out", options.out,
                         "File or directory for the bundle; - = standard output, the report "
                         "then goes to stderr (default: the working directory)");
  triage->add_flag("--no-bundle", arguments->no_bundle, "The report alone; writes nothing")
      ->excludes(out);
  triage->add_flag("--json", arguments->json, "JSON instead of text");
  triage->add_flag("--no-metadata", arguments->no_metadata,
                   "Do not ask the EC2 metadata service who this is");
  triage->add_option("--case", options.case_id, "Number of the case, for the manifest");
  triage->add_option("--operator", options.operator_name, "Who asks, for the manifest");
  return triage;
}

int RunTriage(TriageArguments arguments) {
  TriageOptions& options = arguments.options;
  options.watch = std::chrono::seconds(arguments.seconds);
  options.bundle = !arguments.no_bundle;
  options.metadata = !arguments.no_metadata;
  if (auto log = InitLog("culprit-agent", "warning"); !log) {
    std::cerr << "culprit-agent: " << log.error().message << "\n";
    return kFailed;
  }
  const auto report = Triage(options);
  if (!report) {
    std::cerr << "culprit-agent: " << report.error().message << "\n";
    return kFailed;
  }
  // Standard output may be the bundle itself.
  std::ostream& out = options.out == "-" ? std::cerr : std::cout;
  out << (arguments.json ? TriageJson(*report) : TriageText(*report)) << std::flush;
  if (!out) {
    std::cerr << "culprit-agent: the report could not be written\n";
    return kFailed;
  }
  return report->watched || !report->root.empty() ? kDone : kNotWatched;
}

}  // namespace culprit
