// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/enricher.h"

#include <array>
#include <memory>
#include <variant>

#include "agent/enrich/container_id.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxHeld = 4'096;

// Where the kernel counts the processes of a uid that are over its share of the table; exec_id is
// the uid plus one.
bool IsOverflow(const ProcessKey& key) { return key.tgid == Tgid{} && key.exec_id != 0; }

// Hard links share an identity, so that a path which this exec did not open is taken only if its
// last name is the one that the kernel saw.
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

ProcessId Enricher::ProcessAt(Tgid tgid, BootTime at) {
  const auto began = [](const Process& process) {
    return std::max(process.exec_at, process.key.start);
  };
  Process* found = table_.FindLive(tgid);
  if (found == nullptr || began(*found) > at) {
    table_.ForEach([&](Process& process) {
      if (process.key.tgid != tgid || began(process) > at) return;
      if (found == nullptr || began(*found) > at || began(process) > began(*found))
        found = &process;
    });
  }
  if (found == nullptr || began(*found) > at) return ProcessId{};
  Define(*found);
  return found->id;
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
  if (known != nullptr && event.from_iterator) known->seen_alive = resync_;
  // A zombie: its exit was told, and it may be here until its parent asks for it.
  const bool over = event.from_iterator && event.exe.inode == 0 && !event.kernel_thread;
  if (known == nullptr && over && begun_) return;
  // A later sweep knows less than the exec or fork that was seen.
  if (known != nullptr && !known->placeholder && event.from_iterator) return;

  ProcessKey parent = event.parent;
  bool over_parent = false;
  bool agent = false;
  if (IsSet(event.previous)) {
    Process* previous = table_.Find(event.previous);
    if (previous != nullptr) {
      agent = previous->is_agent;
      // fork + exec is one step of ancestry, unless the child was charged with something in
      // between.
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
  if (event.from_iterator) {
    process.seen_alive = resync_;
    if (begun_) ++counters_.found_by_resync;
  }
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
  image.exe_package = entry.package;
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

void Enricher::On(const ResyncEvent& event) {
  if (!event.end) {
    ++resync_;
    resyncing_ = true;
    table_.ForEach([this](Process& process) { process.resync_asked = resync_; });
    return;
  }
  if (!resyncing_) return;
  resyncing_ = false;
  std::vector<ProcessKey> gone;
  table_.ForEach([&](Process& process) {
    // Those born during the pass may have been behind it; those never seen by one may be hidden
    // from all.
    if (process.ended != BootTime{} || process.resync_asked != resync_ ||
        process.seen_alive == resync_ || (process.seen_alive == 0 && !event.sees_all)) {
      return;
    }
    gone.push_back(process.key);
  });
  for (const ProcessKey& key : gone) {
    Process* process = table_.Find(key);
    const Process* live = table_.FindLive(key.tgid);
    if (live != nullptr && live != process && live->key.start == key.start) {
      table_.Retire(*process, event.at);  // it goes on as another image
    } else {
      ++counters_.exits_missed;
      On(ExitEvent{event.at, key, kWaitStatusUnknown});
    }
  }
  begun_ = true;
}

void Enricher::On(const FlowEvent& event) {
  if (event.direction == Direction::kForwarded) {  // nobody's here
    sink_.OnFlow({event, ProcessId{}, ProcessId{}});
    return;
  }
  const bool kernel = (event.flags & CULPRIT_FLOW_KERNEL) != 0 && !IsSet(event.owner);
  const Owner owner =
      kernel ? ResolveKernel() : Resolve(event.owner, event.comm, event.uid, event.netns);
  if (owner.id == ProcessId{}) ++counters_.unknown_owners;
  Owner creator = owner;
  if (!kernel && event.creator != event.owner) {
    // Neither name nor user of another creator is in the record.
    creator = Resolve(event.creator, {}, kNoUid, event.netns);
  }
  sink_.OnFlow({event, owner.id, creator.id, owner.is_agent});
}

void Enricher::On(const CountersEvent& event) {
  const Owner owner = IsOverflow(event.key) ? ResolveOverflow(event.key)
                                            : Resolve(event.key, event.comm, event.uid, 0);
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
  facts.activity = event.activity;
  sink_.OnCounters(facts);
}

void Enricher::On(const LostEvent& event) {
  struct Source {
    culprit_stat stat;
    LossCause cause;
    std::string_view name;
  };
  static constexpr std::array<Source, 11> kSources{{
      {CULPRIT_STAT_RING_FULL_EXEC, LossCause::kRingFull, "exec"},
      {CULPRIT_STAT_RING_FULL_FORK, LossCause::kRingFull, "fork"},
      {CULPRIT_STAT_RING_FULL_EXIT, LossCause::kRingFull, "exit"},
      {CULPRIT_STAT_RING_FULL_FLOW, LossCause::kRingFull, "flow"},
      {CULPRIT_STAT_OWNER_STORAGE_FAILED, LossCause::kSocketStorage, "owner"},
      {CULPRIT_STAT_FLOW_STORAGE_FAILED, LossCause::kSocketStorage, "flow"},
      {CULPRIT_STAT_PEER_TABLE_FULL, LossCause::kPeerTableFull, "peers"},
      {CULPRIT_STAT_PROCESS_TABLE_FULL, LossCause::kProcessTableFull, "processes"},
      {CULPRIT_STAT_FORWARD_TABLE_FULL, LossCause::kForwardTableFull, "flows"},
      {CULPRIT_STAT_LEDGER_FULL, LossCause::kLedgerFull, "interfaces"},
      {CULPRIT_STAT_PROCESS_BUDGET, LossCause::kProcessBudget, "processes"},
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
  entry.package = event.package;
  const std::vector<ProcessKey> waiting = std::exchange(entry.waiting, {});
  for (const ProcessKey& key : waiting) {
    Process* process = table_.Find(key);
    if (process == nullptr || process->image->exe_file != event.exe) continue;
    process->awaits_hash = false;
    TakePath(*process->image, event.path, key.tgid == event.opened_by);
    if (event.hashed) process->image->exe_sha256 = event.sha256;
    process->image->exe_package = event.package;
    if (process->sent_epoch != 0) {
      AmendIfSent(*process);
    } else if (!process->forked && !process->kernel_thread) {
      Define(*process);  // the hold is over early; Tick finds it sent
    }
  }
}

void Enricher::On(const ProcfsEvent& event) {
  constexpr std::chrono::nanoseconds kTickTolerance = std::chrono::milliseconds(20);
  Process* process = table_.FindLive(event.tgid);
  if (process == nullptr) return;
  const auto distance = process->key.start - event.start;
  if (distance > kTickTolerance || distance < -kTickTolerance) {
    ++counters_.procfs_mismatches;
    return;
  }
  const std::string_view exe = WithoutDeleted(event.exe);
  const ProcessImage& known = *process->image;
  if (!exe.empty() && !known.exe.empty() && BaseName(exe) != BaseName(known.exe)) {
    // The process has gone on to another image between the record and the reading.
    ++counters_.procfs_mismatches;
    return;
  }
  // Children that share the image keep theirs: what procfs says holds for this process.
  auto image = std::make_shared<ProcessImage>(known);
  if (!exe.empty() &&
      (image->exe_source == ExePathSource::kNone || image->exe_source == ExePathSource::kDentry)) {
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

}  // namespace culprit
