// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "agent/source/mounts.h"
#include "bpf/abi.h"
#include "common/file.h"
#include "culprit.skel.h"

namespace culprit {
namespace {

constexpr int kCapNetAdmin = 12, kCapSysAdmin = 21, kCapPerfmon = 38, kCapBpf = 39;
constexpr std::size_t kMaxTextBytes = std::size_t{16} << 20;

// libbpf's messages, kept so that an error can quote the last one. Written and read by the one
// loading thread.
std::string* g_libbpf_log = nullptr;

__attribute__((format(printf, 2, 0))) int KeepLog(libbpf_print_level level, const char* format,
                                                  va_list args) {
  if (level == LIBBPF_DEBUG || g_libbpf_log == nullptr) return 0;
  char line[512];
  vsnprintf(line, sizeof(line), format, args);
  std::string_view text(line);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.find("failed to load") != std::string_view::npos || g_libbpf_log->empty()) {
    *g_libbpf_log = text.substr(0, text.find('\n'));
  }
  return 0;
}

std::string LastLog() {
  return g_libbpf_log == nullptr || g_libbpf_log->empty() ? "no message from libbpf"
                                                          : *g_libbpf_log;
}

bool HasCapabilities() {
  const std::string status = ReadWholeFile("/proc/self/status", kMaxTextBytes).value_or("");
  const std::size_t at = status.find("CapEff:");
  if (at == std::string::npos) return geteuid() == 0;
  const unsigned long long caps = std::strtoull(status.c_str() + at + 7, nullptr, 16);
  const auto has = [caps](int cap) { return ((caps >> cap) & 1U) != 0; };
  return has(kCapSysAdmin) || (has(kCapBpf) && has(kCapPerfmon) && has(kCapNetAdmin));
}

Status CheckHost(const BpfSourceOptions& options) {
  if (!HasCapabilities()) {
    return Error{Code::kPermissionDenied,
                 "kernel programs need root, or CAP_BPF with CAP_PERFMON and CAP_NET_ADMIN: run as "
                 "root, or in a container with --privileged"};
  }
  if (access(options.btf_path.c_str(), R_OK) != 0) {
    return FailedPrecondition(
        "no kernel type information at " + options.btf_path +
        ": the kernel must be built with CONFIG_DEBUG_INFO_BTF=y (Amazon "
        "Linux 2023, Debian 11 and Ubuntu 20.10 or later are), and /sys must be "
        "mounted");
  }
  return Ok();
}

Result<UniqueFd> OpenCgroup(const BpfSourceOptions& options) {
  std::string path = options.cgroup_path;
  if (path.empty()) {
    TRY(path, FindCgroup2(ReadWholeFile(options.mountinfo_path, kMaxTextBytes).value_or("")));
  }
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError("open cgroup2 directory " + path);
  return fd;
}

// Records that the programs write must be laid out as the C++ side was compiled.
Status CheckRecordSizes(bpf_object* object) {
  const btf* types = bpf_object__btf(object);
  const std::pair<const char*, std::size_t> records[] = {
      {"culprit_exec", sizeof(culprit_exec)},
      {"culprit_fork", sizeof(culprit_fork)},
      {"culprit_exit", sizeof(culprit_exit)},
      {"culprit_flow", sizeof(culprit_flow)},
      {"culprit_counters", sizeof(culprit_counters)},
      {"culprit_peer_key", sizeof(culprit_peer_key)},
      {"culprit_forward_key", sizeof(culprit_forward_key)},
      {"culprit_interface", sizeof(culprit_interface)},
      {"culprit_unsent_key", sizeof(culprit_unsent_key)},
  };
  for (const auto& [name, size] : records) {
    const int id = btf__find_by_name_kind(types, name, BTF_KIND_STRUCT);
    const btf_type* type = id > 0 ? btf__type_by_id(types, static_cast<__u32>(id)) : nullptr;
    if (type == nullptr || type->size != size) {
      return Internal(std::string("record ") + name +
                      " differs between kernel programs and agent: rebuild both");
    }
  }
  return Ok();
}

class Loader {
 public:
  explicit Loader(const BpfSourceOptions& options) : options_(options) {}

  Result<LoadedPrograms> Run() {
    for (const Hook& hook : AllHooks()) hooks_.push_back(Judge(hook));
    auto loaded = TryLoad(nullptr);
    if (!loaded) {
      TRY_VOID(ProbeEach());
      loaded = TryLoad(nullptr);
    }
    if (!loaded) return std::move(loaded).error();
    for (HookStatus& hook : hooks_) {
      if (!hook.required || hook.active) continue;
      if (StandInActive(hook.name)) {
        hook.required = false;  // its work is done
      } else {
        return FailedPrecondition("this kernel refuses the hook " + hook.name + ": " + hook.note);
      }
    }
    LoadedPrograms result;
    result.skeleton = std::move(*loaded);
    result.hooks = hooks_;
    result.has_send_length = Wanted("sock_send_length");
    return result;
  }

