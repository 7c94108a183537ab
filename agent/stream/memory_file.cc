// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "common/file.h"

namespace culprit {

Result<UniqueFd> MakeMemoryFile(std::string_view bytes) {
  UniqueFd fd(memfd_create("culprit-part", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return ErrnoError("make a memory file");
  TRY_VOID(WriteAll(fd.get(), bytes));
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return ErrnoError("seal a memory file");
  return fd;
}

Result<std::string> ReadMemoryFile(int fd, std::size_t most) {
  TRY(std::string bytes, PreadUpTo(fd, 0, most + 1, "read a memory file"));
  if (bytes.size() > most) return InvalidArgument("a memory file that is too large");
  return bytes;
}

}  // namespace culprit
