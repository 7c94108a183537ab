// SPDX-License-Identifier: Apache-2.0
// Loads the kernel programs: checks what is needed, probes each optional hook, and says what is
// missing and why. Stage: source (edge). Thread: one caller. Owned by BpfSource; nothing here
// outlives it.
#ifndef CULPRIT_AGENT_SOURCE_BPF_LOADER_H_
#define CULPRIT_AGENT_SOURCE_BPF_LOADER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/source/bpf_source.h"
#include "common/result.h"
#include "common/unique_fd.h"

struct culprit_bpf;
struct bpf_program;

namespace culprit {

// A walk is run by user space; it goes over a table whose iterator the kernel refuses.
enum class HookKind { kTracepoint, kCgroup, kIterator, kWalk };

// One program of the object. `program` is its C name; `name` what people see and what
// disabled_hooks takes.
struct Hook {
  const char* name;
  const char* program;
  HookKind kind;
  const char* tracepoint;  // for kTracepoint
  bool required;
  const char* stand_in;                 // what happens without it
  std::string_view stands_in_for = {};  // loaded only where that hook is not active
};

struct SkeletonDestroy {
  void operator()(culprit_bpf* skeleton) const;
};
using Skeleton = std::unique_ptr<culprit_bpf, SkeletonDestroy>;

struct LoadedPrograms {
  Skeleton skeleton;
  UniqueFd cgroup;
  std::vector<HookStatus> hooks;
  bool has_send_length = false;

  bool Active(std::string_view name) const;
};

const std::vector<Hook>& AllHooks();
bpf_program* FindProgram(const LoadedPrograms& loaded, const Hook& hook);

// The cgroup2 mount in a mountinfo text; the error says whether only cgroup1 is there.
Result<std::string> FindCgroup2(std::string_view mountinfo);

Result<LoadedPrograms> LoadPrograms(const BpfSourceOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_LOADER_H_
