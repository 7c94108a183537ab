// SPDX-License-Identifier: Apache-2.0
// The processes known on this host, ended ones for a while too. Bounded: where it is full, ended
// ones go first, then the oldest of the uid that has most, so that a fork bomb evicts its own.
// Stage: enrich. Pure. Thread: one caller. References stay valid until the next Insert or Expire.
#ifndef CULPRIT_AGENT_ENRICH_PROCESS_TABLE_H_
#define CULPRIT_AGENT_ENRICH_PROCESS_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/record.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

// What an exec sets. Shared by a process and the children that it forked (shared_ptr: 100,000 forks
// of one shell keep one copy, and it lives as long as the last of them).
struct ProcessImage {
  std::string exe;
  ExePathSource exe_source = ExePathSource::kNone;
  std::vector<std::string> argv;
  bool argv_truncated = false;
  std::string cgroup, container_id, cwd;
  std::optional<ExeIdentity> exe_file;
  std::optional<Sha256Digest> exe_sha256;
  PackageFacts exe_package;
  bool exe_deleted = false, exe_memfd = false;
};

struct Process {
  ProcessKey key, parent_key;  // parent_key: whose definition goes before this one's
  ProcessId id, parent;
  std::shared_ptr<ProcessImage> image;
  std::string comm;
  Uid uid, euid, login_uid = kNoUid;
  std::uint32_t gid = 0, session_id = kNoSession, netns = 0;
  std::uint64_t cgroup_id = 0;
  BootTime exec_at;
  bool preexisting = false, is_agent = false, forked = false, execed_over_parent = false;
  bool kernel_thread = false;
  bool placeholder = false;  // no exec or fork told about it
  bool awaits_hash = false;
  bool exit_known = false;
  std::int32_t wait_status = 0;
  BootTime ended;                  // zero: live
  std::uint32_t seen_alive = 0;    // newest pass over all processes that found it; 0: none
  std::uint32_t resync_asked = 0;  // newest pass that began while it was here
  std::uint32_t sent_epoch = 0;    // last epoch in which the definition was sent

 private:
  friend class ProcessTable;
  Uid list_uid_;
  Process* older_ = nullptr;
  Process* newer_ = nullptr;
};

class ProcessTable {
 public:
  explicit ProcessTable(std::size_t max_processes) : max_(max_processes) {}

  Process* Find(const ProcessKey& key);
  // The image that a live tgid runs now.
  Process* FindLive(Tgid tgid);
  // A new, empty entry (or the one that is there). May evict another: hold no other reference
  // across it.
  Process& Insert(const ProcessKey& key, Uid uid);
  // The image has ended by exit or exec; it stays findable until Expire or pressure.
  void Retire(Process& process, BootTime at);
  // Drops images that ended before `before`.
  void Expire(BootTime before);

  template <class Visitor>
  void ForEach(const Visitor& visit) {
    for (auto& [key, process] : processes_) visit(process);
  }

  std::size_t size() const { return processes_.size(); }
  std::size_t live() const { return processes_.size() - ended_.count; }
  std::uint64_t evicted() const { return evicted_; }

 private:
  struct List {
    Process* oldest = nullptr;
    Process* newest = nullptr;
    std::size_t count = 0;
  };
  static void Link(List& list, Process& process);
  static void Unlink(List& list, Process& process);
  void Erase(Process& process);
  void EvictOne();

  std::size_t max_;
  std::unordered_map<ProcessKey, Process> processes_;
  std::unordered_map<Tgid, Process*> by_tgid_;
  std::unordered_map<Uid, List> live_by_uid_;
  List ended_;
  std::uint64_t evicted_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_PROCESS_TABLE_H_
