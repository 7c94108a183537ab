// SPDX-License-Identifier: Apache-2.0
// Follows a text log as `tail -F` does: through rotation, truncation and absence, from where the
// run before stopped.
//
// Stage: source (edge). Thread: one caller. Failure: a file that cannot be read is retried at each
// Read(); lines longer than a bound are cut. After a rotation the old file is read to its end
// before the new one; one that was rotated while nobody followed is found where it is called
// NAME.1.
#ifndef CULPRIT_AGENT_SOURCE_LOG_FOLLOWER_H_
#define CULPRIT_AGENT_SOURCE_LOG_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/unique_fd.h"

namespace culprit {

// Where reading goes on: good as long as the file is the same and not shorter.
struct LogPosition {
  std::uint64_t device = 0, inode = 0, offset = 0;
  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

class LogFollower {
 public:
  // Without a position (inode 0) a file that is there already is read from its end: what it tells
  // is long over.
  LogFollower(std::string path, const LogPosition& from);

  // Gives out complete lines, at most `max_bytes` of the file. True: there is more at once.
  bool Read(std::size_t max_bytes, const std::function<void(std::string_view)>& line);

  const std::string& path() const { return path_; }
  bool open() const { return static_cast<bool>(file_); }
  // Behind the last complete line.
  LogPosition position() const;

 private:
  void OpenFirst();
  bool OpenAt(const std::string& path, bool only_if_known);
  bool SwitchIfRotated();
  void Restart();
  void TakeLines(std::string_view bytes, const std::function<void(std::string_view)>& line);

  std::string path_;
  UniqueFd file_;
  LogPosition at_;  // of the open file; before it is open: where to go on; offset: what was read
  bool skip_existing_ = false;
  std::string partial_;       // begun, not ended yet
  bool cut_ = false;          // the rest of a line that is too long is passed over
  std::uint64_t passed_ = 0;  // bytes of it
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_LOG_FOLLOWER_H_
