// SPDX-License-Identifier: Apache-2.0
#include "collector/audit/audit_log.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxDamage = 100;

std::string NameOf(std::uint64_t first_seq) { return fmt::format("audit-{:012}.jsonl", first_seq); }

// Sorted, so oldest first.
Result<std::vector<std::string>> FilesIn(const std::string& directory) {
  TRY(std::vector<std::string> files, ListDirectory(directory));
  std::erase_if(files, [](const std::string& name) {
    return !name.starts_with("audit-") || !name.ends_with(".jsonl");
  });
  return files;
}

// Excludes other processes for a scope.
class Locked {
 public:
  explicit Locked(int fd) : fd_(fd) {
    while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Locked() { flock(fd_, LOCK_UN); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  int fd_;
};

// The last whole line of a file and where it ends; empty if there is none.
struct LastLine {
  std::string text;
  std::uint64_t end = 0;
};
Result<LastLine> ReadLastLine(int fd, std::uint64_t size) {
  const std::uint64_t from = size > 2 * kMaxAuditLine ? size - 2 * kMaxAuditLine : 0;
  std::string tail(static_cast<std::size_t>(size - from), '\0');
  const ssize_t n = pread(fd, tail.data(), tail.size(), static_cast<off_t>(from));
  if (n < 0) return ErrnoError("read");
  tail.resize(static_cast<std::size_t>(n));
  const std::size_t end = tail.rfind('\n');
  if (end == std::string::npos) return LastLine{"", from};
  const std::size_t before = end == 0 ? std::string::npos : tail.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return LastLine{tail.substr(begin, end - begin), from + end + 1};
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(const AuditOptions& options) {
  TRY_VOID(MakeDirectories(options.directory, 0700));
  const std::string path = options.directory + "/lock";
  UniqueFd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return ErrnoError("open " + path);
  return std::make_unique<AuditLog>(options, std::move(lock));
}

Status AuditLog::Append(const AuditEvent& event, WallTime now) {
  const std::lock_guard lock(mutex_);
  Status status = AppendLocked(event, now);
  failing_ = status ? "" : status.error().message;
  return status;
}

void AuditLog::AppendBounded(AuditEvent event, WallTime now) {
  const std::lock_guard lock(mutex_);
  const double passed = std::chrono::duration<double>(now - credit_at_).count();
  if (passed > 0) credit_ = std::min(kBurst, credit_ + passed);
  credit_at_ = now;
  if (credit_ < 1) {
    ++left_out_;
    return;
  }
  credit_ -= 1;
  if (left_out_ > 0) event.detail += fmt::format(" (before it {} more, left out)", left_out_);
  if (AppendLocked(event, now)) left_out_ = 0;
}

std::string AuditLog::failing() const {
  const std::lock_guard lock(mutex_);
  return failing_;
}

Status AuditLog::AppendLocked(const AuditEvent& event, WallTime now) {
  const Locked others(lock_.get());
  if (Status found = FindTail(); !found) return std::move(found).error().Context("audit log");
  AuditEntry entry;
  entry.seq = tail_.seq + 1;
  entry.time = now;
  entry.event = event;
  entry.prev = tail_.hash;
  const std::string line = WriteAuditLine(&entry) + "\n";
  if (Status written = WriteLine(line, entry.seq); !written) {
    tail_ = {};  // looked at again: part of the line may be there
    file_.Reset();
    return std::move(written).error().Context("audit log");
  }
  tail_.seq = entry.seq;
  tail_.hash = entry.hash;
  return Ok();
}

// Another process may have gone on meanwhile.
Status AuditLog::FindTail() {
  TRY(const std::vector<std::string> files, FilesIn(options_.directory));
  if (files.empty()) {
    tail_ = {"", 0, 0, FirstAuditHash()};
    file_.Reset();
    return Ok();
  }
  struct stat st {};
  const bool same = file_ && files.back() == tail_.file && fstat(file_.get(), &st) == 0 &&
                    st.st_nlink > 0 && static_cast<std::uint64_t>(st.st_size) == tail_.size;
  return same ? Ok() : ReadTail(files);
}

// The last line decides, in the newest file that has one. A line that is cut short was never
// acknowledged to anybody.
Status AuditLog::ReadTail(const std::vector<std::string>& files) {
  tail_ = {files.back(), 0, 0, FirstAuditHash()};
  for (auto name = files.rbegin(); name != files.rend(); ++name) {
    const std::string path = options_.directory + "/" + *name;
    UniqueFd fd(open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
    if (!fd) return ErrnoError("open " + path);
    TRY(const std::uint64_t size, FileSize(fd.get()));
    TRY(const LastLine last, ReadLastLine(fd.get(), size));
    if (*name == files.back()) {
      if (last.end != size && ftruncate(fd.get(), static_cast<off_t>(last.end)) != 0) {
        return ErrnoError("cut the torn end of " + path);
      }
      tail_.size = last.end;
      file_ = std::move(fd);
    }
    if (last.text.empty()) continue;
    auto entry = ReadAuditLine(last.text);
    if (!entry) {
      return DataLoss(path + ": its last line is damaged (" + entry.error().message +
                      "): keep the file elsewhere, look at it, and move it away");
    }
    tail_.seq = entry->seq;
    tail_.hash = entry->hash;
    return Ok();
  }
  return Ok();
}

Status AuditLog::WriteLine(const std::string& line, std::uint64_t seq) {
  const bool full = tail_.size > 0 && tail_.size + line.size() > options_.segment_bytes;
  if (!file_ || full) {
    const std::string name = NameOf(seq), path = options_.directory + "/" + name;
    file_.Reset(open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file_) return ErrnoError("create " + path);
    TRY_VOID(SyncDirectory(options_.directory));
    tail_.file = name;
    tail_.size = 0;
  }
  TRY_VOID(WriteAll(file_.get(), line));
  if (fdatasync(file_.get()) != 0) return ErrnoError("fdatasync");
  tail_.size += line.size();
  return Ok();
}

Result<AuditReport> ReadAudit(const std::string& directory,
                              const std::function<void(const AuditEntry&)>& visit) {
  AuditReport report;
  report.last_hash = FirstAuditHash();
  const auto files = FilesIn(directory);
  if (!files) {
    if (files.error().code == Code::kNotFound) return report;
    return files.error();
  }
  const auto damaged = [&report](const std::string& file, std::uint64_t line, std::string what) {
    if (report.damage.size() < kMaxDamage) {
      report.damage.push_back(fmt::format("{} line {}: {}", file, line, what));
    }
  };
  for (const std::string& file : *files) {
    std::ifstream in(directory + "/" + file, std::ios::binary);
    if (!in) return ErrnoError("open " + directory + "/" + file);
    std::string text;
    for (std::uint64_t number = 1; std::getline(in, text); ++number) {
      if (in.eof()) break;  // without its newline: being written, or cut short by a crash
      auto entry = ReadAuditLine(text);
      if (!entry) {
        damaged(file, number, entry.error().message);
        continue;
      }
      if (entry->seq != report.last_seq + 1) {
        damaged(file, number,
                fmt::format("is entry {} and follows {}", entry->seq, report.last_seq));
      } else if (entry->prev != report.last_hash) {
        damaged(file, number, "does not continue the line before it");
      }
      report.last_seq = entry->seq;
      report.last_hash = entry->hash;
      ++report.entries;
      visit(*entry);
    }
  }
  return report;
}

}  // namespace culprit
