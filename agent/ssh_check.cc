// SPDX-License-Identifier: Apache-2.0
#include "agent/ssh_check.h"

#include <unistd.h>

#include "agent/posture/disk_tree.h"
#include "agent/posture/posture_scan.h"
#include "agent/posture/proc_view.h"

namespace culprit {

Result<PostureReport> SshCheck(const SshCheckOptions& options) {
  TRY(const auto tree, DiskTree::Open(options.root));
  const bool live = options.root == "/";
  const auto host = live ? OpenProcView("/proc") : nullptr;
  TRY(PostureReport report, ScanPosture(*tree, host.get(), {options.config, options.user}));
  if (live && geteuid() != 0)
    report.limits.emplace_back("not run as root: servers of other users are not seen");
  return report;
}

int PostureExitCode(Severity worst) {
  return worst == Severity::kInfo ? 0 : 9 + static_cast<int>(worst);
}

}  // namespace culprit
