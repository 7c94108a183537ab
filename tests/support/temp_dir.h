// SPDX-License-Identifier: Apache-2.0
// TempDir: a directory of its own for each test, removed with everything in it. Thread: one owner.
#ifndef CULPRIT_TESTS_SUPPORT_TEMP_DIR_H_
#define CULPRIT_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

namespace culprit {

class TempDir {
 public:
  // Disk: under $TMPDIR or /tmp. Memory: under /dev/shm where there is one, for tests with thousands of fsyncs that are
  // not about the disk.
  enum class Where { kDisk, kMemory };
  explicit TempDir(Where where = Where::kDisk);  // aborts where nothing can be written
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_TEMP_DIR_H_
