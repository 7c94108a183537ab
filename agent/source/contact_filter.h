// SPDX-License-Identifier: Apache-2.0
// ContactFilter: rotates the kernel's Bloom filter of (uid, address, port), two generations in one
// map. Programs look in both and insert into the younger; here the older is cleared and becomes the
// younger. Stage: source (edge); the rule of when is pure. Thread: one caller. Borrows the map and
// the two variables, which must outlive it. Failure: mapping memory; the filter then stays as it
// is, which only makes first contacts rarer.
#ifndef CULPRIT_AGENT_SOURCE_CONTACT_FILTER_H_
#define CULPRIT_AGENT_SOURCE_CONTACT_FILTER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/result.h"
#include "common/time.h"

namespace culprit {

constexpr auto kContactGeneration = std::chrono::minutes(10);

// Whether a generation of `bits` bits that began at `since` and has had `inserts` (two bits each)
// is over: by age, or because more than a quarter of it may be set (false matches: 1 in 16).
bool ContactGenerationOver(BootTime since, BootTime now, std::uint64_t inserts, std::uint64_t bits);

class ContactFilter {
 public:
  // `map_bytes`: of both generations, each a multiple of the page size.
  ContactFilter(int map_fd, std::size_t map_bytes, std::uint32_t& generation,
                unsigned long long& inserts, BootTime now);

  // Rotates if it is time to. Called with the sweep.
  Status Sweep(BootTime now);

 private:
  int map_fd_;
  std::size_t generation_bytes_;
  std::uint32_t& generation_;  // 0 or 1: the younger; shared with the programs, as is inserts_
  unsigned long long& inserts_;
  BootTime since_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_CONTACT_FILTER_H_
