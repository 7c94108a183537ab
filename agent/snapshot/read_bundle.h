// SPDX-License-Identifier: Apache-2.0
// Bytes of a bundle that may still grow. Stage: snapshot (edge: a descriptor). Thread: any.
// Failure: errors of reading.
#ifndef CULPRIT_AGENT_SNAPSHOT_READ_BUNDLE_H_
#define CULPRIT_AGENT_SNAPSHOT_READ_BUNDLE_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "agent/model/control.h"
#include "common/file.h"

namespace culprit {

// The beginning of a file, in pieces; false: it is shorter.
template <class Visit>
Result<bool> VisitPrefix(int fd, std::uint64_t size, const Visit& visit) {
  for (std::uint64_t offset = 0; offset < size;) {
    const auto most =
        static_cast<std::size_t>(std::min<std::uint64_t>(size - offset, kMaxFetchPart));
    TRY(const std::string bytes, PreadUpTo(fd, offset, most, "read a bundle"));
    if (bytes.empty()) return false;
    visit(bytes);
    offset += bytes.size();
  }
  return true;
}

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_READ_BUNDLE_H_
