// SPDX-License-Identifier: Apache-2.0
#include "collector/data_dir.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text.h"

namespace culprit {
namespace {

Error WithRemedy(const std::string& directory, Error error) {
  switch (error.code) {
    case Code::kPermissionDenied:
      error.message += fmt::format(
          "; the collector must own {} (chown it to its user), or set data_dir to a directory "
          "that it can write",
          directory);
      break;
    case Code::kResourceExhausted:
      error.message += fmt::format(
          "; free some space on the disk of {}, or lower journal.max_bytes and "
          "index.max_bytes",
          directory);
      break;
    default:
      break;
  }
  return std::move(error).Context("data_dir");
}

std::string HolderOf(const std::string& lock_path) {
  auto pid = ReadWholeFile(lock_path, 64);
  if (!pid || pid->empty()) return "another process";
  while (!pid->empty() && pid->back() == '\n') pid->pop_back();
  return "pid " + EscapeText(*pid);
}

}  // namespace

Result<UniqueFd> LockDataDir(const std::string& directory) {
  if (auto made = MakeDirectories(directory, 0700); !made)
    return WithRemedy(directory, std::move(made).error());
  const std::string lock_path = directory + "/lock";
  auto lock = LockFile(lock_path);
  if (!lock) {
    if (lock.error().code == Code::kFailedPrecondition) {
      return FailedPrecondition(
          fmt::format("{} is in use by {}: one collector a data_dir; stop that one, or give this "
                      "one a data_dir of its own",
                      directory, HolderOf(lock_path)));
    }
    return WithRemedy(directory, std::move(lock).error());
  }
  const std::string pid = fmt::format("{}\n", getpid());
  Status written =
      ftruncate(lock->get(), 0) == 0 ? WriteAll(lock->get(), pid) : Status(ErrnoError(lock_path));
  if (!written) return WithRemedy(directory, std::move(written).error());
  return std::move(*lock);
}

}  // namespace culprit
