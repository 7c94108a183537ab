// SPDX-License-Identifier: Apache-2.0
// A host in memory for the tests of posture: accounts, sshd_config as Debian has it, processes.
#ifndef CULPRIT_TESTS_AGENT_POSTURE_POSTURE_FIXTURE_H_
#define CULPRIT_TESTS_AGENT_POSTURE_POSTURE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/posture/posture_scan.h"
#include "tests/support/memory_tree.h"

namespace culprit {

class ListedHost final : public HostView {
 public:
  Result<std::vector<ListeningProcess>> Listeners() override { return processes; }
  Result<std::string> ReadExecutable(std::int32_t pid, std::size_t limit) override {
    for (const ListeningProcess& process : processes)
      if (process.pid == pid) return executables[process.exe].substr(0, limit);
    return NotFound("no such process");
  }

  std::vector<ListeningProcess> processes;
  std::map<std::string, std::string> executables;
};

class PostureTest : public ::testing::Test {
 protected:
  PostureTest() {
    tree_.Write("/etc/passwd",
                "root:x:0:0::/root:/bin/bash\n"
                "alice:x:1001:1001::/home/alice:/bin/bash\n"
                "bob:x:1002:1002::/home/bob:/bin/sh\n"
                "daemon:x:1:1::/:/usr/sbin/nologin\n");
    tree_.Write("/etc/group", "root:x:0:\nalice:x:1001:\nbob:x:1002:\nstaff:x:50:bob\n");
    tree_.Write("/etc/shadow", "root:*:1::::::\nalice:$6$x$y:1::::::\nbob:!:1::::::\n", 0640);
    tree_.MakeFolder("/etc/ssh/sshd_config.d");
    Config("");
  }
  // Behind the Include that Debian's file begins with: `text` is from line 2 on.
  void Config(const std::string& text) {
    tree_.Write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n" + text);
  }
  PostureReport Scan(HostView* host = nullptr) {
    auto report = ScanPosture(tree_, host, options_);
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : PostureReport{};
  }
  // The first finding of this name whose evidence begins there; nullptr: none.
  static const PostureFinding* Find(const PostureReport& report, const std::string& id,
                                    const std::string& at = "") {
    for (const PostureFinding& finding : report.findings) {
      if (finding.id != id) continue;
      if (at.empty() || (!finding.evidence.empty() && finding.evidence[0].origin.ToString() == at))
        return &finding;
    }
    return nullptr;
  }
  static bool Concerns(const PostureFinding& finding, const std::string& context) {
    return std::find(finding.contexts.begin(), finding.contexts.end(), context) !=
           finding.contexts.end();
  }

  MemoryTree tree_;
  PostureScanOptions options_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_AGENT_POSTURE_POSTURE_FIXTURE_H_
