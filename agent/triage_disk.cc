// SPDX-License-Identifier: Apache-2.0
// The half of triage for a mounted disk: who it was, and what its logs tell about logins. Nothing
// of the machine that it is mounted at is read.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "agent/identity.h"
#include "agent/login/auth_log.h"
#include "agent/posture/disk_tree.h"
#include "agent/snapshot/host_files.h"
#include "agent/source/journal_follower.h"
#include "agent/triage.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kSmall = 4'096, kNames = 5'000;
constexpr std::uint64_t kLogEnd = 64ULL << 20;  // of each file, the newest
constexpr std::size_t kEntries = 2'000'000;     // of a journal
constexpr std::size_t kMaxLogins = 10'000, kMaxShown = 100, kMaxFailed = 20, kMaxSources = 100'000;
constexpr const char* kLogs = "/var/log";
constexpr const char* kJournal = "/var/log/journal";

std::string FirstLine(DiskTree& tree, const std::string& path) {
  const auto content = tree.Read(path, kSmall);
  return content ? content->bytes.substr(0, content->bytes.find('\n')) : std::string();
}

class DiskLogins {
 public:
  explicit DiskLogins(TriageReport* report) : report_(report) {}

  void On(const LoginLine& line) {
    if (line.kind == LoginLineKind::kKeyFound) {
      found_at_[line.key_fingerprint] = line.key_found_at;
    } else if (line.kind == LoginLineKind::kFailed || line.kind == LoginLineKind::kInvalidUser) {
      report_->failed_attempts += line.times;
      const std::string address = line.from ? line.from->address.ToString() : "several";
      if (failures_.size() < kMaxSources || failures_.contains({address, line.user}))
        failures_[{address, line.user}] += line.times;
    } else if (line.kind == LoginLineKind::kAccepted || line.kind == LoginLineKind::kConsole) {
      Accepted(line);
    }
  }

  void Finish() {
    auto& logins = report_->logins;
    std::ranges::stable_sort(
        logins, [](const TriageLogin& a, const TriageLogin& b) { return a.at_ns > b.at_ns; });
    if (logins.size() > kMaxShown) {
      report_->gaps.push_back(std::to_string(logins.size() - kMaxShown) +
                              " older logins: the bundle has the logs");
      logins.resize(kMaxShown);
    }
    for (const auto& [who, count] : failures_)
      report_->failures.push_back({who.first, who.second, count});
    std::ranges::stable_sort(report_->failures,
                             [](const auto& a, const auto& b) { return a.count > b.count; });
    if (report_->failures.size() > kMaxFailed) report_->failures.resize(kMaxFailed);
  }

 private:
  void Accepted(const LoginLine& line) {
    if (report_->logins.size() >= kMaxLogins) report_->logins.erase(report_->logins.begin());
    TriageLogin login;
    login.login.kind = line.kind == LoginLineKind::kConsole ? LoginKind::kConsole : LoginKind::kSsh;
    login.login.user = line.user;
    login.login.method = line.method;
    login.login.from = line.from;
    login.login.key_type = line.key_type;
    login.login.key_fingerprint = line.key_fingerprint;
    login.login.certificate_id = line.certificate_id;
    login.login.pid = line.pid;
    if (const auto found = found_at_.find(line.key_fingerprint); found != found_at_.end())
      login.login.key_found_at = found->second;
    login.at_ns = line.at ? ToNs(*line.at) : 0;
    login.ended = true;
    login.by = "the log of the disk alone";
    report_->logins.push_back(std::move(login));
  }

  TriageReport* report_;
  std::map<std::string, std::string> found_at_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> failures_;
};