 private:
  bool Disabled(std::string_view name) const {
    return std::find(options_.disabled_hooks.begin(), options_.disabled_hooks.end(), name) !=
           options_.disabled_hooks.end();
  }
  bool Wanted(std::string_view name) const {
    return std::any_of(hooks_.begin(), hooks_.end(),
                       [name](const HookStatus& hook) { return hook.name == name && hook.active; });
  }

  // Whether another does its work, or the configuration will have it so.
  bool StandInActive(std::string_view name) const {
    return Disabled(name) ||
           std::any_of(AllHooks().begin(), AllHooks().end(), [&](const Hook& hook) {
             return hook.stands_in_for == name && Wanted(hook.name);
           });
  }

  // Before any load: switched off, unknown to this kernel, or not needed.
  HookStatus Judge(const Hook& hook) {
    HookStatus status{hook.name, true, hook.required, ""};
    const std::string stand_in = std::string("; ") + hook.stand_in;
    if (Disabled(hook.name)) {
      status.active = false;
      status.note = "switched off by configuration" + stand_in;
    } else if (hook.kind == HookKind::kTracepoint && !TracepointExists(hook.tracepoint)) {
      status.active = false;
      status.note = std::string("this kernel has no tracepoint ") + hook.tracepoint + stand_in;
    }
    return status;
  }

  bool TracepointExists(const char* tracepoint) {
    if (kernel_types_ == nullptr)
      kernel_types_.reset(btf__parse(options_.btf_path.c_str(), nullptr));
    if (kernel_types_ == nullptr) return true;  // the load will say
    const std::string name = std::string("btf_trace_") + tracepoint;
    return btf__find_by_name_kind(kernel_types_.get(), name.c_str(), BTF_KIND_TYPEDEF) > 0;
  }

  // Loads the hooks still wanted, or `only` that one.
  Result<Skeleton> TryLoad(const char* only) {
    kernel_types_.reset();  // several megabytes that libbpf is about to parse again
    log_.clear();
    g_libbpf_log = &log_;
    libbpf_set_print(KeepLog);
    Skeleton skeleton(culprit_bpf::open(nullptr));
    if (skeleton == nullptr) return Internal("open kernel programs: " + LastLog());
    TRY_VOID(CheckRecordSizes(skeleton->obj));
    skeleton->rodata->has_send_length = Wanted("sock_send_length");
    timespec tick{};  // of the coarse clock = one jiffy
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    skeleton->rodata->tick_ns = static_cast<__u64>(tick.tv_nsec);
    skeleton->rodata->has_task_btf =
        libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_current_task_btf,
                                nullptr) == 1;
    if (options_.processes_per_uid != 0) {
      skeleton->rodata->processes_per_uid = options_.processes_per_uid;
    }
    auto& seed = skeleton->rodata->hash_seed;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) return ErrnoError("random hash seed");
    bool walks = false;
    for (const Hook& hook : AllHooks()) {
      bpf_program* program = bpf_object__find_program_by_name(skeleton->obj, hook.program);
      if (program == nullptr) return Internal(std::string("no program ") + hook.program);
      const bool load = only != nullptr ? std::string_view(only) == hook.name
                                        : Wanted(hook.name) && (hook.stands_in_for.empty() ||
                                                                !Wanted(hook.stands_in_for));
      bpf_program__set_autoload(program, load);
      walks = walks || (load && hook.kind == HookKind::kWalk);
    }
    bpf_map__set_autocreate(skeleton->maps.walked, walks);
    const int err = culprit_bpf::load(skeleton.get());
    g_libbpf_log = nullptr;
    if (err == 0) return skeleton;
    g_libbpf_log = &log_;
    std::string text = LastLog();
    g_libbpf_log = nullptr;
    if (err == -EPERM) text += " (memory lock limit or a security module: try ulimit -l unlimited)";
    return ErrnoError("load kernel programs: " + text, -err);
  }

  Status ProbeEach() {
    for (std::size_t i = 0; i < hooks_.size(); ++i) {
      if (!hooks_[i].active) continue;
      auto probe = TryLoad(hooks_[i].name.c_str());
      if (probe) continue;
      hooks_[i].active = false;
      hooks_[i].note = probe.error().code == Code::kPermissionDenied
                           ? "this kernel refuses it (Operation not permitted)"
                           : probe.error().message;
      hooks_[i].note += std::string("; ") + AllHooks()[i].stand_in;
    }
    return Ok();
  }

  struct BtfFree {
    void operator()(btf* types) const { btf__free(types); }
  };

  const BpfSourceOptions& options_;
  std::vector<HookStatus> hooks_;
  std::unique_ptr<btf, BtfFree> kernel_types_;
  std::string log_;
};

}  // namespace

void SkeletonDestroy::operator()(culprit_bpf* skeleton) const { culprit_bpf::destroy(skeleton); }

bool LoadedPrograms::Active(std::string_view name) const {
  return std::any_of(hooks.begin(), hooks.end(),
                     [name](const HookStatus& hook) { return hook.name == name && hook.active; });
}

