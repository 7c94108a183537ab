// SPDX-License-Identifier: Apache-2.0
// FaultfsMount: a mounted culprit_faultfs for the life of a test. Needs root and /dev/fuse. Thread: one owner.
#ifndef CULPRIT_TESTS_SUPPORT_FAULTFS_FAULTFS_MOUNT_H_
#define CULPRIT_TESTS_SUPPORT_FAULTFS_FAULTFS_MOUNT_H_

#include <sys/types.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace culprit {

class FaultfsMount {
 public:
  // `program`: path of culprit_faultfs. `seed`: of --keep-some, 0 = a drop keeps nothing. Aborts if it does not mount.
  FaultfsMount(const std::string& program, std::uint64_t seed);
  ~FaultfsMount();
  FaultfsMount(const FaultfsMount&) = delete;
  FaultfsMount& operator=(const FaultfsMount&) = delete;

  const std::string& path() const { return mount_; }
  // "drop", "full on", … Returns when it is done.
  void Control(const std::string& command) const;

 private:
  TempDir dir_;
  std::string backing_;
  std::string mount_;
  pid_t pid_ = -1;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_FAULTFS_FAULTFS_MOUNT_H_
