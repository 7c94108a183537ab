// SPDX-License-Identifier: Apache-2.0
// arc4random of our own: libstdc++ and libarchive, linked as archives, ask for it, and glibc has it
// since 2.36 only, which would be the one reason not to run on 2.34. Every call asks the kernel:
// the callers are seeds, not streams. Thread: any. Without random numbers it ends the program, as
// glibc's does.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <sys/random.h>

extern "C" void arc4random_buf(void* buffer, size_t size) noexcept {
  auto* next = static_cast<unsigned char*>(buffer);
  while (size > 0) {
    const ssize_t got = getrandom(next, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) std::abort();
    next += got;
    size -= static_cast<size_t>(got);
  }
}

extern "C" std::uint32_t arc4random() noexcept {
  std::uint32_t value = 0;
  arc4random_buf(&value, sizeof value);
  return value;
}
