// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/processes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "agent/snapshot/process_text.h"
#include "agent/snapshot/redact.h"
#include "common/ascii.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kSmall = std::size_t{64} << 10;
constexpr std::size_t kMaps = std::size_t{4} << 20;
constexpr std::size_t kArguments = 1024;
constexpr std::size_t kMapRows = 4096;
constexpr std::array<const char*, 8> kNamespaces = {"mnt", "pid", "net",    "user",
                                                    "uts", "ipc", "cgroup", "time"};

std::optional<std::uint64_t> NamespaceInode(std::string_view link) {
  const std::size_t open = link.find('[');
  if (open == std::string_view::npos) return std::nullopt;
  std::uint64_t inode = 0;
  std::from_chars(link.data() + open + 1, link.data() + link.size(), inode);
  return inode;
}

class ProcessReader {
 public:
  ProcessReader(Evidence& evidence, const HostFiles& host, int procfs, FoundProcesses* facts)
      : evidence_(evidence), host_(host), procfs_(procfs), facts_(facts) {}

  void Read(std::uint32_t pid, const KernelTask* task) {
    pid_ = pid;
    const std::string name = std::to_string(pid);
    evidence_.At("/proc/" + name);
    directory_ = UniqueFd(openat(procfs_, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto text = directory_ ? ReadAt(directory_.get(), "stat", kSmall) : ErrnoResult();
    const auto stat = text ? ParseStat(*text) : std::nullopt;
    if (!stat) {
      evidence_.Skip("/proc/" + name, "ended before it could be read");
      return;
    }
    Row row;
    row["pid"] = pid;
    Basics(*stat, task, &row);
    Texts(task != nullptr && task->kernel_thread, &row);
    Links(&row);
    evidence_.Add("processes", row);
    Descriptors();
    Maps();
  }

 private:
  static Result<std::string> ErrnoResult() { return ErrnoError("open"); }

  void Basics(const StatFields& stat, const KernelTask* task, Row* row) {
    (*row)["parent"] = stat.parent;
    (*row)["command"] = RowText(stat.comm);
    (*row)["state"] = std::string(1, stat.state);
    (*row)["group"] = stat.group;
    (*row)["session"] = stat.session;
    (*row)["terminal"] = stat.terminal;
    (*row)["start_ticks"] = stat.start_ticks;
    (*row)["user_ticks"] = stat.user_ticks;
    (*row)["system_ticks"] = stat.system_ticks;
    if (task != nullptr) {
      (*row)["start_boot_ns"] = task->start_boot_ns;
      (*row)["kernel_thread"] = task->kernel_thread;
    }
  }

  void Texts(bool kernel_thread, Row* row) {
    const std::string status = ReadAt(directory_.get(), "status", kSmall).value_or("");
    for (const char* field : {"Uid", "Gid", "Groups", "TracerPid", "NSpid", "Threads", "VmRSS",
                              "CapEff", "CapPrm", "CapAmb", "NoNewPrivs", "Seccomp"})
      (*row)[field] = RowText(StatusField(status, field));
    for (const char* file : {"loginuid", "sessionid", "cgroup", "wchan"}) {
      std::string text = ReadAt(directory_.get(), file, kSmall).value_or("");
      while (text.ends_with('\n')) text.pop_back();
      (*row)[file] = RowText(text);
    }
    Row& arguments = (*row)["arguments"] = Row::array();
    const std::string cmdline = ReadAt(directory_.get(), "cmdline", kSmall).value_or("");
    for (const std::string& argument : ParseArguments(cmdline, kArguments)) {
      arguments.push_back(RowText(RedactSecrets(argument).text));
    }
    if (cmdline.size() >= kSmall) (*row)["arguments_cut"] = true;
    const auto environment = ReadAt(directory_.get(), "environ", kSmall);
    Row& variables = (*row)["environment"] = Row::object();
    if (environment) {
      for (const auto& [name, value] : EnvironmentNames(*environment))
        variables[RowText(name)] = RowText(value);
    } else if (!kernel_thread) {
      evidence_.Skip("/proc/" + std::to_string(pid_) + "/environ", environment.error().message);
    }
  }

  void Links(Row* row) {
    for (const char* name : {"cwd", "root", "exe"}) {
      const auto link = ReadLinkAt(directory_.get(), name);
      if (link) (*row)[name] = RowText(*link);
      if (link && std::string_view(name) == "exe") Executable(*link, row);
    }
    Row& namespaces = (*row)["namespaces"] = Row::object();
    for (const char* name : kNamespaces) {
      const auto link = ReadLinkAt(directory_.get(), std::string("ns/") + name);
      const auto inode = link ? NamespaceInode(*link) : std::nullopt;
      if (!inode) continue;
      namespaces[name] = *inode;
      if (std::string_view(name) == "net") facts_->net_namespaces.emplace(*inode, pid_);
      if (std::string_view(name) == "mnt") facts_->mount_namespaces.emplace(*inode, pid_);
    }
  }

  void Executable(const std::string& path, Row* row) {
    struct stat st {};
    if (host_.OnForeignFileSystem(path)) {
      evidence_.Skip(path,
                     "an executable on a file system that another program or host answers for");
      return;
    }
    if (fstatat(directory_.get(), "exe", &st, 0) != 0) return;
    FoundProcesses::Executable& executable = facts_->executables[{st.st_dev, st.st_ino}];
    if (executable.pids.empty()) {
      executable.pid = pid_;
      executable.path = path;
      executable.memory = path.starts_with("/memfd:");
      executable.deleted = st.st_nlink == 0;
    }
    executable.pids.push_back(pid_);
    (*row)["exe_device"] = st.st_dev;
    (*row)["exe_inode"] = st.st_ino;
    if (executable.deleted) (*row)["exe_deleted"] = true;
    if (executable.memory) (*row)["exe_in_memory"] = true;
  }

  void Descriptors() {
    const UniqueFd directory(openat(directory_.get(), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return;
    std::vector<std::uint32_t> numbers =
        ListProcesses(directory.get(), evidence_.limits().descriptors + 1);
    if (numbers.size() > evidence_.limits().descriptors) {
      evidence_.Skip("/proc/" + std::to_string(pid_) + "/fd", "more descriptors than the limit");
      numbers.pop_back();
    }
    Row row;
    row["pid"] = pid_;
    Row& list = row["descriptors"] = Row::object();
    for (const std::uint32_t number : numbers) {
      const std::string name = std::to_string(number);
      const auto link = ReadLinkAt(directory.get(), name);
      if (!link) continue;
      list[name] = RowText(*link);
      if (const auto inode = SocketInode(*link))
        facts_->socket_owners[*inode].emplace_back(pid_, number);
      if (link->starts_with('/')) Deleted(directory.get(), name, number, *link);
    }
    evidence_.Add("descriptors", row);
  }

  // By the count of links: what the text says is the process's own affair.
  void Deleted(int directory, const std::string& name, std::uint32_t number,
               const std::string& link) {
    if (link.starts_with("/dev/") || host_.OnForeignFileSystem(link)) return;
    struct stat st {};
    if (fstatat(directory, name.c_str(), &st, 0) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 0)
      return;
    facts_->open_deleted.push_back({pid_, number, link, link.starts_with("/memfd:")});
  }

  void Maps() {
    const auto text = ReadAt(directory_.get(), "maps", kMaps);
    if (!text || text->empty()) return;
    Row row;
    row["pid"] = pid_;
    Row& list = row["maps"] = Row::array();
    bool own_code = false;
    std::string_view rest = *text, last;
    while (!rest.empty()) {
      const std::string_view line = NextLine(&rest);
      const auto range = ParseMapLine(line);
      if (!range) continue;
      own_code |= IsAnonymousCode(*range);
      // Of a library's ranges one is enough; code and what is in no file is kept.
      if (!range->executable && (range->path.empty() || range->path == last)) continue;
      last = range->path;
      if (list.size() < kMapRows) list.push_back(RowText(line));
    }
    if (list.size() >= kMapRows || text->size() >= kMaps) row["cut"] = true;
    if (own_code) {
      row["code_without_file"] = true;
      facts_->anonymous_code.push_back(pid_);
    }
    evidence_.Add("maps", row);
  }

  Evidence& evidence_;
  const HostFiles& host_;
  int procfs_;
  FoundProcesses* facts_;
  std::uint32_t pid_ = 0;
  UniqueFd directory_;
};

// What a mountinfo says lies over /proc/PID.
std::string CoverOf(const std::string& mountinfo, std::uint32_t pid) {
  const std::string point = " /proc/" + std::to_string(pid) + " ";
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);)
    if (line.find(point) != std::string::npos) return line;
  return "";
}

bool StillThere(int procfs, std::uint32_t pid) {
  return faccessat(procfs, (std::to_string(pid) + "/stat").c_str(), F_OK, 0) == 0;
}

std::vector<std::uint32_t> PidsOf(const Result<std::vector<KernelTask>>& tasks) {
  std::vector<std::uint32_t> pids;
  if (!tasks) return pids;
  // The iterator of some kernels begins at pid 2.
  pids.push_back(1);
  for (const KernelTask& task : *tasks)
    if (task.pid != 1) pids.push_back(task.pid);
  std::sort(pids.begin(), pids.end());
  return pids;
}

// One that began or ended between two looks is no contradiction, so all are looked for twice more.
void Compare(Evidence& evidence, const SnapshotProcfs& procfs,
             const std::map<std::uint32_t, ProcessViews>& different, bool kernel_known) {
  if (different.empty()) return;
  const auto look = [&](ProcessViews ProcessLooks::*which,
                        std::map<std::uint32_t, ProcessLooks>* looks) {
    for (auto& [pid, both] : *looks) {
      (both.*which).mounted = StillThere(procfs.mounted.get(), pid);
      (both.*which).detached = procfs.detached && StillThere(procfs.fd.get(), pid);
    }
    if (!kernel_known) return;
    const auto tasks = PidsOf(ListKernelTasks(evidence.limits().processes));
    for (auto& [pid, both] : *looks)
      (both.*which).kernel = std::binary_search(tasks.begin(), tasks.end(), pid);
  };
  std::map<std::uint32_t, ProcessLooks> looks;
  for (const auto& [pid, views] : different) looks[pid];
  look(&ProcessLooks::first, &looks);
  look(&ProcessLooks::second, &looks);
  const std::string mountinfo =
      ReadAt(procfs.mounted.get(), procfs.mount_table, kMaps).value_or("");
  for (const auto& [pid, both] : looks) {
    const auto shown = HiddenFrom(both, procfs.detached, kernel_known);
    if (!shown) continue;
    Row row;
    row["pid"] = pid;
    row["in_proc"] = shown->mounted;
    if (procfs.detached) row["in_own_procfs"] = shown->detached;
    if (kernel_known) row["in_kernel_list"] = shown->kernel;
    const std::string cover = CoverOf(mountinfo, pid);
    if (!cover.empty()) row["covered_by"] = RowText(cover);
    evidence.Add("hidden", row);
  }
}

}  // namespace

void CollectProcesses(Evidence& evidence, const HostFiles& host, const SnapshotProcfs& procfs,
                      FoundProcesses* facts) {
  const std::size_t limit = evidence.limits().processes;
  std::vector<std::uint32_t> mounted = ListProcesses(procfs.mounted.get(), limit);
  // What lies over a directory hides what is in it, not its name.
  std::erase_if(mounted, [&](std::uint32_t pid) { return !StillThere(procfs.mounted.get(), pid); });
  const std::vector<std::uint32_t> own = ListProcesses(procfs.fd.get(), limit);
  if (own.size() >= limit) evidence.Skip("/proc", "more processes than the limit");
  if (!procfs.detached) evidence.Skip("a procfs of our own", procfs.problem);
  const auto tasks = ListKernelTasks(limit);
  if (!tasks) evidence.Skip("the kernel's list of processes", tasks.error().message);
  const std::vector<std::uint32_t> kernel = PidsOf(tasks);
  Compare(evidence, procfs,
          CompareViews(mounted, procfs.detached ? &own : nullptr, tasks ? &kernel : nullptr),
          tasks.has_value());
  std::map<std::uint32_t, const KernelTask*> by_pid;
  if (tasks)
    for (const KernelTask& task : *tasks) by_pid[task.pid] = &task;
  ProcessReader reader(evidence, host, procfs.fd.get(), facts);
  for (const std::uint32_t pid : own) {
    if (evidence.Over()) {
      evidence.Skip("/proc/" + std::to_string(pid) + " and later",
                    "time or bytes of the tier are used up");
      return;
    }
    const auto it = by_pid.find(pid);
    reader.Read(pid, it == by_pid.end() ? nullptr : it->second);
  }
}

void CollectMounts(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts) {
  for (const auto& [inode, pid] : facts.mount_namespaces) {
    const std::string path = std::to_string(pid) + "/mountinfo";
    evidence.At("/proc/" + path);
    const auto text = ReadAt(procfs.fd.get(), path, kMaps);
    if (!text) {
      evidence.Skip("/proc/" + path, text.error().message);
      continue;
    }
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
      Row row;
      row["mount_namespace"] = inode;
      row["line"] = RowText(line);
      evidence.Add("mounts", row);
    }
  }
}

}  // namespace culprit
