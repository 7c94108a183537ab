// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_sandbox.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <memory>
#include <utility>

namespace culprit {
namespace {

#if defined(CULPRIT_ASAN)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr int kNice = 10;

// The C library's allocator, and what the kernel and libraries do between the lines.
constexpr int kPlainCalls[] = {
    SCMP_SYS(brk),           SCMP_SYS(munmap),    SCMP_SYS(mremap),       SCMP_SYS(futex),
    SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),          SCMP_SYS(exit_group)};
// AddressSanitizer marks its shadow, and asks for the signal stack before it ends.
constexpr int kSanitizerCalls[] = {SCMP_SYS(madvise), SCMP_SYS(sigaltstack)};

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

int AddRules(scmp_filter_ctx filter, int link_fd) {
  int err = 0;
  const auto allow = [&err, filter](int call, auto... conditions) {
    if (err == 0) {
      err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, sizeof...(conditions), conditions...);
    }
  };
  for (const int call : kPlainCalls) allow(call);
  if (kSanitized) {
    for (const int call : kSanitizerCalls) allow(call);
  }
  const auto fd = static_cast<scmp_datum_t>(link_fd);
  allow(SCMP_SYS(recvfrom), SCMP_A0(SCMP_CMP_EQ, fd, 0));
  allow(SCMP_SYS(sendto), SCMP_A0(SCMP_CMP_EQ, fd, 0), SCMP_A4(SCMP_CMP_EQ, 0, 0));
  allow(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
  return err;
}

}  // namespace

Status LimitResources() {
  const auto limit = [](__rlimit_resource what, rlim_t most) {
    const rlimit both{most, most};
    return setrlimit(what, &both) == 0;
  };
  bool done = limit(RLIMIT_NOFILE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NPROC, 0) &&
              limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0) &&
              limit(RLIMIT_STACK, kParserStackBytes);
  // A sanitizer's shadow is bigger than any limit.
  if (!kSanitized) done = done && limit(RLIMIT_DATA, kParserDataBytes);
  if (!done) return ErrnoError("setrlimit");
  if (setpriority(PRIO_PROCESS, 0, kNice) != 0) return ErrnoError("setpriority");
  return Ok();
}

Status InstallFilter(int link_fd) {
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  if (!filter) return Internal("seccomp_init");
  // no_new_privs is there already, and without it the kernel must refuse.
  int err = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);
  if (err == 0) err = AddRules(filter.get(), link_fd);
  if (err == 0) err = seccomp_load(filter.get());
  if (err != 0) return ErrnoError("the filter of system calls", -err);
  return Ok();
}

}  // namespace culprit
