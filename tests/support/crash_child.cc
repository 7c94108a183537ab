// SPDX-License-Identifier: Apache-2.0
#include "tests/support/crash_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/unique_fd.h"

namespace culprit {
namespace {

void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

// Reads what is there until `deadline`, or (without one) until the other end is closed.
void Collect(int fd, std::chrono::steady_clock::time_point deadline, bool until_closed,
             std::vector<std::uint64_t>* promises) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (!until_closed && left.count() <= 0) return;
    pollfd poll_fd{fd, POLLIN, 0};
    const int ready = poll(&poll_fd, 1, until_closed ? -1 : static_cast<int>(left.count()));
    if (ready == 0) return;
    std::uint64_t values[512];
    const ssize_t n = read(fd, values, sizeof(values));
    Require(n >= 0, "read promises");
    if (n == 0) return;
    promises->insert(promises->end(), values, values + n / 8);
  }
}

}  // namespace

std::vector<std::uint64_t> RunAndKill(
    const std::function<void(const std::function<void(std::uint64_t)>& promise)>& writer,
    std::chrono::microseconds life, LifeBegins begins) {
  int ends[2];
  // Writes of 8 bytes to a pipe are atomic: a number is never cut in two, whenever the writer dies.
  Require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  std::fflush(nullptr);
  const pid_t child = fork();
  Require(child >= 0, "fork");
  if (child == 0) {
    const int fd = to.get();
    writer([fd](std::uint64_t n) {
      if (write(fd, &n, sizeof(n)) != static_cast<ssize_t>(sizeof(n))) _exit(1);
    });
    _exit(0);
  }
  to.Reset();
  std::vector<std::uint64_t> promises;
  if (begins == LifeBegins::kAtFirstPromise) {
    pollfd first{from.get(), POLLIN, 0};
    Require(poll(&first, 1, -1) == 1, "poll");
  }
  Collect(from.get(), std::chrono::steady_clock::now() + life, false, &promises);
  Require(kill(child, SIGKILL) == 0, "kill");
  int status = 0;
  Require(waitpid(child, &status, 0) == child, "waitpid");
  Collect(from.get(), {}, true, &promises);
  return promises;
}

}  // namespace culprit
