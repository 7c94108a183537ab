// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sender_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

namespace culprit {
namespace {

struct FileActions {
  FileActions() { posix_spawn_file_actions_init(&value); }
  ~FileActions() { posix_spawn_file_actions_destroy(&value); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t value;
};
struct Attributes {
  Attributes() { posix_spawnattr_init(&value); }
  ~Attributes() { posix_spawnattr_destroy(&value); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  posix_spawnattr_t value;
};

std::string HowEnded(int status) {
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Status SenderProcess::Start(const std::string& program, int link_end) {
  FileActions actions;
  posix_spawn_file_actions_adddup2(&actions.value, link_end, kLinkFd);
  posix_spawn_file_actions_addclosefrom_np(&actions.value, kLinkFd + 1);
  Attributes attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes.value, &none);
  posix_spawnattr_setsigdefault(&attributes.value, &all);
  // Its own process group: a Ctrl-C at the terminal must not end it before what is left has been
  // sent.
  posix_spawnattr_setpgroup(&attributes.value, 0);
  posix_spawnattr_setflags(
      &attributes.value,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  std::string path = program, tell_form = "JOURNAL_STREAM=";
  std::array<char*, 2> argv{path.data(), nullptr};
  // An empty environment but for what the log needs: no proxy or library settings get in.
  const char* journal_stream = std::getenv("JOURNAL_STREAM");
  if (journal_stream != nullptr) tell_form += journal_stream;
  std::array<char*, 2> environment{journal_stream != nullptr ? tell_form.data() : nullptr, nullptr};
  pid_t pid = -1;
  const int err = posix_spawn(&pid, program.c_str(), &actions.value, &attributes.value, argv.data(),
                              environment.data());
  if (err != 0) return ErrnoError("can not start " + program, err);
  pid_ = pid;
  pid_fd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return Ok();
}

bool SenderProcess::Ended(std::string* how) {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  *how = HowEnded(status);
  pid_ = -1;
  pid_fd_.Reset();
  return true;
}

void SenderProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  pid_fd_.Reset();
}

}  // namespace culprit
