// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/host_state.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <cstring>
#include <map>
#include <sstream>

#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kText = std::size_t{1} << 20;
constexpr std::size_t kKallsyms = std::size_t{64} << 20;
constexpr std::size_t kLog = std::size_t{1} << 20;
constexpr std::size_t kMaxModules = 10'000;
constexpr std::size_t kMaxBpf = 10'000;
constexpr std::size_t kMaxSessions = 10'000;

std::int64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void Text(Evidence& evidence, const HostFiles& host, const std::string& path) {
  evidence.At(path);
  const auto text = host.Read(path, kText);
  if (!text) {
    if (text.error().code != Code::kNotFound) evidence.Skip(path, text.error().message);
    return;
  }
  BundleMember member;
  member.name = "live" + path;
  member.source = path;
  member.cut = text->size() >= kText;
  evidence.AddBytes(std::move(member), *text);
}

// A module that hides from one list may have forgotten the other.
void Modules(Evidence& evidence, const HostFiles& host) {
  std::map<std::string, std::string> listed;
  std::istringstream lines(host.Read("/proc/modules", kText).value_or(""));
  for (std::string line; std::getline(lines, line) && listed.size() < kMaxModules;)
    listed[line.substr(0, line.find(' '))] = line;
  bool cut = false;
  const auto names = host.List("/sys/module", kMaxModules, &cut);
  std::map<std::string, std::string> states;
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    evidence.At("/sys/module/" + name);
    // What is built in has no state.
    const auto state = host.Read("/sys/module/" + name + "/initstate", 64);
    if (state) states[name] = *state;
  }
  for (const auto& [name, line] : listed) {
    Row row;
    row["module"] = RowText(name);
    row["line"] = RowText(line);
    row["in_sys_module"] = states.erase(name) > 0;
    row["taint"] = RowText(host.Read("/sys/module/" + name + "/taint", 64).value_or(""));
    evidence.Add("modules", row);
  }
  for (const auto& [name, state] : states) {
    Row row;
    row["module"] = RowText(name);
    row["in_proc_modules"] = false;
    row["state"] = RowText(state);
    evidence.Add("modules", row);
  }
}

void KernelLog(Evidence& evidence) {
  evidence.At("/dev/kmsg");
  const UniqueFd fd(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    evidence.Skip("/dev/kmsg", std::strerror(errno));
    return;
  }
  std::string text, record(8192, '\0');
  for (int misses = 0; misses < 64;) {
    const ssize_t got = read(fd.get(), record.data(), record.size());
    if (got < 0 && errno == EPIPE) {  // overwritten meanwhile
      ++misses;
      continue;
    }
    if (got <= 0) break;
    text.append(record, 0, static_cast<std::size_t>(got));
    // The newest lines are wanted.
    if (text.size() > 2 * kLog) text.erase(0, text.size() - kLog);
  }
  BundleMember member;
  member.name = "live/kmsg";
  member.source = "/dev/kmsg";
  member.cut = text.size() > kLog;
  if (member.cut) text.erase(0, text.size() - kLog);
  evidence.AddBytes(std::move(member), text);
}

void ProgramRow(std::uint32_t id, Evidence& evidence) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) return;
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return;
  Row row;
  row["kind"] = "program";
  row["id"] = id;
  row["type"] = info.type;
  row["name"] = RowText({info.name, strnlen(info.name, sizeof info.name)});
  row["tag"] = HexEncode({reinterpret_cast<const char*>(info.tag), sizeof info.tag});
  row["loaded_boot_ns"] = info.load_time;
  row["uid"] = info.created_by_uid;
  row["instructions"] = info.verified_insns;
  evidence.Add("bpf", row);
}

void MapRow(std::uint32_t id, Evidence& evidence) {
  const UniqueFd fd(bpf_map_get_fd_by_id(id));
  if (!fd) return;
  bpf_map_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return;
  Row row;
  row["kind"] = "map";
  row["id"] = id;
  row["type"] = info.type;
  row["name"] = RowText({info.name, strnlen(info.name, sizeof info.name)});
  row["max_entries"] = info.max_entries;
  evidence.Add("bpf", row);
}

void LinkRow(std::uint32_t id, Evidence& evidence) {
  const UniqueFd fd(bpf_link_get_fd_by_id(id));
  if (!fd) return;
  bpf_link_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return;
  Row row;
  row["kind"] = "link";
  row["id"] = id;
  row["type"] = info.type;
  row["program"] = info.prog_id;
  evidence.Add("bpf", row);
}

template <class Next, class Each>
void ForEachId(Evidence& evidence, Next next, Each each, const char* what) {
  std::uint32_t id = 0;
  for (std::size_t count = 0; next(id, &id) == 0; ++count) {
    if (count >= kMaxBpf || evidence.Over()) {
      evidence.Skip(what, "more than the limit");
      return;
    }
    evidence.At(what);
    each(id, evidence);
  }
  if (errno != ENOENT) evidence.Skip(what, std::strerror(errno));
}

}  // namespace

