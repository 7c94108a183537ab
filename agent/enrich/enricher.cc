// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/enricher.h"

#include <array>
#include <memory>
#include <variant>

#include "agent/enrich/container_id.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAncestors = 64;
constexpr std::size_t kMaxHeld = 4'096;
constexpr std::size_t kMaxUnresolved = 1'024;

bool IsSet(const ProcessKey& key) { return key.tgid != Tgid{}; }

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Hard links share an identity, so that a path which this exec did not open is taken only if its last name is the one
// that the kernel saw.
void TakePath(ProcessImage& image, const std::string& path, bool opened_it) {
  if (!opened_it && !image.exe.empty() && BaseName(image.exe) != BaseName(path)) return;
  image.exe = path;
  image.exe_source = ExePathSource::kFanotify;
}

}  // namespace

Enricher::Enricher(const Uuid& boot_id, const EnrichLimits& limits, UserNames& users,
                   EnrichSink& sink)
    : boot_id_(boot_id),
      limits_(limits),
      users_(users),
      sink_(sink),
      table_(limits.max_processes),
      executables_(limits.max_executables) {}

void Enricher::Apply(const Event& event) {
  std::visit(
      [this](const auto& e) {
        if (first_event_ == BootTime{}) first_event_ = e.at;
        On(e);
      },
      event);
}

void Enricher::Tick(BootTime now) {
  while (!held_.empty() && held_.front().first + limits_.hash_wait <= now) {
    Process* process = table_.Find(held_.front().second);
    held_.pop_front();
    if (process != nullptr) Define(*process);
  }
  table_.Expire(now - limits_.grace);
  counters_.processes_evicted = table_.evicted();
  counters_.executables_evicted = executables_.evicted();
  if (counters_.processes_evicted != reported_evictions_) {
    reported_evictions_ = counters_.processes_evicted;
    sink_.OnLoss(LossCause::kAgentTableFull, "processes", reported_evictions_, now);
  }
}

void Enricher::SetAgentTgids(const std::vector<Tgid>& tgids) {
  agent_tgids_ = {tgids.begin(), tgids.end()};
  for (const Tgid tgid : tgids) {
    Process* process = table_.FindLive(tgid);
    if (process == nullptr || process->is_agent) continue;
    process->is_agent = true;
    AmendIfSent(*process);
  }
}

void Enricher::ForgetSent() {
  const std::uint32_t before = epoch_++;
  table_.ForEach([this, before](Process& process) {
    if (process.sent_epoch == before && process.ended == BootTime{}) Define(process);
  });
}

Process& Enricher::Insert(const ProcessKey& key, Uid uid) {
  Process& process = table_.Insert(key, uid);
  if (process.id == ProcessId{}) process.id = MakeProcessId(boot_id_, key);
  if (agent_tgids_.contains(key.tgid)) process.is_agent = true;
  return process;
}

void Enricher::On(const ExecEvent& event) {
  if (!IsSet(event.key)) return;
  Process* known = table_.Find(event.key);
  // A later sweep knows less than the exec or fork that was seen.
  if (known != nullptr && !known->placeholder && event.from_iterator) return;

  ProcessKey parent = event.parent;
  bool over_parent = false;
  bool agent = false;
  if (IsSet(event.previous)) {
    Process* previous = table_.Find(event.previous);
    if (previous != nullptr) {
      agent = previous->is_agent;
      // fork + exec is one step of ancestry, unless the child was charged with something in between.
      over_parent = !previous->forked || previous->sent_epoch != 0;
      parent = over_parent ? event.previous : previous->parent_key;
      table_.Retire(*previous, event.at);
    } else if (!IsSet(parent)) {
      over_parent = true;
      parent = event.previous;
    }
  }
  Process& process = Insert(event.key, event.uid);
  Fill(process, event);
  process.parent_key = parent;
  process.parent = IsSet(parent) ? MakeProcessId(boot_id_, parent) : ProcessId{};
  process.execed_over_parent = over_parent;
  process.is_agent = process.is_agent || agent;
  const bool complete = JoinExecutable(process);
  if (process.sent_epoch != 0) {
    AmendIfSent(process);
  } else if (complete || held_.size() >= kMaxHeld) {
    // Kernel threads are defined only if something refers to them.
    if (!process.kernel_thread) Define(process);
  } else {
    held_.emplace_back(event.at, event.key);
  }
}

