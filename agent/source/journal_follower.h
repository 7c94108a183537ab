// SPDX-License-Identifier: Apache-2.0
// Follows the systemd journal: entries of a few programs, as they come, from where the run before
// stopped. Text of an entry is the writer's; whose it is (pid, uid) the journal's daemon has from
// the kernel.
//
// Stage: source (edge). Thread: one caller. Failure: Open() where there is no journal to read;
// entries that cannot be read are passed over. libsystemd maps the journal's files, which root
// alone can write.
#ifndef CULPRIT_AGENT_SOURCE_JOURNAL_FOLLOWER_H_
#define CULPRIT_AGENT_SOURCE_JOURNAL_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

struct sd_journal;

namespace culprit {

struct JournalEntry {
  std::string program, message;  // as its writer said
  std::uint32_t pid = 0;         // as the kernel said; 0 = the entry does not have it
  Uid uid = kNoUid;
  WallTime at;  // when the journal got it
};

class JournalFollower {
 public:
  // The journals of this machine, or those in `directory`. Without a cursor, or where it is not in
  // the journal any more, what is there already is passed over, or read from `since` on where that
  // is given. `programs`: SYSLOG_IDENTIFIERs.
  static Result<std::unique_ptr<JournalFollower>> Open(const std::string& directory,
                                                       const std::vector<std::string>& programs,
                                                       const std::string& cursor,
                                                       std::optional<WallTime> since = {});

  int poll_fd() const;
  // Gives out what is new, at most `max_entries`. True: there may be more at once.
  bool Read(std::size_t max_entries, const std::function<void(const JournalEntry&)>& visit);
  // Behind the last entry that was given out; empty before the first.
  const std::string& cursor() const { return cursor_; }

 private:
  struct Close {
    void operator()(sd_journal* journal) const;
  };
  JournalFollower() = default;
  Status Seek(const std::string& cursor, std::optional<WallTime> since);
  bool ReadEntry(JournalEntry* out) const;

  std::unique_ptr<sd_journal, Close> journal_;
  std::string cursor_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_JOURNAL_FOLLOWER_H_
