// SPDX-License-Identifier: Apache-2.0
// FrozenSegments: segments that the ring may not take away: hard links under a name, with a bound
// of their own. What is frozen outlives the ring's own copy. Stage: ring (edge: files). Thread:
// any; one at a time for Freeze() and Unfreeze(). Directory: DIR/NAME/LANE/NNNNNNNN.pcapng and
// .idx.
#ifndef CULPRIT_AGENT_RING_FROZEN_H_
#define CULPRIT_AGENT_RING_FROZEN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxFrozenName = 64;

struct FrozenSegment {
  std::string lane;
  std::string name;        // of the file, without its folder
  std::string path;        // where it is now
  std::string index_path;  // may not exist
};

struct FrozenResult {
  std::uint64_t segments = 0, bytes = 0;  // newly frozen
  std::uint64_t left_out = 0;             // for want of room, or gone meanwhile
};

class FrozenSegments {
 public:
  FrozenSegments(std::string directory, std::uint64_t max_bytes);

  // In the given order until the bound is met; what is frozen under that name already stays and is
  // not counted again. Errors: a name that is not made of letters, digits, '.', '_', '-'.
  Result<FrozenResult> Freeze(std::string_view name, const std::vector<FrozenSegment>& segments);
  // Until it is on the disk; this may take long. Fine if it has been unfrozen meanwhile.
  Status Sync(std::string_view name) const;
  // Fine if there is none.
  Status Unfreeze(std::string_view name);
  Result<std::vector<std::string>> Names() const;
  // Has the name, if with nothing under it.
  Status Keep(std::string_view name) const;
  // The lanes of one, for QueryPackets(); none if there is nothing under that name.
  Result<std::vector<std::string>> Directories(std::string_view name) const;
  // Of all files, each counted as often as it is frozen.
  std::uint64_t bytes() const;
  // The highest number in any of them: the ring must not give it out again.
  std::uint64_t HighestNumber() const;

 private:
  std::string directory_;
  std::uint64_t max_bytes_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_FROZEN_H_
