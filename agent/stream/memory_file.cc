// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace culprit {

Result<UniqueFd> MakeMemoryFile(std::string_view bytes) {
  UniqueFd fd(memfd_create("culprit-part", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return ErrnoError("make a memory file");
  while (!bytes.empty()) {
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError("write a memory file");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return ErrnoError("seal a memory file");
  return fd;
}

Result<std::string> ReadMemoryFile(int fd, std::size_t most) {
  std::string bytes(most + 1, '\0');
  std::size_t had = 0;
  while (had < bytes.size()) {
    const ssize_t n = pread(fd, bytes.data() + had, bytes.size() - had, static_cast<off_t>(had));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read a memory file");
    if (n == 0) break;
    had += static_cast<std::size_t>(n);
  }
  if (had > most) return InvalidArgument("a memory file that is too large");
  bytes.resize(had);
  return bytes;
}

}  // namespace culprit
