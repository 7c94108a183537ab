// SPDX-License-Identifier: Apache-2.0
#include "agent/login_feed.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>

#include "common/ascii.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kReadBytes = 1U << 20;  // of a log at once
constexpr std::chrono::seconds kSums{1};      // how often it is looked which are due
constexpr std::size_t kReadEntries = 10'000;  // of the journal at once
constexpr std::size_t kMaxPositions = 64U << 10;
constexpr std::chrono::days kHistory{30};  // of the journal, but not beyond the boot
constexpr std::size_t kHistoryEntries = 500'000;
constexpr std::chrono::seconds kLogSecond{2};  // lines of syslog have whole seconds

// Where a log is begun of which history is wanted: its end, and what was rotated away before it.
LogPosition HistoryOf(const std::string& path, std::uint64_t bytes) {
  for (const std::string& name : {path + ".1", path}) {
    struct stat now {};
    if (stat(name.c_str(), &now) != 0 || !S_ISREG(now.st_mode)) continue;
    const auto size = static_cast<std::uint64_t>(now.st_size);
    return {now.st_dev, now.st_ino, size - std::min(size, bytes)};
  }
  return {};
}

// All of a history comes at once: its lines are old, and not a storm.
SessionLimits LimitsFor(const AgentConfig& config) {
  SessionLimits limits;
  if (config.logins.history_bytes > 0) limits.max_unconfirmed = limits.max_pending;
  return limits;
}

std::chrono::seconds UtcOffset(WallTime now) {
  const std::time_t seconds = ToNs(now) / 1'000'000'000;
  std::tm local{};
  return std::chrono::seconds(localtime_r(&seconds, &local) == nullptr ? 0 : local.tm_gmtoff);
}

std::uint64_t Number(std::string_view* text) {
  std::uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  text->remove_prefix(static_cast<std::size_t>(stop - text->data()));
  if (text->starts_with(' ')) text->remove_prefix(1);
  return error == std::errc() ? value : 0;
}

}  // namespace

LoginFeed::LoginFeed(const AgentConfig& config, const Uuid& boot_id, Enricher& processes,
                     UserNames& users)
    : processes_(processes), sessions_(boot_id, processes, users, LimitsFor(config)) {
  if (!config.logins.enabled) return;
  history_bytes_ = config.logins.history_bytes;
  if (!config.state_dir.empty()) state_path_ = config.state_dir + "/logins";
  std::vector<std::pair<std::string, LogPosition>> known;
  LoadPositions(&known);
  const auto add = [&](const std::string& path, AuthLogForm form) {
    const auto at = std::ranges::find(known, path, [](const auto& entry) { return entry.first; });
    const LogPosition begin = history_bytes_ > 0 ? HistoryOf(path, history_bytes_) : LogPosition{};
    logs_.push_back({LogFollower(path, at == known.end() ? begin : at->second), form});
  };
  OpenJournal(config);
  if (!journal_) {
    for (const std::string& path : config.logins.files) add(path, AuthLogForm::kSyslog);
  }
  for (const std::string& path : config.logins.sshd_files) add(path, AuthLogForm::kMessages);
  Watch();
  poll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {watch_.get(), journal_ ? journal_->poll_fd() : -1}) {
    epoll_event event{EPOLLIN, {}};
    if (fd >= 0) epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
}

void LoginFeed::OpenJournal(const AgentConfig& config) {
  if (!config.logins.journal) return;
  if (!config.state_dir.empty()) journal_path_ = config.state_dir + "/logins-journal";
  std::optional<WallTime> since;
  if (history_bytes_ > 0) {
    const ClockPair clock = ReadClockPair();
    since = std::max(clock.wall - kHistory, clock.ToWall(BootTime{}));
  }
  std::string cursor;
  if (auto text = ReadWholeFile(journal_path_, kMaxPositions)) cursor = std::move(*text);
  auto journal =
      JournalFollower::Open(config.logins.journal_directory,
                            {std::begin(kAuthPrograms), std::end(kAuthPrograms)}, cursor, since);
  if (journal) journal_ = std::move(*journal);
}

