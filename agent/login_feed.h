// SPDX-License-Identifier: Apache-2.0
// Logins of this host: follows its authentication logs, remembers how far they were read, and feeds
// what they tell into the sums of failures and the session book.
//
// Stage: agent (edge, joins stages). Thread: the loop's. Failure: a log that is missing or cannot
// be read is said in note(), and tried again; sessions then still show by the kernel's audit
// sessions alone.
#ifndef CULPRIT_AGENT_LOGIN_FEED_H_
#define CULPRIT_AGENT_LOGIN_FEED_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/enrich/session_book.h"
#include "agent/login/auth_log.h"
#include "agent/login/failure_table.h"
#include "agent/source/journal_follower.h"
#include "agent/source/log_follower.h"
#include "common/unique_fd.h"

namespace culprit {

class LoginFeed {
 public:
  LoginFeed(const AgentConfig& config, const Uuid& boot_id, Enricher& processes, UserNames& users);

  void On(const Event& event) { sessions_.On(event); }
  // Something was written to a log, its directory or the journal; -1: none is watched.
  int poll_fd() const { return poll_.get(); }
  // Reads what the logs have, and tells what is due.
  void Pump(const ClockPair& clock);
  // Before the last Pump(): sums that are not due go out with it.
  void Flush() { flush_ = true; }
  // Moves what is ready into the batch.
  void Take(RecordBatch* batch, std::size_t max_records);
  std::size_t pending() const { return sessions_.pending() + failures_out_.size(); }
  void ForgetSent() { sessions_.ForgetSent(); }

  bool active() const;
  std::string note() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  struct Log {
    LogFollower follower;
    AuthLogForm form = AuthLogForm::kSyslog;
  };
  void OnText(std::string_view text, AuthLogForm form, const ClockPair& clock);
  void OnEntry(const JournalEntry& entry, const ClockPair& clock);
  void OnLine(const LoginLine& line, const ClockPair& clock);
  void OpenJournal(const AgentConfig& config);
  void SaveCursor(BootTime now);
  void LoadPositions(std::vector<std::pair<std::string, LogPosition>>* out) const;
  void SavePositions(BootTime now);
  void ReadHistory(const ClockPair& clock);
  bool OfAnotherProcess(const LoginLine& line, const ClockPair& clock);
  void Watch();
  void DrainWatch();

  std::string state_path_;                    // empty: positions are not kept
  std::unique_ptr<JournalFollower> journal_;  // null: there is none, or it is not to be read
  std::string journal_path_, saved_cursor_;
  BootTime next_cursor_;
  UniqueFd poll_;  // of the journal and watch_
  std::vector<Log> logs_;
  UniqueFd watch_;
  bool flush_ = false;
  std::uint64_t history_bytes_ = 0;  // still to be read of what was there before the start
  Enricher& processes_;
  FailureTable failures_;
  SessionBook sessions_;
  std::vector<LoginFailureFacts> failures_out_;
  std::vector<LogPosition> saved_;
  BootTime next_save_, next_sums_;
  std::uint64_t lines_ = 0, understood_ = 0, forged_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_LOGIN_FEED_H_
