// SPDX-License-Identifier: Apache-2.0
#include "agent/source/procfs.h"

#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <utility>

#include "common/ascii.h"
#include "common/file.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxArgBytes = 1024;  // as much as the kernel side takes of an exec
constexpr std::size_t kMaxTextBytes = 8192;
constexpr std::size_t kContainerIdDigits = 64;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

// At most `limit` bytes.
Result<std::string> ReadFront(const std::string& path, std::size_t limit) {
  TRY(const UniqueFd fd, OpenReadOnly(path));
  return ReadUpTo(fd.get(), limit, path);
}

std::vector<std::string> SplitArgs(std::string_view text) {
  std::vector<std::string> args;
  while (!text.empty()) {
    args.emplace_back(NextUntil(&text, '\0'));
  }
  return args;
}

// Field `index` (1 = pid) of /proc/PID/stat; the name in brackets is passed over as a whole,
// whatever it holds.
std::optional<std::uint64_t> StatField(std::string_view stat, int index) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 1);
  for (int field = 3; field < index; ++field) NextWord(&rest, " \n");
  return AsNumber<std::uint64_t>(NextWord(&rest, " \n"));
}

// "Pss:    123 kB" in smaps_rollup.
std::uint64_t PssFromRollup(std::string_view text) {
  const std::size_t at = text.find("\nPss:");
  if (at == std::string_view::npos) return 0;
  text = TrimFront(text.substr(at + 5), " ");
  std::uint64_t kib = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), kib).ec != std::errc()) return 0;
  return kib * 1024;
}

}  // namespace

std::optional<std::uint64_t> StartTicksFromStat(std::string_view stat) {
  return StatField(stat, 22);
}

std::string ContainerIdFromProcCgroup(std::string_view cgroup) {
  std::size_t run = 0;
  for (std::size_t i = 0; i <= cgroup.size(); ++i) {
    const bool hex = i < cgroup.size() && ((cgroup[i] >= '0' && cgroup[i] <= '9') ||
                                           (cgroup[i] >= 'a' && cgroup[i] <= 'f'));
    if (hex) {
      ++run;
      continue;
    }
    if (run == kContainerIdDigits) return std::string(cgroup.substr(i - run, run));
    run = 0;
  }
  return {};
}

Procfs::Procfs(std::string root) : root_(std::move(root)) {
  const long ticks = sysconf(_SC_CLK_TCK);
  ticks_per_second_ = ticks > 0 ? static_cast<std::uint64_t>(ticks) : 100;
}

std::vector<Tgid> Procfs::List(std::size_t limit) const {
  std::vector<Tgid> tgids;
  const std::unique_ptr<DIR, CloseDir> dir(opendir(root_.c_str()));
  if (!dir) return tgids;
  while (const dirent* entry = readdir(dir.get())) {
    if (tgids.size() >= limit) break;
    if (const auto tgid = AsNumber<std::uint32_t>(entry->d_name)) tgids.emplace_back(*tgid);
  }
  return tgids;
}

std::optional<ProcfsEvent> Procfs::Read(Tgid tgid, BootTime now) const {
  const std::string directory = root_ + "/" + std::to_string(tgid.value());
  const auto stat = ReadFront(directory + "/stat", kMaxTextBytes);
  if (!stat) return std::nullopt;
  const auto ticks = StartTicksFromStat(*stat);
  if (!ticks) return std::nullopt;
  ProcfsEvent event;
  event.at = now;
  event.tgid = tgid;
  event.start = BootTimeFromNs(*ticks * (1'000'000'000ULL / ticks_per_second_));
  event.exe = ReadLink(directory + "/exe").value_or("");
  const auto args = ReadFront(directory + "/cmdline", kMaxArgBytes);
  if (event.exe.empty() && (!args || args->empty()))
    return std::nullopt;  // a kernel thread, or gone
  event.cwd = ReadLink(directory + "/cwd").value_or("");
  if (args) event.argv = SplitArgs(*args);
  if (const auto cgroup = ReadFront(directory + "/cgroup", kMaxTextBytes)) {
    event.container_id = ContainerIdFromProcCgroup(*cgroup);
  }
  return event;
}

std::optional<ProcessUsage> Procfs::Usage(Tgid tgid, bool with_pss) const {
  const std::string directory = root_ + "/" + std::to_string(tgid.value());
  const auto stat = ReadFront(directory + "/stat", kMaxTextBytes);
  if (!stat) return std::nullopt;
  const auto user = StatField(*stat, 14), system = StatField(*stat, 15),
             rss_pages = StatField(*stat, 24);
  if (!user || !system || !rss_pages) return std::nullopt;
  ProcessUsage usage;
  usage.cpu_us = (*user + *system) * (1'000'000ULL / ticks_per_second_);
  usage.rss_bytes = *rss_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (with_pss) {
    if (const auto rollup = ReadFront(directory + "/smaps_rollup", kMaxTextBytes)) {
      usage.pss_bytes = PssFromRollup(*rollup);
    }
  }
  return usage;
}

}  // namespace culprit
