// SPDX-License-Identifier: Apache-2.0
#include "agent/process/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/socket.h>
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

Result<std::pair<UniqueFd, UniqueFd>> MakeLinkPair() {
  std::array<int, 2> fds{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return ErrnoError("socketpair");
  }
  return std::pair<UniqueFd, UniqueFd>(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

bool HasLink() {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(kLinkFd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

std::uint32_t Random32() {
  std::uint32_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) return 0;
  return value;
}

Status ChildProcess::Start(const std::string& program, const std::vector<std::string>& arguments,
                           int link_end) {
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
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string tell_form = "JOURNAL_STREAM=";
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

bool ChildProcess::Ended(std::string* how) {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  *how = HowEnded(status);
  pid_ = -1;
  pid_fd_.Reset();
  return true;
}

void ChildProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  pid_fd_.Reset();
}

void ChildProcess::Abandon() {
  pid_ = -1;
  pid_fd_.Reset();
}

}  // namespace culprit
