// SPDX-License-Identifier: Apache-2.0
// Reads what the kernel holds (tasks, sockets, tables) as a stream of records: by an iterator, or,
// where the kernel refuses that one, by its stand-in. Stage: source (edge). Thread: one caller.
// Owned by BpfSource, which outlives it.
#ifndef CULPRIT_AGENT_SOURCE_BPF_TABLES_H_
#define CULPRIT_AGENT_SOURCE_BPF_TABLES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/source/bpf_loader.h"
#include "bpf/abi.h"
#include "common/result.h"

struct bpf_link;
struct bpf_program;
struct ring_buffer;

namespace culprit {

struct LinkDestroy {
  void operator()(bpf_link* link) const;
};
using Link = std::unique_ptr<bpf_link, LinkDestroy>;
struct RingFree {
  void operator()(ring_buffer* ring) const;
};

// Called with the header (aligned) and the whole record; the bytes may be changed and are valid
// during the call.
using IteratedRecord = std::function<void(culprit_header& header, std::string_view record)>;

class BpfTables {
 public:
  explicit BpfTables(const LoadedPrograms& loaded);
  // An iterator or a walk, loaded.
  Status Attach(const Hook& hook, bpf_program* program);
  // Visits the link of each iterator.
  void ForEachLink(
      const std::function<void(const std::string& name, const bpf_link* link)>& visit) const;
  // All records of the hook `name`, or of what stands in for it; nothing where neither is attached.
  // A walk may need several rounds: entries to be taken out must be so at the end of each, which
  // `round_over` is called at.
  Status Read(std::string_view name, const IteratedRecord& deliver,
              const std::function<void()>& round_over = {});

 private:
  Status Iterate(const bpf_link* link, const IteratedRecord& deliver);
  Status Walk(const bpf_program* program, const IteratedRecord& deliver,
              const std::function<void()>& round_over);
  static int OnWalked(void* context, void* data, std::size_t size);

  const LoadedPrograms& loaded_;
  std::map<std::string, Link, std::less<>> iterators_;
  std::map<std::string, bpf_program*, std::less<>> walks_;
  std::unique_ptr<ring_buffer, RingFree> walked_;
  const IteratedRecord* walking_into_ = nullptr;
  std::vector<std::uint64_t> buffer_;  // aligned as the records are
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_TABLES_H_
