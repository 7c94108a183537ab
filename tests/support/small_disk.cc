// SPDX-License-Identifier: Apache-2.0
#include "tests/support/small_disk.h"

#include <sys/mount.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace culprit {
namespace {

constexpr const char* kFiller = "filler";

}  // namespace

SmallDisk::SmallDisk(int megabytes) {
  const std::string options = "size=" + std::to_string(megabytes) + "m,mode=0700";
  if (mount("none", path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    std::perror("mount a tmpfs (this test needs root)");
    std::abort();
  }
}

SmallDisk::~SmallDisk() { umount2(path().c_str(), MNT_DETACH); }

std::uint64_t SmallDisk::free_bytes() const { return std::filesystem::space(path()).available; }

void SmallDisk::Fill(std::uint64_t left) const {
  const std::string page(4096, 'x');
  std::ofstream filler(directory_ / kFiller, std::ios::binary | std::ios::app);
  while (free_bytes() >= left + page.size()) {
    if (!filler.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) return;
  }
}

void SmallDisk::Free() const { std::filesystem::remove(directory_ / kFiller); }

}  // namespace culprit
