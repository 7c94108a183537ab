// SPDX-License-Identifier: Apache-2.0
// culprit-agent-parser USER: the agent's only process that reads payload. Started by culprit-agent
// with the link on descriptor 3; gives up its rights, then parses. Ends with its parent.
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "agent/parser/parser_process.h"
#include "agent/process/child_process.h"

namespace culprit {
namespace {

constexpr int kOk = 0, kUsage = 2, kFailed = 1;

// Once the filter is there nothing can be written any more: the exit code says it.
int RunParser(const char* user) {
  const int parent = getppid();
  if (const Status status = EnterSandbox(user, parent, kLinkFd); !status) {
    std::fprintf(stderr, "culprit-agent-parser: %s\n", status.error().message.c_str());
    return kFailed;
  }
  return ServeSensor(kLinkFd) ? kOk : kFailed;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  if (argc != 2 || !culprit::HasLink()) {
    std::fputs("culprit-agent-parser is started by culprit-agent; run `culprit-agent run`\n",
               stderr);
    return culprit::kUsage;
  }
  int code = culprit::kFailed;
  try {
    code = culprit::RunParser(argv[1]);
  } catch (const std::exception&) {  // out of memory
    code = culprit::kFailed;
  }
  _exit(code);  // what runs at an ordinary end is more than the filter lets through
}
