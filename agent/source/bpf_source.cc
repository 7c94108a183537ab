// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include "agent/source/bpf_loader.h"
#include "agent/source/bpf_neighbours.h"
#include "agent/source/bpf_sweep.h"
#include "agent/source/bpf_tables.h"
#include "agent/source/contact_filter.h"
#include "agent/source/init_process.h"
#include "agent/source/ledger_reader.h"
#include "agent/source/link_watch.h"
#include "bpf/abi.h"
#include "common/file.h"
#include "culprit.skel.h"

namespace culprit {
namespace {

constexpr auto kDrainInterval = std::chrono::milliseconds(50);
constexpr std::uint64_t kQuietTicks =
    4;  // without a record: the timer rests, the next record wakes

std::string_view AsBytes(const auto& record) {
  return {reinterpret_cast<const char*>(&record), sizeof(record)};
}

bool InInitialPidNamespace() {
  constexpr std::string_view kInitial = "pid:[4026531836]";  // PROC_PID_INIT_INO
  return ReadLink("/proc/self/ns/pid").value_or("") == kInitial;
}

// The arguments of a process that was there before us, as far as it still is.
std::size_t ReadCmdline(std::uint32_t tgid, char* out, std::size_t room) {
  UniqueFd fd(open(("/proc/" + std::to_string(tgid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return 0;
  std::size_t held = 0;
  while (held < room) {
    const ssize_t n = read(fd.get(), out + held, room - held);
    if (n <= 0) break;
    held += static_cast<std::size_t>(n);
  }
  return held;
}

class BpfSource final : public EventSource {
 public:
  explicit BpfSource(LoadedPrograms loaded) : loaded_(std::move(loaded)) {}
  ~BpfSource() override { ring_.reset(); }

  Status Init(bool measure_cost);
  Status Start(const RecordSink& sink) override;
  Result<bool> Poll(std::chrono::milliseconds timeout, const RecordSink& sink) override;
  Status Sweep(const RecordSink& sink) override;
  Status Resync(const RecordSink& sink) override;
  bool sees_all_processes() const override { return sees_all_processes_; }
  Status ReadLedger(const RecordSink& sink, const UserEventSink& devices) override;
  int poll_fd() const override { return epoll_.get(); }
  Uuid boot_id() const override { return boot_id_; }
  ClockPair ReadClock() override { return ReadClockPair(); }
  SourceFidelity fidelity() const override;
  std::vector<ProgramCost> program_costs() const override;
  LinkState CheckLinks() override;

 private:
  Status Attach(const Hook& hook);
  void DeliverProcess(std::string_view record, const RecordSink& sink);
  Status DeliverProcesses(const RecordSink& sink);
  Status DeliverLost(const RecordSink& sink) const;
  int Drain(const RecordSink& sink);
  void RunTimer(bool run);
  Status CountTicks(bool quiet);
  HookStatus& StatusOf(std::string_view name);
  static int OnRecord(void* context, void* data, std::size_t size);

  LoadedPrograms loaded_;
  std::map<std::string, Link, std::less<>> links_;
  LinkWatch watch_;
  std::unique_ptr<ring_buffer, RingFree> ring_;
  UniqueFd epoll_, timer_, stats_;
  std::uint64_t quiet_ticks_ = 0;
  BpfTables tables_{loaded_};
  LedgerReader ledger_reader_;
  std::unordered_set<ProcessKey> told_,
      told_before_;  // by this pass over all processes and the last
  bool sees_all_processes_ = false;
  std::optional<ContactFilter> contacts_;
  Uuid boot_id_;
  const RecordSink* draining_into_ = nullptr;
};

Status BpfSource::Init(bool measure_cost) {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(in, text);
  TRY(boot_id_, Uuid::Parse(text));
  ring_.reset(
      ring_buffer__new(bpf_map__fd(loaded_.skeleton->maps.events), &OnRecord, this, nullptr));
  if (ring_ == nullptr) return ErrnoError("map the ring buffer");
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_ || !timer_) return ErrnoError("create epoll and timer");
  RunTimer(true);
  for (const int fd : {timer_.get(), ring_buffer__epoll_fd(ring_.get())}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError("epoll_ctl");
  }
  // The buckets for what no entry could be made for must exist before the tables are full.
  const culprit_process_key unknown{};
  const std::vector<char> zero(bpf_map__value_size(loaded_.skeleton->maps.processes));
  bpf_map_update_elem(bpf_map__fd(loaded_.skeleton->maps.processes), &unknown, zero.data(),
                      BPF_NOEXIST);
  // The same for the share of the uids that get none of their own.
  const std::uint32_t rest_uid = 0xffffffff;
  bpf_map_update_elem(bpf_map__fd(loaded_.skeleton->maps.uids), &rest_uid, zero.data(),
                      BPF_NOEXIST);
  const bpf_map* contacts = loaded_.skeleton->maps.contacts;
  auto& variables = *loaded_.skeleton->bss;
  contacts_.emplace(bpf_map__fd(contacts),
                    std::size_t{bpf_map__max_entries(contacts)} * bpf_map__value_size(contacts),
                    variables.contact_generation, variables.contact_inserts, ReadBootClock());
  const std::uint64_t no_interface = 0;
  const culprit_interface nothing{};
  bpf_map_update_elem(bpf_map__fd(loaded_.skeleton->maps.ledger), &no_interface, &nothing,
                      BPF_NOEXIST);
  if (measure_cost) stats_.Reset(bpf_enable_stats(BPF_STATS_RUN_TIME));
  sees_all_processes_ = InInitialPidNamespace();
  malloc_trim(0);  // libbpf has just parsed the kernel's types
  return Ok();
}

HookStatus& BpfSource::StatusOf(std::string_view name) {
  for (HookStatus& hook : loaded_.hooks) {
    if (hook.name == name) return hook;
  }
  std::abort();  // names come from AllHooks() on both sides
}

Status BpfSource::Attach(const Hook& hook) {
  bpf_program* program = FindProgram(loaded_, hook);
  if (program == nullptr || !bpf_program__autoload(program)) return Ok();
  if (hook.kind == HookKind::kIterator || hook.kind == HookKind::kWalk) {
    return tables_.Attach(hook, program);
  }
  Link link(hook.kind == HookKind::kCgroup
                ? bpf_program__attach_cgroup(program, loaded_.cgroup.get())
                : bpf_program__attach(program));
  if (link == nullptr && hook.kind == HookKind::kCgroup && errno == EPERM) {
    return FailedPrecondition(
        "another program holds this hook of the cgroup for itself alone (bpftool cgroup show "
        "CGROUP): detach it, or have it attached with \"multi\"");
  }
  if (link == nullptr) return ErrnoError("attach");
  links_[hook.name] = std::move(link);
  return Ok();
}

Status BpfSource::Start(const RecordSink& sink) {
  // Live hooks first, then what was there: nothing can fall between.
  for (const Hook& hook : AllHooks()) {
    HookStatus& status = StatusOf(hook.name);
    if (!status.active) continue;
    if (hook.kind == HookKind::kCgroup) {
      status.note = NeighboursOf(FindProgram(loaded_, hook), loaded_.cgroup.get());
    }
    if (auto attached = Attach(hook); !attached) {
      if (hook.required) return std::move(attached).error().Context(hook.name);
      status.active = false;
      status.note = attached.error().message + "; " + hook.stand_in;
    }
  }
  // A stand-in that nothing has to stand in for is no gap in what is seen.
  for (const Hook& hook : AllHooks()) {
    if (bpf_program__autoload(FindProgram(loaded_, hook))) continue;
    std::erase_if(loaded_.hooks, [&](const HookStatus& status) {
      return status.active && status.name == hook.name;
    });
  }
  for (const auto& [name, link] : links_) watch_.Add(name, bpf_link__fd(link.get()));
  tables_.ForEachLink([this](const std::string& name, const bpf_link* link) {
    watch_.Add(name, bpf_link__fd(link));
  });
  TRY_VOID(Resync(sink));
  malloc_trim(0);
  return Ok();
}

Status BpfSource::Resync(const RecordSink& sink) {
  TRY_VOID(DeliverProcesses(sink));
  return tables_.Read("iter/task_file",
                      [&](culprit_header&, std::string_view record) { sink(record); });
}

Status BpfSource::ReadLedger(const RecordSink& sink, const UserEventSink& devices) {
  const bpf_map* map = bpf_object__find_map_by_name(loaded_.skeleton->obj, "ledger");
  return map == nullptr ? Ok() : ledger_reader_.Read(bpf_map__fd(map), sink, devices);
}

// Arguments of a process that was there before are in its own memory.
void BpfSource::DeliverProcess(std::string_view record, const RecordSink& sink) {
  std::array<std::uint64_t, (sizeof(culprit_exec) + 7) / 8> room{};
  if (record.size() > sizeof(culprit_exec)) return;
  std::memcpy(room.data(), record.data(), record.size());
  auto& exec = *reinterpret_cast<culprit_exec*>(room.data());
  const ProcessKey key{Tgid{exec.key.tgid}, BootTimeFromNs(exec.key.start_boot_ns),
                       exec.key.exec_id};
  told_.insert(key);
  // Reading a file of each process is most of what a pass costs.
  if ((exec.flags & CULPRIT_EXEC_KERNEL_THREAD) == 0 && !told_before_.contains(key)) {
    exec.args_len =
        static_cast<culprit_u32>(ReadCmdline(exec.key.tgid, exec.args, CULPRIT_ARGS_LEN));
    if (exec.args_len == CULPRIT_ARGS_LEN) exec.flags |= CULPRIT_EXEC_ARGS_TRUNCATED;
  }
  exec.header.size =
      static_cast<culprit_u32>((record.size() + exec.args_len + 7) & ~std::size_t{7});
  sink({reinterpret_cast<const char*>(room.data()), exec.header.size});
}

Status BpfSource::DeliverProcesses(const RecordSink& sink) {
  told_before_ = std::exchange(told_, {});
  bool init_seen = false;
  culprit_process_key init{};
  std::uint64_t at = 0;
  TRY_VOID(tables_.Read("iter/task", [&](culprit_header& header, std::string_view record) {
    if (record.size() >= offsetof(culprit_exec, args)) {
      culprit_exec exec{};
      std::memcpy(&exec, record.data(), offsetof(culprit_exec, args));
      init_seen |= exec.key.tgid == 1;
      if (exec.parent.tgid == 1) init = exec.parent;
      at = header.boot_ns;
    }
    DeliverProcess(record, sink);
  }));
  if (!init_seen && init.tgid == 1) {
    const culprit_exec exec = ReadInitProcess(init, at);
    DeliverProcess({reinterpret_cast<const char*>(&exec), exec.header.size}, sink);
  }
  return Ok();
}

int BpfSource::OnRecord(void* context, void* data, std::size_t size) {
  auto* self = static_cast<BpfSource*>(context);
  (*self->draining_into_)({static_cast<const char*>(data), size});
  return 0;
}

int BpfSource::Drain(const RecordSink& sink) {
  draining_into_ = &sink;
  loaded_.skeleton->bss->wake_pending = 0;
  const int n = ring_buffer__consume(ring_.get());
  draining_into_ = nullptr;
  return n;
}

Result<bool> BpfSource::Poll(std::chrono::milliseconds timeout, const RecordSink& sink) {
  int n = Drain(sink);
  if (n == 0 && timeout.count() > 0) {
    epoll_event events[2];
    const int ready = epoll_wait(epoll_.get(), events, 2, static_cast<int>(timeout.count()));
    if (ready < 0 && errno != EINTR) return ErrnoError("wait for records");
    n = Drain(sink);
  }
  if (n < 0) return ErrnoError("read the ring buffer", -n);
  TRY_VOID(CountTicks(n == 0));
  // A record may have come before the programs saw that the reader sleeps.
  if (loaded_.skeleton->bss->reader_asleep != 0 && Drain(sink) > 0) RunTimer(true);
  return true;
}

void BpfSource::RunTimer(bool run) {
  itimerspec every{};
  if (run) every.it_interval.tv_nsec = std::chrono::nanoseconds(kDrainInterval).count();
  every.it_value = every.it_interval;
  timerfd_settime(timer_.get(), 0, &every, nullptr);
  loaded_.skeleton->bss->reader_asleep = run ? 0 : 1;
  quiet_ticks_ = 0;
}

Status BpfSource::CountTicks(bool quiet) {
  std::uint64_t ticks = 0;
  if (read(timer_.get(), &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
    return ErrnoError("drain timer");
  const bool asleep = loaded_.skeleton->bss->reader_asleep != 0;
  if (!quiet) {
    if (asleep) RunTimer(true);
    quiet_ticks_ = 0;
  } else if (!asleep && (quiet_ticks_ += ticks) >= kQuietTicks) {
    RunTimer(false);
  }
  return Ok();
}

Status BpfSource::Sweep(const RecordSink& sink) {
  // A record that was being written while the reader fell asleep wakes nobody.
  if (Drain(sink) > 0 && loaded_.skeleton->bss->reader_asleep != 0) RunTimer(true);
  // Flows first: reading them charges the processes, which are read last.
  TRY_VOID(tables_.Read("iter/bpf_sk_storage_map",
                        [&](culprit_header&, std::string_view record) { sink(record); }));
  TRY_VOID(SweepTables(loaded_, tables_, sink));
  TRY_VOID(contacts_->Sweep(ReadBootClock()));
  return DeliverLost(sink);
}

Status BpfSource::DeliverLost(const RecordSink& sink) const {
  culprit_lost lost{};
  lost.header.kind = CULPRIT_RECORD_LOST;
  lost.header.size = sizeof(lost);
  lost.header.boot_ns = ToNs(ReadBootClock());
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Internal("number of CPUs unknown");
  std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus));
  for (culprit_u32 i = 0; i < CULPRIT_STAT_COUNT; ++i) {
    if (bpf_map_lookup_elem(bpf_map__fd(loaded_.skeleton->maps.stats), &i, values.data()) != 0) {
      return ErrnoError("read loss counters");
    }
    for (const std::uint64_t value : values) lost.stat[i] += value;
  }
  sink(AsBytes(lost));
  return Ok();
}

SourceFidelity BpfSource::fidelity() const {
  return {loaded_.hooks, loaded_.has_send_length ? "last_sender" : "creator", "bpf"};
}

LinkState BpfSource::CheckLinks() {
  return watch_.Check([this](const std::string& name, const std::string& what) {
    HookStatus& status = StatusOf(name);
    status.active = false;
    status.note = what;
  });
}

std::vector<ProgramCost> BpfSource::program_costs() const {
  std::vector<ProgramCost> costs;
  for (const Hook& hook : AllHooks()) {
    const bpf_program* program = FindProgram(loaded_, hook);
    if (program == nullptr || bpf_program__fd(program) < 0) continue;
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) continue;
    costs.push_back({hook.name, info.run_cnt, info.run_time_ns});
  }
  return costs;
}

}  // namespace

Result<std::unique_ptr<EventSource>> OpenBpfSource(const BpfSourceOptions& options) {
  TRY(LoadedPrograms loaded, LoadPrograms(options));
  auto source = std::make_unique<BpfSource>(std::move(loaded));
  TRY_VOID(source->Init(options.measure_cost));
  return std::unique_ptr<EventSource>(std::move(source));
}

}  // namespace culprit