const std::vector<Hook>& AllHooks() {
  using enum HookKind;
  static const std::vector<Hook> hooks = {
      {"sched_process_fork", "culprit_fork", kTracepoint, "sched_process_fork", true, ""},
      {"sched_process_exec", "culprit_exec", kTracepoint, "sched_process_exec", true, ""},
      {"sched_process_exit", "culprit_exit", kTracepoint, "sched_process_exit", true, ""},
      {"cgroup_skb/egress", "culprit_egress", kCgroup, nullptr, true, ""},
      {"cgroup_skb/ingress", "culprit_ingress", kCgroup, nullptr, true, ""},
      {"sockops", "culprit_sockops", kCgroup, nullptr, true, ""},
      {"connect4", "culprit_connect4", kCgroup, nullptr, true, ""},
      {"connect6", "culprit_connect6", kCgroup, nullptr, true, ""},
      {"sock_create", "culprit_sock_create", kCgroup, nullptr, false,
       "owners come from connect() and from who sends"},
      {"sock_release", "culprit_sock_release", kCgroup, nullptr, false,
       "UDP and raw flows end when they have been idle"},
      {"inet_sock_set_state", "culprit_set_state", kTracepoint, "inet_sock_set_state", false,
       "failed connects are seen at the end of the socket, without errno; listeners at the sweep"},
      {"tcp_destroy_sock", "culprit_tcp_destroy", kTracepoint, "tcp_destroy_sock", false,
       "ends of TCP flows are not told, their last counters are those of the sweep before"},
      {"sock_send_length", "culprit_send_length", kTracepoint, "sock_send_length", false,
       "owner = creator for TCP and connected UDP, sender of unconnected UDP by sendmsg4/6"},
      {"sock_recv_length", "culprit_recv_length", kTracepoint, "sock_recv_length", false,
       "who only receives on an inherited socket is not noticed"},
      {"net_dev_queue", "culprit_net_dev_queue", kTracepoint, "net_dev_queue", false,
       "frames of packet sockets are known by their length alone, where sock_send_length is; "
       "forwarded packets and the kernel's own are in no flow and not in the ledger"},
      {"sendmsg4", "culprit_sendmsg4", kCgroup, nullptr, false,
       "senders of a shared UDP socket count as one", "sock_send_length"},
      {"sendmsg6", "culprit_sendmsg6", kCgroup, nullptr, false,
       "senders of a shared UDP socket count as one", "sock_send_length"},
      {"iter/task", "culprit_iter_task", kIterator, nullptr, false,
       "processes older than the agent come from /proc"},
      {"iter/task_file", "culprit_iter_file", kIterator, nullptr, false,
       "sockets older than the agent have no owner until they send"},
      {"iter/bpf_sk_storage_map", "culprit_iter_flows", kIterator, nullptr, true,
       "flows are read from the sockets that processes have open"},
      {"iter/open_sockets", "culprit_iter_open", kIterator, nullptr, false,
       "flows are told at their events alone", "iter/bpf_sk_storage_map"},
      {"iter/peers", "culprit_iter_peers", kIterator, nullptr, true, "a walk reads the table"},
      {"walk/peers", "culprit_walk_peers", kWalk, nullptr, false,
       "flows of unconnected sockets are not read", "iter/peers"},
      {"iter/forwards", "culprit_iter_forwards", kIterator, nullptr, false,
       "a walk reads the table"},
      {"walk/forwards", "culprit_walk_forwards", kWalk, nullptr, false,
       "forwarded flows are told when they begin, without their later counters", "iter/forwards"},
      {"iter/processes", "culprit_iter_processes", kIterator, nullptr, true,
       "a walk reads the table"},
      {"walk/processes", "culprit_walk_processes", kWalk, nullptr, false,
       "counters of processes are not read", "iter/processes"},
  };
  return hooks;
}

bpf_program* FindProgram(const LoadedPrograms& loaded, const Hook& hook) {
  return bpf_object__find_program_by_name(loaded.skeleton->obj, hook.program);
}

Result<std::string> FindCgroup2(std::string_view mountinfo) {
  bool cgroup1 = false;
  for (const Mount& mount : ParseMountinfo(mountinfo)) {
    if (mount.fs_type == "cgroup2") return mount.mount_point;
    cgroup1 = cgroup1 || mount.fs_type == "cgroup";
  }
  return FailedPrecondition(std::string(cgroup1 ? "only cgroup v1 is mounted here"
                                                : "no cgroup file system is mounted here") +
                            ": the agent attaches to a cgroup2 root; mount one (mkdir -p "
                            "/run/culprit/cgroup2 && mount -t "
                            "cgroup2 none /run/culprit/cgroup2) or set kernel.cgroup_path");
}

Result<LoadedPrograms> LoadPrograms(const BpfSourceOptions& options) {
  TRY_VOID(CheckHost(options));
  TRY(UniqueFd cgroup, OpenCgroup(options));
  TRY(LoadedPrograms loaded, Loader(options).Run());
  loaded.cgroup = std::move(cgroup);
  return loaded;
}

}  // namespace culprit
