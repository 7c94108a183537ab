// SPDX-License-Identifier: Apache-2.0
#include "agent/source/journal_follower.h"

#include <systemd/sd-journal.h>

#include <algorithm>
#include <cstdlib>

#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxField = 8'192;  // of an entry; what is longer is cut

// "NAME=value" without its name; empty where the entry has no such field.
std::string_view Field(sd_journal* journal, const char* name) {
  const void* data = nullptr;
  std::size_t size = 0;
  if (sd_journal_get_data(journal, name, &data, &size) < 0) return {};
  const std::string_view all(static_cast<const char*>(data), size);
  const std::size_t equals = all.find('=');
  return equals == std::string_view::npos ? std::string_view() : all.substr(equals + 1, kMaxField);
}

}  // namespace

void JournalFollower::Close::operator()(sd_journal* journal) const { sd_journal_close(journal); }

Result<std::unique_ptr<JournalFollower>> JournalFollower::Open(
    const std::string& directory, const std::vector<std::string>& programs,
    const std::string& cursor, std::optional<WallTime> since) {
  sd_journal* journal = nullptr;
  const int opened = directory.empty()
                         ? sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM)
                         : sd_journal_open_directory(&journal, directory.c_str(), 0);
  if (opened < 0) return ErrnoError("open the journal", -opened);
  std::unique_ptr<JournalFollower> out(new JournalFollower);
  out->journal_.reset(journal);
  for (const std::string& program : programs) {
    const std::string match = "SYSLOG_IDENTIFIER=" + program;
    const int added = sd_journal_add_match(journal, match.data(), match.size());
    if (added < 0) return ErrnoError("match in the journal", -added);
  }
  sd_journal_set_data_threshold(journal, kMaxField);
  // A machine without a journal opens, too: it has nothing at either end.
  if (sd_journal_get_fd(journal) < 0) return NotFound("the journal cannot be watched");
  std::uint64_t oldest = 0, newest = 0;
  if (sd_journal_get_cutoff_realtime_usec(journal, &oldest, &newest) <= 0) {
    return NotFound("there is no journal");
  }
  TRY_VOID(out->Seek(cursor, since));
  return out;
}

Status JournalFollower::Seek(const std::string& cursor, std::optional<WallTime> since) {
  if (!cursor.empty() && sd_journal_seek_cursor(journal_.get(), cursor.c_str()) >= 0 &&
      sd_journal_next(journal_.get()) > 0 &&
      sd_journal_test_cursor(journal_.get(), cursor.c_str()) > 0) {
    cursor_ = cursor;
    return Ok();
  }
  if (since) {
    const auto usec = static_cast<std::uint64_t>(std::max<std::int64_t>(ToNs(*since), 0)) / 1'000;
    const int at = sd_journal_seek_realtime_usec(journal_.get(), usec);
    return at < 0 ? ErrnoError("seek in the journal", -at) : Ok();
  }
  // At the tail the position is behind the last entry only once that was gone to.
  const int sought = sd_journal_seek_tail(journal_.get());
  if (sought < 0) return ErrnoError("seek in the journal", -sought);
  if (sd_journal_previous(journal_.get()) == 0) sd_journal_seek_head(journal_.get());
  return Ok();
}

int JournalFollower::poll_fd() const { return sd_journal_get_fd(journal_.get()); }

bool JournalFollower::ReadEntry(JournalEntry* out) const {
  sd_journal* journal = journal_.get();
  // Each field is valid until the next is asked for.
  out->program = Field(journal, "SYSLOG_IDENTIFIER");
  out->message = Field(journal, "MESSAGE");
  out->pid = AsNumber<std::uint32_t>(Field(journal, "_PID")).value_or(0);
  out->uid = Uid{AsNumber<std::uint32_t>(Field(journal, "_UID")).value_or(kNoUid.value())};
  std::uint64_t usec = 0;
  if (sd_journal_get_realtime_usec(journal, &usec) < 0 || usec > INT64_MAX / 1'000) return false;
  out->at = WallTimeFromNs(static_cast<std::int64_t>(usec) * 1'000);
  return !out->message.empty();
}

bool JournalFollower::Read(std::size_t max_entries,
                           const std::function<void(const JournalEntry&)>& visit) {
  sd_journal_process(journal_.get());  // files that came and went
  for (std::size_t n = 0; n < max_entries; ++n) {
    if (sd_journal_next(journal_.get()) <= 0) return false;
    JournalEntry entry;
    if (ReadEntry(&entry)) visit(entry);
    char* cursor = nullptr;
    if (sd_journal_get_cursor(journal_.get(), &cursor) < 0) continue;
    cursor_ = cursor;
    std::free(cursor);
  }
  return true;
}

}  // namespace culprit