void CollectClocks(Evidence& evidence, const HostFiles& host, std::string_view when) {
  Row row;
  row["when"] = when;
  row["realtime_ns"] = ClockNs(CLOCK_REALTIME);
  row["monotonic_ns"] = ClockNs(CLOCK_MONOTONIC);
  row["boottime_ns"] = ClockNs(CLOCK_BOOTTIME);
  timex state{};
  row["ntp_state"] = adjtimex(&state);
  row["ntp_status"] = state.status;
  row["ntp_offset"] = state.offset;
  row["ntp_max_error_us"] = state.maxerror;
  std::istringstream stat(host.Read("/proc/stat", kText).value_or(""));
  for (std::string line; std::getline(stat, line);)
    if (line.starts_with("btime ")) row["boot_time_s"] = RowText(line.substr(6));
  row["boot_id"] = RowText(host.Read("/proc/sys/kernel/random/boot_id", 36).value_or(""));
  evidence.Add("clocks", row);
}

void CollectKernel(Evidence& evidence, const HostFiles& host) {
  Modules(evidence, host);
  for (const char* path : {"/proc/version",
                           "/proc/cmdline",
                           "/proc/sys/kernel/tainted",
                           "/proc/sys/kernel/core_pattern",
                           "/proc/sys/kernel/modprobe",
                           "/proc/sys/kernel/hotplug",
                           "/proc/sys/kernel/ftrace_enabled",
                           "/proc/sys/kernel/unprivileged_bpf_disabled",
                           "/proc/sys/kernel/kptr_restrict",
                           "/proc/sys/kernel/yama/ptrace_scope",
                           "/proc/sys/net/ipv4/ip_forward",
                           "/proc/sys/net/ipv6/conf/all/forwarding",
                           "/proc/meminfo",
                           "/proc/loadavg",
                           "/proc/uptime",
                           "/proc/swaps",
                           "/proc/partitions",
                           "/sys/kernel/security/lockdown",
                           "/sys/kernel/tracing/kprobe_events",
                           "/sys/kernel/tracing/uprobe_events",
                           "/sys/kernel/tracing/enabled_functions",
                           "/sys/kernel/debug/kprobes/list"})
    Text(evidence, host, path);
  evidence.At("/proc/kallsyms");
  const auto symbols = host.Read("/proc/kallsyms", kKallsyms);
  Row row;
  row["what"] = "kallsyms";
  if (symbols) row["sha256"] = HexEncode(AsBytes(Sha256Of(*symbols)));
  if (symbols) row["bytes"] = symbols->size();
  evidence.Add("kernel", row);
  KernelLog(evidence);
}

void CollectBpf(Evidence& evidence) {
  ForEachId(evidence, bpf_prog_get_next_id, ProgramRow, "BPF programs");
  ForEachId(evidence, bpf_map_get_next_id, MapRow, "BPF maps");
  ForEachId(evidence, bpf_link_get_next_id, LinkRow, "BPF links");
}

std::vector<Row> UtmpRows(std::string_view bytes, std::size_t limit) {
  std::vector<Row> rows;
  for (; bytes.size() >= sizeof(utmp) && rows.size() < limit; bytes.remove_prefix(sizeof(utmp))) {
    utmp entry{};
    std::memcpy(&entry, bytes.data(), sizeof entry);
    if (entry.ut_type == EMPTY) continue;
    Row row;
    row["type"] = entry.ut_type;
    row["pid"] = entry.ut_pid;
    row["line"] = RowText({entry.ut_line, strnlen(entry.ut_line, sizeof entry.ut_line)});
    row["user"] = RowText({entry.ut_user, strnlen(entry.ut_user, sizeof entry.ut_user)});
    row["host"] = RowText({entry.ut_host, strnlen(entry.ut_host, sizeof entry.ut_host)});
    row["time_s"] = entry.ut_tv.tv_sec;
    const bool v4 =
        entry.ut_addr_v6[1] == 0 && entry.ut_addr_v6[2] == 0 && entry.ut_addr_v6[3] == 0;
    std::array<char, INET6_ADDRSTRLEN> address{};
    inet_ntop(v4 ? AF_INET : AF_INET6, entry.ut_addr_v6, address.data(), address.size());
    row["address"] = address.data();
    rows.push_back(std::move(row));
  }
  return rows;
}

void CollectSessions(Evidence& evidence, const HostFiles& host) {
  const auto utmp_text = host.Read("/run/utmp", kText);
  if (!utmp_text) evidence.Skip("/run/utmp", utmp_text.error().message);
  for (Row& row : UtmpRows(utmp_text.value_or(""), kMaxSessions)) {
    row["from"] = "utmp";
    evidence.Add("sessions", row);
  }
  for (const std::string directory : {"/run/systemd/sessions", "/run/systemd/users"}) {
    bool cut = false;
    for (const std::string& name :
         host.List(directory, kMaxSessions, &cut).value_or(std::vector<std::string>())) {
      const std::string path = std::string(directory).append("/").append(name);
      evidence.At(path);
      const auto text = host.Read(path, kText);
      if (!text) continue;  // a FIFO beside each session
      Row row;
      row["from"] = "logind";
      row["file"] = RowText(path);
      row["text"] = RowText(*text);
      evidence.Add("sessions", row);
    }
  }
}

}  // namespace culprit
