// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_dir.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace culprit {

TempDir::TempDir(Where where) {
  const char* base = std::getenv("TMPDIR");
  if (base == nullptr) base = "/tmp";
  if (where == Where::kMemory && access("/dev/shm", W_OK) == 0) base = "/dev/shm";
  path_ = std::string(base) + "/culprit-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace culprit
