// SPDX-License-Identifier: Apache-2.0
// Which process a key means, and what the collector is told about it when.
#include <array>
#include <memory>
#include <utility>

#include "agent/enrich/enricher.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAncestors = 64;
constexpr std::size_t kMaxUnresolved = 1'024;
constexpr std::size_t kMaxOverflows = 4'096;

}  // namespace

Enricher::Owner Enricher::Resolve(const ProcessKey& key, const std::string& comm, Uid uid,
                                  std::uint32_t netns) {
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
  // The same task ran an older image that is known: that one was exec'ed over. All else stays
  // unknown.
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

Enricher::Owner Enricher::ResolveOverflow(const ProcessKey& key) {
  const ProcessId id = MakeProcessId(boot_id_, key);
  if (overflow_epochs_.size() >= kMaxOverflows && !overflow_epochs_.contains(id)) {
    overflow_epochs_.clear();  // defined again, which is harmless
  }
  if (std::exchange(overflow_epochs_[id], epoch_) == epoch_) return {id, false};
  const Uid uid{static_cast<std::uint32_t>(key.exec_id - 1)};
  ProcessFacts facts;
  facts.id = id;
  facts.key = key;
  facts.uid = facts.euid = uid;
  facts.user = users_.NameOf(uid);
  facts.comm = "overflow of uid " + std::to_string(uid.value());
  ++counters_.definitions_sent;
  sink_.OnProcess(std::move(facts));
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
  facts.exe_package = image.exe_package;
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
