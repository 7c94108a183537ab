// SPDX-License-Identifier: Apache-2.0
// SmallDisk: a file system of a few MB of its own, to be filled up and freed. Needs root: it mounts
// a tmpfs. Thread: one owner.
#ifndef CULPRIT_TESTS_SUPPORT_SMALL_DISK_H_
#define CULPRIT_TESTS_SUPPORT_SMALL_DISK_H_

#include <cstdint>
#include <string>

#include "tests/support/temp_dir.h"

namespace culprit {

class SmallDisk {
 public:
  // Aborts where it cannot be mounted.
  explicit SmallDisk(int megabytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  const std::string& path() const { return directory_.path(); }
  std::string operator/(const std::string& name) const { return directory_ / name; }
  std::uint64_t free_bytes() const;
  // All but about `left` bytes of what is free.
  void Fill(std::uint64_t left = 0) const;
  // What Fill() took.
  void Free() const;

 private:
  TempDir directory_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_SMALL_DISK_H_
