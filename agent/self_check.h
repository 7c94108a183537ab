// SPDX-License-Identifier: Apache-2.0
// SelfCheck: what the agent says of itself in each heartbeat, so that what is done to it shows at
// the collector: the hashes of its program and configuration as they lie on disk, how much of its
// spool was removed under it, and how the run before ended.
//
// Stage: wiring (edge: files). Thread: the loop's. A file is read again only when its inode, size
// or times have changed. Failure: what cannot be read is told as not there; a mark that cannot be
// written is logged.
#ifndef CULPRIT_AGENT_SELF_CHECK_H_
#define CULPRIT_AGENT_SELF_CHECK_H_

#include <sys/stat.h>

#include <optional>
#include <string>

#include "agent/model/record.h"
#include "agent/spool/spool.h"
#include "common/ids.h"
#include "common/sha256.h"

namespace culprit {

// SHA-256 of what lies at a path, remembered while nothing shows that it was changed.
class FileHash {
 public:
  explicit FileHash(std::string path) : path_(std::move(path)) {}
  // nullopt: nothing there that can be read.
  std::optional<Sha256Digest> Now();

 private:
  std::string path_;
  std::optional<struct stat> seen_;
  std::optional<Sha256Digest> digest_;
};

class SelfCheck {
 public:
  // Reads the mark that the run before left in `state_dir`, and leaves one of this run.
  // `config_path`: empty = there is none.
  SelfCheck(const std::string& state_dir, const std::string& config_path, const Uuid& run_id,
            const Uuid& boot_id);

  void Fill(const Spool* spool, HeartbeatFacts* beat);
  // The run ends by itself, and all is on disk.
  void Stop(const std::string& reason);

 private:
  void Mark(const std::string& state);

  std::string mark_path_;
  Uuid run_id_, boot_id_;
  std::string previous_run_;
  FileHash program_, config_;
};

// What a mark of the run before tells to a run of boot `boot_id`: "stopped", "killed", "reset"; or
// "none", also for a text that no run wrote.
std::string ReadRunMark(std::string_view text, const Uuid& boot_id);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SELF_CHECK_H_
