// SPDX-License-Identifier: Apache-2.0
// FlowMemory in a mapped file: a write is a copy into the page cache, which a kill -9 does not
// touch, and no system call. Stage: wiring (edge: a file). Thread: one caller. Of one boot: a file
// of another is emptied. Each part has two places that are written in turn, with a checksum, so
// that a kill in the middle of one leaves the other. Failure: what does not fit (the cap, a full
// disk) is not remembered and counted.
//
//   file   = header (64 bytes) then slots
//   header: 0 u64 magic "CULPFLO1" | 8 u32 version = 1 | 12 u32 bytes of a record | 16 u8[16] boot
//   id | zero slot   = record, record;  record = u64 order (0 = empty), flow, process, start ns, 9
//   counters | u32 CRC-32C | u32 zero
#ifndef CULPRIT_AGENT_FLOW_MEMORY_FILE_H_
#define CULPRIT_AGENT_FLOW_MEMORY_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/aggregate/flow_memory.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

class FlowMemoryFile final : public FlowMemory {
 public:
  // Errors: the file cannot be made or mapped.
  static Result<std::unique_ptr<FlowMemoryFile>> Open(const std::string& path, const Uuid& boot_id,
                                                      std::size_t max_parts);
  ~FlowMemoryFile() override;

  // What a run before in this boot has left.
  const std::vector<RememberedPart>& former() const { return former_; }
  void Put(const RememberedPart& part) override;
  void Forget(FlowId flow) override;
  std::uint64_t refused() const { return refused_; }

 private:
  struct Place {
    ProcessId process;
    std::uint32_t slot;
  };
  FlowMemoryFile(UniqueFd fd, std::size_t max_parts) : fd_(std::move(fd)), max_slots_(max_parts) {}
  Status Begin(const Uuid& boot_id);
  Status Map(std::size_t slots);
  void Load();
  bool Grow();
  char* SlotAt(std::uint32_t slot) const;
  std::uint32_t SlotFor(FlowId flow, ProcessId process);  // kNone: full

  UniqueFd fd_;
  std::size_t max_slots_;
  char* bytes_ = nullptr;
  std::size_t mapped_ = 0;
  std::uint32_t slots_ = 0;
  std::vector<std::uint32_t> free_;
  std::unordered_map<FlowId, std::vector<Place>> places_;
  std::vector<RememberedPart> former_;
  std::uint64_t order_ = 0, refused_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_FLOW_MEMORY_FILE_H_
