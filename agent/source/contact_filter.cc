// SPDX-License-Identifier: Apache-2.0
#include "agent/source/contact_filter.h"

#include <sys/mman.h>
#include <sys/types.h>

#include <atomic>
#include <cstring>

namespace culprit {

bool ContactGenerationOver(BootTime since, BootTime now, std::uint64_t inserts,
                           std::uint64_t bits) {
  return now - since >= kContactGeneration || inserts > bits / 4 / 2;
}

ContactFilter::ContactFilter(int map_fd, std::size_t map_bytes, std::uint32_t& generation,
                             unsigned long long& inserts, BootTime now)
    : map_fd_(map_fd),
      generation_bytes_(map_bytes / 2),
      generation_(generation),
      inserts_(inserts),
      since_(now) {}

Status ContactFilter::Sweep(BootTime now) {
  std::atomic_ref<unsigned long long> inserts(inserts_);
  std::atomic_ref<std::uint32_t> generation(generation_);
  if (!ContactGenerationOver(since_, now, inserts.load(), generation_bytes_ * 8)) return Ok();
  const std::uint32_t older = (generation.load() + 1) % 2;
  // Mapped only for the moment: half a megabyte that would else count as the agent's.
  void* const bytes = mmap(nullptr, generation_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd_,
                           static_cast<off_t>(older * generation_bytes_));
  if (bytes == MAP_FAILED) return ErrnoError("map the contact filter");
  std::memset(bytes, 0, generation_bytes_);
  munmap(bytes, generation_bytes_);
  generation.store(older);
  inserts.store(0);
  since_ = now;
  return Ok();
}

}  // namespace culprit
