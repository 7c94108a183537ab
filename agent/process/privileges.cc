// SPDX-License-Identifier: Apache-2.0
#include "agent/process/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace culprit {
namespace {

Status BecomeUser(const std::string& user) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return NotFound("there is no user \"" + user +
                    "\": create it, or set another one in agent.toml");
  }
  if (setgroups(0, nullptr) != 0) return ErrnoError("setgroups");
  if (setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) != 0) return ErrnoError("setresgid");
  if (setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) != 0) return ErrnoError("setresuid");
  if (entry.pw_uid != 0 && setuid(0) == 0) return Internal("root could be regained");
  return Ok();
}

Status ClearCapabilities() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, 2> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return ErrnoError("capset");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return Ok();
}

}  // namespace

Status DropPrivileges(const std::string& user, int parent_pid) {
  if (geteuid() == 0) {
    // The bounding set can only be lowered while the capabilities are there.
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
      prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    TRY_VOID(BecomeUser(user));
  }
  TRY_VOID(ClearCapabilities());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError("no_new_privs");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ErrnoError("dumpable");
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // After the change of user, which clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return ErrnoError("parent death signal");
  if (getppid() != parent_pid) return Unavailable("the sensor is gone");
  return Ok();
}

}  // namespace culprit