void Enricher::Fill(Process& process, const ExecEvent& event) {
  auto image = std::make_shared<ProcessImage>();
  image->exe = event.path;
  image->exe_source = event.path.empty() ? ExePathSource::kNone : ExePathSource::kDentry;
  image->argv = event.argv;
  image->argv_truncated = event.argv_truncated;
  image->cgroup = event.cgroup;
  image->container_id = ContainerIdFromCgroup(event.cgroup);
  if (event.exe.inode != 0) image->exe_file = event.exe;
  image->exe_deleted = event.exe_deleted;
  image->exe_memfd = event.memfd;
  process.image = std::move(image);
  process.comm = event.comm;
  process.uid = event.uid;
  process.euid = event.euid;
  process.gid = event.gid;
  process.login_uid = event.login_uid;
  process.session_id = event.session_id;
  process.netns = event.netns;
  process.cgroup_id = event.cgroup_id;
  process.exec_at = event.from_iterator ? BootTime{} : event.at;
  process.preexisting = event.from_iterator && event.key.start <= first_event_;
  process.kernel_thread = event.kernel_thread;
  process.placeholder = false;
  process.forked = false;
}

bool Enricher::JoinExecutable(Process& process) {
  ProcessImage& image = *process.image;
  if (!image.exe_file) return true;
  const ExeEntry& entry = executables_.Get(*image.exe_file);
  if (entry.path.empty()) {
    WaitForHash(process);
    return false;
  }
  TakePath(image, entry.path, false);
  image.exe_sha256 = entry.sha256;
  return true;
}

void Enricher::WaitForHash(Process& process) {
  if (process.awaits_hash || !process.image->exe_file || process.image->exe_sha256) return;
  ExeEntry& entry = executables_.Get(*process.image->exe_file);
  if (!entry.path.empty()) return;
  process.awaits_hash = true;
  ExeCache::Wait(entry, process.key);
}

void Enricher::On(const ForkEvent& event) {
  if (!IsSet(event.child)) return;
  const Process* known = table_.Find(event.child);
  if (known != nullptr && !known->placeholder) return;

  // Copied before the insertion, which may evict the parent.
  std::shared_ptr<ProcessImage> image;
  Uid euid = event.uid;
  std::uint32_t gid = 0;
  bool agent = false;
  ProcessId parent_id;
  if (const Process* parent = table_.Find(event.parent); parent != nullptr) {
    parent_id = parent->id;
    image = parent->image;
    euid = parent->euid;
    gid = parent->gid;
    agent = parent->is_agent;
    if (parent->cgroup_id != event.cgroup_id) {  // clone into another cgroup: its name is not known
      image = std::make_shared<ProcessImage>(*image);
      image->cgroup.clear();
      image->container_id.clear();
    }
  }
  Process& child = Insert(event.child, event.uid);
  child.image = image != nullptr ? std::move(image) : std::make_shared<ProcessImage>();
  child.parent_key = event.parent;
  if (parent_id == ProcessId{} && IsSet(event.parent)) {
    parent_id = MakeProcessId(boot_id_, event.parent);
  }
  child.parent = parent_id;
  child.comm = event.comm;
  child.uid = event.uid;
  child.euid = euid;
  child.gid = gid;
  child.login_uid = event.login_uid;
  child.session_id = event.session_id;
  child.netns = event.netns;
  child.cgroup_id = event.cgroup_id;
  child.forked = true;
  child.execed_over_parent = false;
  child.placeholder = false;
  child.is_agent = child.is_agent || agent;
  AmendIfSent(child);
}

void Enricher::On(const ExitEvent& event) {
  agent_tgids_.erase(event.key.tgid);
  Process* process = table_.Find(event.key);
  if (process == nullptr) {
    ++counters_.unknown_exits;
    return;
  }
  if (process->exit_known) return;
  process->exit_known = true;
  process->wait_status = event.wait_status;
  table_.Retire(*process, event.at);
  process->ended = event.at;
  if (Sent(*process)) sink_.OnExit({process->id, event.at, event.wait_status});
}

void Enricher::On(const FlowEvent& event) {
  const bool kernel = (event.flags & CULPRIT_FLOW_KERNEL) != 0 && !IsSet(event.owner);
  const Owner owner = kernel ? ResolveKernel()
                             : Resolve(event.owner, event.comm, event.uid, event.netns);
  if (owner.id == ProcessId{}) ++counters_.unknown_owners;
  Owner creator = owner;
  if (!kernel && event.creator != event.owner) {
    // Neither name nor user of another creator is in the record.
    creator = Resolve(event.creator, {}, kNoUid, event.netns);
  }
  sink_.OnFlow({event, owner.id, creator.id, owner.is_agent});
}

