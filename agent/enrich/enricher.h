// SPDX-License-Identifier: Apache-2.0
// Names the processes behind events: keeps the process table, joins executables with their hashes,
// users with their names, cgroups with containers, and hands flows and counters on with the process
// ids that they are charged to.
//
// Stage: enrich. Pure but for the UserNames port; time arrives in events and Tick().
// Thread: one caller. Failure: none; tables are bounded by Limits, evictions are counted and
// reported as loss.
#ifndef CULPRIT_AGENT_ENRICH_ENRICHER_H_
#define CULPRIT_AGENT_ENRICH_ENRICHER_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/enrich/exe_cache.h"
#include "agent/enrich/ports.h"
#include "agent/enrich/process_table.h"
#include "agent/model/event.h"
#include "agent/model/record.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

inline bool IsSet(const ProcessKey& key) { return key.tgid != Tgid{}; }

struct EnrichLimits {
  std::size_t max_processes = 32'768;  // live and ended together
  std::size_t max_executables = 4'096;
  std::chrono::nanoseconds grace =
      std::chrono::seconds(30);  // an ended process is remembered so long
  // An exec is told about so much later if its executable's hash is still to come: one record
  // instead of two.
  std::chrono::nanoseconds hash_wait = std::chrono::milliseconds(150);
};

struct EnrichCounters {
  std::uint64_t placeholders = 0;    // owners that no exec or fork told about
  std::uint64_t unknown_owners = 0;  // flow events that name no process at all
  std::uint64_t unknown_exits = 0;
  std::uint64_t processes_evicted = 0;
  std::uint64_t executables_evicted = 0;
  std::uint64_t procfs_mismatches = 0;  // procfs text that belongs to another image
  std::uint64_t found_by_resync = 0;    // processes that no exec or fork had told about
  std::uint64_t exits_missed = 0;       // processes that a pass over all did not find any more
  std::uint64_t definitions_sent = 0, amendments_sent = 0;
};

class Enricher {
 public:
  // `users` and `sink` outlive the enricher.
  Enricher(const Uuid& boot_id, const EnrichLimits& limits, UserNames& users, EnrichSink& sink);

  void Apply(const Event& event);
  // Sends definitions that waited for a hash, forgets processes that ended longer than the grace
  // ago, reports evictions. Every 50-200 ms, before the aggregator's Tick.
  void Tick(BootTime now);

  // Processes of these tgids are the agent's own: labelled, never hidden. Replaces the set before;
  // a tgid leaves the set with the exit of its process.
  void SetAgentTgids(const std::vector<Tgid>& tgids);
  // After a new stream or lost evidence frames: definitions of live processes that were sent are
  // sent again now, those of ended ones at their next referral.
  void ForgetSent();
  // Live processes that nothing but a flow or a counter told about, since the last call: the edge
  // may read them in /proc and answer with a ProcfsEvent.
  std::vector<Tgid> TakeUnresolved() { return std::exchange(unresolved_, {}); }

  // The image that this tgid ran at `at`, defined at the collector before this returns; one that has
  // ended is known for the grace. 0: not known.
  ProcessId ProcessAt(Tgid tgid, BootTime at);

  bool Knows(const ProcessKey& key) { return table_.Find(key) != nullptr; }
  // For what else is joined to processes (session_book.h). Null = not known; valid until the next event or Tick().
  const Process* Find(const ProcessKey& key) { return table_.Find(key); }
  const Process* FindLive(Tgid tgid) { return table_.FindLive(tgid); }
  template <class Visitor>
  void ForEachProcess(const Visitor& visit) {
    table_.ForEach([&visit](const Process& process) { visit(process); });
  }
  const EnrichCounters& counters() const { return counters_; }
  std::size_t live_processes() const { return table_.live(); }

 private:
  void On(const ExecEvent& event);
  void On(const ForkEvent& event);
  void On(const ExitEvent& event);
  void On(const FlowEvent& event);
  void On(const CountersEvent& event);
  void On(const LostEvent& event);
  void On(const ExeHashEvent& event);
  void On(const ProcfsEvent& event);
  void On(const ResyncEvent& event);
  void On(const InterfaceEvent&) {}  // no process in it
  void On(const InterfaceCountersEvent&) {}
  void On(const ObservationEvent&) {}  // names are joined to rows (name_book.h)

  struct Owner {
    ProcessId id;
    bool is_agent = false;
  };
  // The process to charge, defined at the collector before this returns.
  Owner Resolve(const ProcessKey& key, const std::string& comm, Uid uid, std::uint32_t netns);
  Owner ResolveKernel();
  Owner ResolveOverflow(const ProcessKey& key);
  // Sends the definition, those of unsent ancestors first, unless it was sent.
  void Define(Process& process);
  void AmendIfSent(Process& process);
  void Send(Process& process);
  ProcessFacts Facts(const Process& process);
  bool Sent(const Process& process) const { return process.sent_epoch == epoch_; }
  Process& Insert(const ProcessKey& key, Uid uid);
  void Fill(Process& process, const ExecEvent& event);
  // Takes path and hash if they are known already. False: they may still come, and the process
  // waits for them.
  bool JoinExecutable(Process& process);
  void WaitForHash(Process& process);
  Process& MakePlaceholder(const ProcessKey& key, const std::string& comm, Uid uid,
                           std::uint32_t netns);

  Uuid boot_id_;
  EnrichLimits limits_;
  UserNames& users_;
  EnrichSink& sink_;
  ProcessTable table_;
  ExeCache executables_;
  std::unordered_set<Tgid> agent_tgids_;
  std::deque<std::pair<BootTime, ProcessKey>>
      held_;  // definitions that wait for a hash, oldest first
  std::vector<Tgid> unresolved_;
  BootTime first_event_;
  std::uint32_t epoch_ = 1;  // definitions of an older epoch count as not sent
  std::uint32_t kernel_epoch_ = 0;
  std::unordered_map<ProcessId, std::uint32_t> overflow_epochs_;
  std::uint32_t resync_ = 0;  // passes over all processes so far
  bool resyncing_ = false;
  bool begun_ = false;  // the first pass is over
  std::uint64_t reported_evictions_ = 0;
  EnrichCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_ENRICHER_H_
