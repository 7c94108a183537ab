// SPDX-License-Identifier: Apache-2.0
// Any bytes as sshd_config, a drop-in, a unit and a command line (between lines of "%%"): read,
// asked for users and sources, checked. Nothing may take long, point outside of what was read, or
// be shown unbounded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/drop_in.h"
#include "agent/posture/posture_scan.h"
#include "agent/posture/sshd_command.h"
#include "tests/support/memory_tree.h"

namespace {

using namespace culprit;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::string> Parts(std::string_view input) {
  std::vector<std::string> parts;
  while (parts.size() < 4) {
    const std::size_t end = input.find("%%\n");
    parts.emplace_back(input.substr(0, end));
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 3);
  }
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parts = Parts({reinterpret_cast<const char*>(data), size});
  MemoryTree tree;
  tree.Write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n");
  tree.Write("/etc/group", "staff:x:50:alice\n");
  tree.Write("/etc/ssh/sshd_config", parts[0]);
  tree.Write("/etc/ssh/sshd_config.d/50-a.conf", parts[1]);
  tree.Write("/etc/systemd/system/ssh.service", parts[2]);
  PostureScanOptions options;
  options.config = "/etc/ssh/sshd_config";
  const auto report = ScanPosture(tree, nullptr, options);
  Require(report.has_value());
  for (const PostureFinding& finding : report->findings) {
    Require(!finding.id.empty() && !finding.reason.empty() && finding.contexts.size() <= 64);
    Require(!finding.fix.text.empty() || !finding.fix.note.empty() ||
            finding.severity == Severity::kInfo || finding.id == "cfg.not_all_read");
  }
  AllFixes(report->findings);
  OptionsOfCommand(SshdArguments(parts[3]));
  return 0;
}