void Enricher::On(const CountersEvent& event) {
  const Owner owner = Resolve(event.key, event.comm, event.uid, 0);
  if (owner.id == ProcessId{}) return;
  CounterFacts facts;
  facts.process = owner.id;
  facts.at = event.at;
  facts.tcp_attempts = event.tcp_attempts;
  facts.outcome = event.outcome;
  facts.accepts = event.accepts;
  facts.tx_wire_bytes = event.tx_wire_bytes;
  facts.rx_wire_bytes = event.rx_wire_bytes;
  facts.tx_packets = event.tx_packets;
  facts.rx_packets = event.rx_packets;
  facts.suppressed_flows = event.suppressed_flows;
  sink_.OnCounters(facts);
}

void Enricher::On(const LostEvent& event) {
  struct Source {
    culprit_stat stat;
    LossCause cause;
    std::string_view name;
  };
  static constexpr std::array<Source, 8> kSources{{
      {CULPRIT_STAT_RING_FULL_EXEC, LossCause::kRingFull, "exec"},
      {CULPRIT_STAT_RING_FULL_FORK, LossCause::kRingFull, "fork"},
      {CULPRIT_STAT_RING_FULL_EXIT, LossCause::kRingFull, "exit"},
      {CULPRIT_STAT_RING_FULL_FLOW, LossCause::kRingFull, "flow"},
      {CULPRIT_STAT_OWNER_STORAGE_FAILED, LossCause::kSocketStorage, "owner"},
      {CULPRIT_STAT_FLOW_STORAGE_FAILED, LossCause::kSocketStorage, "flow"},
      {CULPRIT_STAT_PEER_TABLE_FULL, LossCause::kPeerTableFull, "peers"},
      {CULPRIT_STAT_PROCESS_TABLE_FULL, LossCause::kProcessTableFull, "processes"},
  }};
  for (const Source& source : kSources) {
    const std::uint64_t count = event.stat[source.stat];
    if (count != 0) sink_.OnLoss(source.cause, source.name, count, event.at);
  }
}

void Enricher::On(const ExeHashEvent& event) {
  if (event.path.empty()) return;
  ExeEntry& entry = executables_.Get(event.exe);
  entry.path = event.path;
  if (event.hashed) entry.sha256 = event.sha256;
  const std::vector<ProcessKey> waiting = std::exchange(entry.waiting, {});
  for (const ProcessKey& key : waiting) {
    Process* process = table_.Find(key);
    if (process == nullptr || process->image->exe_file != event.exe) continue;
    process->awaits_hash = false;
    TakePath(*process->image, event.path, key.tgid == event.opened_by);
    if (event.hashed) process->image->exe_sha256 = event.sha256;
    if (process->sent_epoch != 0) {
      AmendIfSent(*process);
    } else if (!process->forked && !process->kernel_thread) {
      Define(*process);  // the hold is over early; Tick finds it sent
    }
  }
}

void Enricher::On(const ProcfsEvent& event) {
  constexpr std::chrono::nanoseconds kTickTolerance = std::chrono::milliseconds(20);
  constexpr std::string_view kDeleted = " (deleted)";
  Process* process = table_.FindLive(event.tgid);
  if (process == nullptr) return;
  const auto distance = process->key.start - event.start;
  if (distance > kTickTolerance || distance < -kTickTolerance) {
    ++counters_.procfs_mismatches;
    return;
  }
  std::string_view exe = event.exe;
  if (exe.ends_with(kDeleted)) exe.remove_suffix(kDeleted.size());
  const ProcessImage& known = *process->image;
  if (!exe.empty() && !known.exe.empty() && BaseName(exe) != BaseName(known.exe)) {
    // The process has gone on to another image between the record and the reading.
    ++counters_.procfs_mismatches;
    return;
  }
  // Children that share the image keep theirs: what procfs says holds for this process.
  auto image = std::make_shared<ProcessImage>(known);
  if (!exe.empty() && (image->exe_source == ExePathSource::kNone ||
                       image->exe_source == ExePathSource::kDentry)) {
    image->exe = std::string(exe);
    image->exe_source = ExePathSource::kProcfs;
  }
  // Kept if there: a process can rewrite what procfs shows, not what the kernel copied at exec.
  if (image->argv.empty()) image->argv = event.argv;
  if (image->cwd.empty()) image->cwd = event.cwd;
  if (image->container_id.empty()) image->container_id = event.container_id;
  const bool changed = image->exe != known.exe || image->exe_source != known.exe_source ||
                       image->argv != known.argv || image->cwd != known.cwd ||
                       image->container_id != known.container_id;
  if (!changed) return;
  process->image = std::move(image);
  AmendIfSent(*process);
}

