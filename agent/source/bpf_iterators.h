// SPDX-License-Identifier: Apache-2.0
// Reads a kernel iterator as a stream of records. Stage: source (edge). Thread: one caller.
#ifndef CULPRIT_AGENT_SOURCE_BPF_ITERATORS_H_
#define CULPRIT_AGENT_SOURCE_BPF_ITERATORS_H_

#include <functional>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "common/result.h"

struct bpf_link;

namespace culprit {

// Called with the header (aligned) and the whole record; the bytes may be changed and are valid
// during the call.
using IteratedRecord = std::function<void(culprit_header& header, std::string_view record)>;

class IteratorReader {
 public:
  IteratorReader();
  Status Read(const bpf_link* link, const IteratedRecord& deliver);

 private:
  std::vector<std::uint64_t> buffer_;  // aligned as the records are
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_ITERATORS_H_
