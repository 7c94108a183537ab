// SPDX-License-Identifier: Apache-2.0
// The processes of the host, and what hangs on them: descriptors, maps, executables, deleted files
// that live on in them.
//
// Stage: snapshot (edge: procfs). Thread: a collector's. A process that ends meanwhile is an entry,
// not an error.
#ifndef CULPRIT_AGENT_SNAPSHOT_PROCESSES_H_
#define CULPRIT_AGENT_SNAPSHOT_PROCESSES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/snapshot/evidence.h"
#include "agent/snapshot/host_files.h"
#include "agent/snapshot/proc_view.h"

namespace culprit {

// What later collectors need of the process table. Filled by CollectProcesses, once.
struct FoundProcesses {
  struct Executable {
    std::uint32_t pid = 0;  // one that runs it
    std::string path;
    std::vector<std::uint32_t> pids;
    bool deleted = false, memory = false;  // no name on the disk; a memory file
  };
  struct OpenDeleted {
    std::uint32_t pid = 0, descriptor = 0;
    std::string path;
    bool memory = false;
  };
  std::map<std::pair<std::uint64_t, std::uint64_t>, Executable> executables;  // by device and inode
  std::vector<OpenDeleted> open_deleted;
  std::map<std::uint64_t, std::vector<std::pair<std::uint32_t, std::uint32_t>>>
      socket_owners;                                      // inode: pid, descriptor
  std::map<std::uint64_t, std::uint32_t> net_namespaces;  // inode: a pid that lives in it
  std::map<std::uint64_t, std::uint32_t> mount_namespaces;
  std::vector<std::uint32_t> anonymous_code;  // pids with code that is in no file
};

// Tables processes, descriptors, maps (of what can hold code), hidden; fills `facts`.
void CollectProcesses(Evidence& evidence, const HostFiles& host, const SnapshotProcfs& procfs,
                      FoundProcesses* facts);
// Table mounts: of each mount namespace.
void CollectMounts(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts);
// Table executables with hashes; a copy of those that are deleted, in memory or in places that
// anybody can write to.
void CollectExecutables(Evidence& evidence, const SnapshotProcfs& procfs,
                        const FoundProcesses& facts);
void CollectOpenDeleted(Evidence& evidence, const SnapshotProcfs& procfs,
                        const FoundProcesses& facts);
// Code that a process made itself.
void CollectMemory(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_PROCESSES_H_