Enricher::Owner Enricher::Resolve(const ProcessKey& key, const std::string& comm,
                                  Uid uid, std::uint32_t netns) {
  if (!IsSet(key)) return {};
  Process* process = table_.Find(key);
  if (process == nullptr) {
    process = &MakePlaceholder(key, comm, uid, netns);
  } else if (process->placeholder && process->comm.empty() && !comm.empty()) {
    process->comm = comm;
    process->uid = process->euid = uid;
    AmendIfSent(*process);
  }
  Define(*process);
  return {process->id, process->is_agent};
}

Process& Enricher::MakePlaceholder(const ProcessKey& key, const std::string& comm, Uid uid,
                                   std::uint32_t netns) {
  ++counters_.placeholders;
  // The same task ran an older image that is known: that one was exec'ed over. All else stays unknown.
  ProcessKey parent;
  if (const Process* live = table_.FindLive(key.tgid);
      live != nullptr && live->key.start == key.start && live->key.exec_id < key.exec_id) {
    parent = live->key;
  }
  Process& process = Insert(key, uid);
  process.image = std::make_shared<ProcessImage>();
  process.comm = comm;
  process.uid = process.euid = uid;
  process.netns = netns;
  process.placeholder = true;
  process.parent_key = parent;
  process.execed_over_parent = IsSet(parent);
  process.parent = IsSet(parent) ? MakeProcessId(boot_id_, parent) : ProcessId{};
  if (unresolved_.size() < kMaxUnresolved) unresolved_.push_back(key.tgid);
  return process;
}

Enricher::Owner Enricher::ResolveKernel() {
  const ProcessId id = MakeProcessId(boot_id_, ProcessKey{});
  if (kernel_epoch_ != epoch_) {
    kernel_epoch_ = epoch_;
    ProcessFacts facts;
    facts.id = id;
    facts.comm = "kernel";
    facts.preexisting = true;
    ++counters_.definitions_sent;
    sink_.OnProcess(std::move(facts));
  }
  return {id, false};
}

void Enricher::Define(Process& process) {
  if (Sent(process)) return;
  std::array<Process*, kMaxAncestors> chain{};
  std::size_t depth = 0;
  for (Process* p = &process; p != nullptr && !Sent(*p) && depth < chain.size();
       p = IsSet(p->parent_key) ? table_.Find(p->parent_key) : nullptr) {
    chain[depth++] = p;
  }
  while (depth > 0) {
    Process& next = *chain[--depth];
    if (!Sent(next)) Send(next);  // a hostile chain may name one process twice
  }
}

void Enricher::AmendIfSent(Process& process) {
  if (process.sent_epoch == 0) return;
  ++counters_.amendments_sent;
  Send(process);
}

void Enricher::Send(Process& process) {
  const bool first = !Sent(process);
  process.sent_epoch = epoch_;
  if (first) ++counters_.definitions_sent;
  WaitForHash(process);
  sink_.OnProcess(Facts(process));
  if (first && process.exit_known) {
    sink_.OnExit({process.id, process.ended, process.wait_status});
  }
}

ProcessFacts Enricher::Facts(const Process& process) {
  const ProcessImage& image = *process.image;
  ProcessFacts facts;
  facts.id = process.id;
  facts.parent = process.parent;
  facts.key = process.key;
  facts.exec_at = process.exec_at;
  facts.exe = image.exe;
  facts.exe_source = image.exe_source;
  facts.comm = process.comm;
  facts.argv = image.argv;
  facts.argv_truncated = image.argv_truncated;
  facts.uid = process.uid;
  facts.euid = process.euid;
  facts.gid = process.gid;
  if (process.uid != kNoUid) facts.user = users_.NameOf(process.uid);
  facts.login_uid = process.login_uid;
  if (process.login_uid != kNoUid) facts.login_user = users_.NameOf(process.login_uid);
  facts.session_id = process.session_id;
  facts.container_id = image.container_id;
  facts.cgroup = image.cgroup;
  facts.exe_file = image.exe_file;
  facts.exe_sha256 = image.exe_sha256;
  facts.exe_deleted = image.exe_deleted;
  facts.exe_memfd = image.exe_memfd;
  facts.preexisting = process.preexisting;
  facts.is_agent = process.is_agent;
  facts.forked = process.forked;
  facts.execed_over_parent = process.execed_over_parent;
  facts.netns = process.netns;
  facts.cwd = image.cwd;
  return facts;
}

}  // namespace culprit
