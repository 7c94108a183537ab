// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/read_bundle.h"

#include <unistd.h>

#include <cerrno>

namespace culprit {

Result<std::string> ReadSome(int fd, std::uint64_t offset, std::size_t most) {
  std::string bytes(most, '\0');
  std::size_t had = 0;
  while (had < most) {
    const ssize_t n = pread(fd, bytes.data() + had, most - had, static_cast<off_t>(offset + had));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read a bundle");
    if (n == 0) break;
    had += static_cast<std::size_t>(n);
  }
  bytes.resize(had);
  return bytes;
}

}  // namespace culprit
