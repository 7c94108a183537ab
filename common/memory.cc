// SPDX-License-Identifier: Apache-2.0
#include "common/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace culprit {
namespace {

// Of the program itself, what is never written: such a segment has no relocations (a
// position-independent program without DT_TEXTREL), so that it is no more than the file's content.
// What is read-only after relocation is in another.
int UnmapCode(dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_filesz;
    madvise(reinterpret_cast<void*>(begin), (end - begin) & ~(page - 1), MADV_DONTNEED);
  }
  return 1;  // the program is the first
}

}  // namespace

void GiveBackStartup() {
  malloc_trim(0);
  dl_iterate_phdr(UnmapCode, nullptr);
}

}  // namespace culprit
