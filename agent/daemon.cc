// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "common/file.h"

namespace culprit {

namespace {

Result<UniqueFd> Blocked(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return ErrnoError("block signals");
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return ErrnoError("signalfd");
  return fd;
}

}  // namespace

Result<UniqueFd> StopSignals(bool hangup) {
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return ErrnoError("ignore SIGPIPE");
  return hangup ? Blocked({SIGTERM, SIGINT, SIGHUP}) : Blocked({SIGTERM, SIGINT});
}

Result<UniqueFd> ReloadSignal() { return Blocked({SIGHUP}); }

std::vector<std::string> MissingCapabilities(std::string_view status) {
  constexpr std::string_view kField = "CapEff:\t";
  std::uint64_t effective = 0;
  const std::size_t at = status.find(kField);
  if (at != std::string_view::npos) {
    const std::string_view rest = status.substr(at + kField.size());
    std::from_chars(rest.data(), rest.data() + rest.size(), effective, 16);
  }
  const auto has = [&](int capability) { return (effective >> capability & 1) != 0; };
  constexpr int kBpf = 39, kPerfmon = 38;  // newer than some kernel headers
  const bool admin = has(CAP_SYS_ADMIN);
  std::vector<std::string> missing;
  if (!has(kBpf) && !admin) missing.emplace_back("CAP_BPF (load programs)");
  if (!has(kPerfmon) && !admin) missing.emplace_back("CAP_PERFMON (tracepoints)");
  if (!has(CAP_NET_ADMIN)) missing.emplace_back("CAP_NET_ADMIN (socket hooks)");
  if (!admin) missing.emplace_back("CAP_SYS_ADMIN (fanotify: hashes of executables)");
  return missing;
}

Status CheckPrivileges() {
  TRY(const std::string status, ReadWholeFile("/proc/self/status", 64U << 10));
  const std::vector<std::string> missing = MissingCapabilities(status);
  // Without CAP_SYS_ADMIN alone capture works; hashes are then a degraded mode.
  if (missing.empty() || (missing.size() == 1 && missing.front().starts_with("CAP_SYS_ADMIN")))
    return Ok();
  std::string list;
  for (const std::string& name : missing) list += (list.empty() ? "" : ", ") + name;
  return MakeError(Code::kPermissionDenied, "live capture is not permitted; missing: " + list +
                                                ". Run as root (sudo culprit-agent run), or as a "
                                                "service with these capabilities. Without them "
                                                "`culprit-agent replay FILE` works.");
}

void KeepMemorySmall() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

}  // namespace culprit