// Not written: entries are read again after a restart, which is harmless.
void LoginFeed::SaveCursor(BootTime now) {
  if (!journal_ || journal_path_.empty()) return;
  if (journal_->cursor() == saved_cursor_ || (now < next_cursor_ && !flush_)) return;
  next_cursor_ = now + std::chrono::seconds(1);
  if (WriteFileAtomically(journal_path_, journal_->cursor(), 0600))
    saved_cursor_ = journal_->cursor();
}

// The logs, and their directories: one may be renamed and created again. What is watched already
// stays so.
void LoginFeed::Watch() {
  if (!watch_) watch_ = UniqueFd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  for (const Log& log : logs_) {
    const std::string& path = log.follower.path();
    const std::string directory = path.substr(0, path.rfind('/') + 1);
    if (!watch_) return;
    inotify_add_watch(watch_.get(), directory.c_str(), IN_CREATE | IN_MOVED_TO);
    inotify_add_watch(watch_.get(), path.c_str(), IN_MODIFY);
  }
}

void LoginFeed::DrainWatch() {
  alignas(inotify_event) std::array<char, 4096> events{};
  bool again = false;
  for (ssize_t n = 1; watch_ && n > 0;) {
    n = read(watch_.get(), events.data(), events.size());
    for (ssize_t at = 0; at < n;) {
      inotify_event event{};
      std::memcpy(&event, events.data() + at, sizeof event);
      again = again || (event.mask & IN_MODIFY) == 0;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
  if (again) Watch();
}

// A line for each log: device, inode, offset, path.
void LoginFeed::LoadPositions(std::vector<std::pair<std::string, LogPosition>>* out) const {
  const auto text = ReadWholeFile(state_path_, kMaxPositions);
  if (!text) return;
  for (std::string_view rest = *text; !rest.empty();) {
    std::string_view line = NextLine(&rest);
    LogPosition at;
    at.device = Number(&line);
    at.inode = Number(&line);
    at.offset = Number(&line);
    out->emplace_back(line, at);
  }
}

void LoginFeed::SavePositions(BootTime now) {
  if (state_path_.empty() || logs_.empty() || (now < next_save_ && !flush_)) return;
  std::vector<LogPosition> positions;
  std::string text;
  for (const Log& log : logs_) {
    const LogPosition at = log.follower.position();
    positions.push_back(at);
    text += std::to_string(at.device) + " " + std::to_string(at.inode) + " " +
            std::to_string(at.offset) + " " + log.follower.path() + "\n";
  }
  if (positions == saved_) return;
  next_save_ = now + std::chrono::seconds(1);
  // Not written: lines are read again after a restart, which is harmless.
  if (WriteFileAtomically(state_path_, text, 0600)) saved_ = std::move(positions);
}

void LoginFeed::OnText(std::string_view text, AuthLogForm form, const ClockPair& clock) {
  ++lines_;
  const auto line = ParseAuthLine(text, form, {clock.wall, UtcOffset(clock.wall)});
  if (line && line->kind != LoginLineKind::kOther) OnLine(*line, clock);
}

// sshd and login are root's; EC2 Instance Connect writes as a user of its own.
void LoginFeed::OnEntry(const JournalEntry& entry, const ClockPair& clock) {
  ++lines_;
  auto line = ParseAuthMessage(entry.program, entry.pid, entry.message);
  if (!line || line->kind == LoginLineKind::kOther) return;
  if (entry.uid != Uid{0} && line->kind != LoginLineKind::kKeyHandedOut) {
    ++forged_;
    return;
  }
  line->at = entry.at;
  line->vouched = entry.uid == Uid{0};
  OnLine(*line, clock);
}

// Pids are used again: a process that began after the line was written did not write it.
bool LoginFeed::OfAnotherProcess(const LoginLine& line, const ClockPair& clock) {
  if (history_bytes_ == 0 || line.pid == 0 || !line.at) return false;
  const Process* process = processes_.FindLive(Tgid(line.pid));
  return process != nullptr && clock.ToWall(process->key.start) > *line.at + kLogSecond;
}

void LoginFeed::OnLine(const LoginLine& told, const ClockPair& clock) {
  ++understood_;
  LoginLine adopted;
  const LoginLine* line = &told;
  if (OfAnotherProcess(told, clock)) {
    adopted = told;
    adopted.pid = 0;
    line = &adopted;
  }
  switch (line->kind) {
    case LoginLineKind::kFailed:
    case LoginLineKind::kInvalidUser:
    case LoginLineKind::kClosed:
    case LoginLineKind::kTooMany:
      return failures_.On(*line, clock.boot, line->at.value_or(clock.wall));
    default:
      return sessions_.On(*line, clock.boot,
                          line->from ? failures_.FailuresFrom(line->from->address, clock.boot) : 0);
  }
}

// At once, and once: what is told about the live sessions stands somewhere in it.
void LoginFeed::ReadHistory(const ClockPair& clock) {
  if (journal_) {
    std::size_t read = 0;
    while (read < kHistoryEntries && journal_->Read(kReadEntries, [&](const JournalEntry& entry) {
      OnEntry(entry, clock);
    }))
      read += kReadEntries;
  }
  for (Log& log : logs_) {
    std::uint64_t read = 0;
    while (read < 2 * history_bytes_ && log.follower.Read(kReadBytes, [&](std::string_view line) {
      OnText(line, log.form, clock);
    }))
      read += kReadBytes;
  }
  history_bytes_ = 0;
}

void LoginFeed::Pump(const ClockPair& clock) {
  DrainWatch();
  if (history_bytes_ > 0) ReadHistory(clock);
  if (journal_) {
    journal_->Read(kReadEntries, [&](const JournalEntry& entry) { OnEntry(entry, clock); });
  }
  for (Log& log : logs_) {
    log.follower.Read(kReadBytes, [&](std::string_view line) { OnText(line, log.form, clock); });
  }
  sessions_.Tick(clock.boot);
  if (clock.boot >= next_sums_) {
    next_sums_ = clock.boot + kSums;
    failures_.Tick(clock.boot, &failures_out_);
  }
  if (flush_) failures_.Flush(&failures_out_);
  SavePositions(clock.boot);
  SaveCursor(clock.boot);
}

void LoginFeed::Take(RecordBatch* batch, std::size_t max_records) {
  sessions_.Take(batch, max_records);
  const std::size_t n = std::min(max_records, failures_out_.size());
  batch->login_failures.assign(failures_out_.begin(),
                               failures_out_.begin() + static_cast<std::ptrdiff_t>(n));
  failures_out_.erase(failures_out_.begin(),
                      failures_out_.begin() + static_cast<std::ptrdiff_t>(n));
}

bool LoginFeed::active() const {
  if (journal_) return true;
  return std::ranges::any_of(logs_, [](const Log& log) { return log.follower.open(); });
}

std::string LoginFeed::note() const {
  if (logs_.empty() && !journal_) {
    return "switched off: sessions are known by the kernel's audit sessions alone";
  }
  std::string out = journal_ ? "reads the journal" : "";
  for (const Log& log : logs_) {
    if (!log.follower.open()) continue;
    out += (out.empty() ? "reads " : ", ") + log.follower.path();
  }
  return out.empty() ? "there is no journal, and none of the logs in [logins]: sessions are known "
                       "by the kernel's audit "
                       "sessions alone, failed logins not at all"
                     : out;
}

std::vector<std::pair<std::string, std::uint64_t>> LoginFeed::counters() const {
  const SessionCounters& sessions = sessions_.counters();
  return {{"login log lines", lines_},
          {"login log lines understood", understood_},
          {"login log entries that root did not write", forged_},
          {"logins", sessions.logins},
          {"logins without a process", sessions.unconfirmed},
          {"sessions that no log told about", sessions.unlogged},
          {"failed logins", failures_.failures()},
          {"changes of login uid", sessions.uid_changes}};
}

}  // namespace culprit
