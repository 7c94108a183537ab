// SPDX-License-Identifier: Apache-2.0
#include "tests/support/faultfs/faultfs_mount.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/file.h"

namespace culprit {
namespace {

constexpr int kMountTries = 1000;  // of 10 ms

void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

}  // namespace

FaultfsMount::FaultfsMount(const std::string& program, std::uint64_t seed)
    : backing_(dir_ / "backing"), mount_(dir_ / "mount") {
  Require(mkdir(backing_.c_str(), 0700) == 0 && mkdir(mount_.c_str(), 0700) == 0, "mkdir");
  const std::string seed_text = std::to_string(seed);
  pid_ = fork();
  Require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // a test that is killed leaves no mount behind
    execl(program.c_str(), program.c_str(), "--backing", backing_.c_str(), "--mount",
          mount_.c_str(), "--keep-some", seed_text.c_str(), "--foreground", nullptr);
    _exit(127);
  }
  const std::string control = mount_ + "/.faultfs-control";
  struct stat st {};
  for (int i = 0; stat(control.c_str(), &st) != 0; ++i) {
    Require(i < kMountTries && waitpid(pid_, nullptr, WNOHANG) == 0, "mount culprit_faultfs");
    usleep(10'000);
  }
}

FaultfsMount::~FaultfsMount() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  umount2(mount_.c_str(), MNT_DETACH);
}

void FaultfsMount::Control(const std::string& command) const {
  const UniqueFd fd(open((mount_ + "/.faultfs-control").c_str(), O_WRONLY | O_CLOEXEC));
  Require(static_cast<bool>(fd), "open control file");
  Require(WriteAll(fd.get(), command).has_value(), "write control file");
}

}  // namespace culprit
