// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/proc_view.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "bpf/tasks_abi.h"
#include "common/number.h"
#include "tasks.skel.h"

namespace culprit {
namespace {

constexpr std::uint32_t kKernelThread = 0x00200000;

struct FreeSkeleton {
  void operator()(tasks_bpf* skeleton) const { tasks_bpf__destroy(skeleton); }
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};

KernelTask From(const culprit_listed_task& record) {
  return {record.tgid,
          record.parent,
          record.uid,
          (record.flags & kKernelThread) != 0,
          record.start_boottime,
          std::string(record.comm, strnlen(record.comm, sizeof record.comm))};
}

UniqueFd OpenPath(const char* path) {
  return UniqueFd(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// Each instance of procfs is a device of its own (Linux 5.8).
bool IsOtherProcfs(int a, int b) {
  struct stat st_a {};
  struct stat st_b {};
  struct statfs fs_a {};
  struct statfs fs_b {};
  return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev != st_b.st_dev &&
         fstatfs(a, &fs_a) == 0 && fstatfs(b, &fs_b) == 0 && fs_a.f_type == PROC_SUPER_MAGIC &&
         fs_b.f_type == PROC_SUPER_MAGIC;
}

}  // namespace

SnapshotProcfs OpenProcfs() {
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC)));
  if (context &&
      syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    UniqueFd mount(
        static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY)));
    if (mount) return {std::move(mount), true, "", OpenPath("/proc"), "self/mountinfo"};
  }
  std::string problem = std::string("not to be had: ") + std::strerror(errno);
  UniqueFd ours = OpenPath("/proc"), hosts = OpenPath("/proc/1/root/proc");
  if (ours && hosts && IsOtherProcfs(ours.get(), hosts.get()))
    return {std::move(ours), true, "", std::move(hosts), "1/mountinfo"};
  return {std::move(ours), false, std::move(problem), OpenPath("/proc"), "self/mountinfo"};
}

std::vector<std::uint32_t> ListProcesses(int procfs, std::size_t limit) {
  std::vector<std::uint32_t> pids;
  UniqueFd fd(openat(procfs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* dir = fd ? fdopendir(fd.get()) : nullptr;
  if (dir == nullptr) return pids;
  (void)fd.Release();
  while (const dirent* entry = readdir(dir)) {
    const auto pid = AsNumber<std::uint32_t>(entry->d_name);
    if (pid && pids.size() < limit) pids.push_back(*pid);
  }
  closedir(dir);
  std::sort(pids.begin(), pids.end());
  return pids;
}

Result<std::vector<KernelTask>> ListKernelTasks(std::size_t limit) {
  libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  const std::unique_ptr<tasks_bpf, FreeSkeleton> skeleton(tasks_bpf__open_and_load());
  if (!skeleton) return ErrnoError("the kernel refuses the program that lists its processes");
  const std::unique_ptr<bpf_link, FreeSkeleton> link(
      bpf_program__attach_iter(skeleton->progs.culprit_list_tasks, nullptr));
  if (!link) return ErrnoError("the kernel has no iterator over its processes");
  const UniqueFd fd(bpf_iter_create(bpf_link__fd(link.get())));
  if (!fd) return ErrnoError("the kernel's list of processes");
  std::vector<KernelTask> tasks;
  std::vector<culprit_listed_task> records(256);
  std::size_t have = 0;
  while (tasks.size() < limit) {
    auto* bytes = reinterpret_cast<char*>(records.data());
    const ssize_t got =
        read(fd.get(), bytes + have, records.size() * sizeof(culprit_listed_task) - have);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return ErrnoError("the kernel's list of processes");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
    const std::size_t whole = have / sizeof(culprit_listed_task);
    for (std::size_t i = 0; i < whole && tasks.size() < limit; ++i)
      tasks.push_back(From(records[i]));
    have -= whole * sizeof(culprit_listed_task);
    std::memmove(bytes, bytes + whole * sizeof(culprit_listed_task), have);
  }
  return tasks;
}

std::map<std::uint32_t, ProcessViews> CompareViews(const std::vector<std::uint32_t>& mounted,
                                                   const std::vector<std::uint32_t>* detached,
                                                   const std::vector<std::uint32_t>* kernel) {
  std::map<std::uint32_t, ProcessViews> all;
  for (const std::uint32_t pid : mounted) all[pid].mounted = true;
  if (detached != nullptr)
    for (const std::uint32_t pid : *detached) all[pid].detached = true;
  if (kernel != nullptr)
    for (const std::uint32_t pid : *kernel) all[pid].kernel = true;
  std::erase_if(all, [&](const auto& item) {
    const ProcessViews& views = item.second;
    return views.mounted && (detached == nullptr || views.detached) &&
           (kernel == nullptr || views.kernel);
  });
  return all;
}

std::optional<ProcessViews> HiddenFrom(const ProcessLooks& looks, bool has_detached,
                                       bool has_kernel) {
  const auto& [a, b] = looks;
  const bool there_all_the_while = (a.mounted && b.mounted) ||
                                   (has_detached && a.detached && b.detached) ||
                                   (has_kernel && a.kernel && b.kernel);
  const ProcessViews shown{a.mounted || b.mounted, !has_detached || a.detached || b.detached,
                           !has_kernel || a.kernel || b.kernel};
  if (!there_all_the_while || (shown.mounted && shown.detached && shown.kernel))
    return std::nullopt;
  return shown;
}

}  // namespace culprit