// The newest part of a log, line by line. Times without a year are read by when it was last
// written.
void ReadLog(const HostFiles& host, const std::string& path, DiskLogins* logins,
             std::vector<std::string>* gaps) {
  FileEntry entry;
  const auto fd = host.OpenRegular(path, &entry);
  if (!fd) {
    gaps->push_back(path + ": " + fd.error().message);
    return;
  }
  if (entry.facts.size > kLogEnd) {
    gaps->push_back(path + ": its newest 64 MiB alone");
    lseek(fd->get(), static_cast<off_t>(entry.facts.size - kLogEnd), SEEK_SET);
  }
  const auto text = ReadBounded(fd->get(), kLogEnd);
  if (!text) return;
  const AuthLogClock clock{WallTimeFromNs(entry.facts.mtime_ns), std::chrono::seconds(0)};
  for (std::string_view rest = *text; !rest.empty();) {
    const std::string_view line = NextLine(&rest);
    if (const auto read = ParseAuthLine(line, AuthLogForm::kSyslog, clock)) logins->On(*read);
  }
}

void ReadLogs(const HostFiles& host, DiskLogins* logins, std::vector<std::string>* gaps) {
  bool cut = false;
  const auto names = host.List(kLogs, kNames, &cut);
  if (!names) {
    gaps->push_back(std::string(kLogs) + ": " + names.error().message);
    return;
  }
  std::vector<std::pair<std::int64_t, std::string>> files;  // by age, so that lines come in order
  for (const std::string& name : *names) {
    if (!name.starts_with("auth.log") && !name.starts_with("secure")) continue;
    const std::string path = std::string(kLogs) + "/" + name;
    if (name.ends_with(".gz") || name.ends_with(".xz") || name.ends_with(".zst")) {
      gaps->push_back(path + ": packed, not read (the bundle may have it)");
    } else if (const auto entry = host.Look(path)) {
      files.emplace_back(entry->facts.mtime_ns, path);
    }
  }
  std::ranges::sort(files);
  for (const auto& [time, path] : files) ReadLog(host, path, logins, gaps);
}

// libsystemd follows links: where there is one, it could lead out of the disk.
bool HasLinks(const HostFiles& host, const std::string& path, unsigned depth) {
  bool cut = false;
  const auto names = host.List(path, kNames, &cut);
  if (!names || cut) return true;
  return std::ranges::any_of(*names, [&](const std::string& name) {
    const auto entry = host.Look(path + "/" + name);
    if (!entry || S_ISLNK(entry->mode)) return true;
    return S_ISDIR(entry->mode) && (depth == 0 || HasLinks(host, path + "/" + name, depth - 1));
  });
}

void ReadJournal(const HostFiles& host, const std::string& root, DiskLogins* logins,
                 std::vector<std::string>* gaps) {
  if (!host.Look(kJournal)) return;
  if (HasLinks(host, kJournal, 2)) {
    gaps->push_back(std::string(kJournal) + ": not read, there are links in it");
    return;
  }
  const auto journal = JournalFollower::Open(
      root + kJournal, {std::begin(kAuthPrograms), std::end(kAuthPrograms)}, "", WallTime{});
  if (!journal) {
    gaps->push_back(std::string(kJournal) + ": " + journal.error().message);
    return;
  }
  const bool more = (*journal)->Read(kEntries, [&](const JournalEntry& entry) {
    auto line = ParseAuthMessage(entry.program, entry.pid, entry.message);
    if (!line || entry.uid != Uid{0}) return;  // anybody can write what sshd would
    line->at = entry.at;
    logins->On(*line);
  });
  if (more) gaps->push_back(std::string(kJournal) + ": its oldest entries alone");
}

}  // namespace

Result<TriageReport> ReadDisk(const std::string& root) {
  TRY(const HostFiles host, HostFiles::Open(root));
  TRY(const auto tree, DiskTree::Open(root));
  TriageReport report;
  report.root = root;
  report.host = FirstLine(*tree, "/etc/hostname");
  report.instance = FirstLine(*tree, "/var/lib/cloud/data/instance-id");
  const auto release = tree->Read("/etc/os-release", kSmall);
  if (release) report.os = OsReleaseField(release->bytes, "PRETTY_NAME");
  DiskLogins logins(&report);
  ReadLogs(host, &logins, &report.gaps);
  ReadJournal(host, root, &logins, &report.gaps);
  logins.Finish();
  report.gaps.emplace_back(
      "a disk that does not run: no process, connection or memory; times of "
      "text logs without a zone are taken as UTC");
  return report;
}

}  // namespace culprit
