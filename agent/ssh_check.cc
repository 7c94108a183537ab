// SPDX-License-Identifier: Apache-2.0
#include "agent/ssh_check.h"

#include <unistd.h>

#include <ctime>

#include "agent/posture/disk_tree.h"
#include "agent/posture/posture_scan.h"
#include "agent/posture/proc_view.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxList = std::size_t{256} << 20;

}  // namespace

Result<PostureReport> SshCheck(const SshCheckOptions& options) {
  TRY(const auto tree, DiskTree::Open(options.root));
  const bool live = options.root == "/";
  const auto host = live ? OpenProcView("/proc") : nullptr;
  PostureScanOptions scan;
  scan.config = options.config;
  scan.user = options.user;
  scan.now_s = std::time(nullptr);
  if (!options.known_bad.empty()) {
    TRY(const std::string list, ReadWholeFile(options.known_bad, kMaxList));
    if (auto added = scan.known_bad.Add(list); !added)
      return std::move(added).error().Context(options.known_bad);
  }
  if (!options.baseline.empty()) {
    TRY(const std::string text, ReadWholeFile(options.baseline, kMaxList));
    auto baseline = KeyBaseline::Parse(text);
    if (!baseline) return std::move(baseline).error().Context(options.baseline);
    scan.baseline = std::move(*baseline);
  }
  TRY(PostureReport report, ScanPosture(*tree, host.get(), scan));
  if (!options.write_baseline.empty())
    TRY_VOID(WriteFileAtomically(options.write_baseline, KeyBaseline::Format(report.keys)));
  if (live && geteuid() != 0)
    report.limits.emplace_back("not run as root: servers of other users are not seen");
  return report;
}

int PostureExitCode(Severity worst) {
  return worst == Severity::kInfo ? 0 : 9 + static_cast<int>(worst);
}

}  // namespace culprit
