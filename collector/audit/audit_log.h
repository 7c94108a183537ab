// SPDX-License-Identifier: Apache-2.0
// The append-only audit log: what operators asked and did, what was enrolled, revoked and refused.
// Files audit-NNNNNNNNNNNN.jsonl, named by the number of their first line; a new one begins at
// `segment_bytes`, its first line chained to the last of the one before. Nothing is ever removed or
// rewritten; only a line that a crash cut short, and that nobody was told of, is.
//
// Stage: audit (edge: files). Thread: any; also several processes (the daemon and the commands of
// culprit-collector), which exclude each other by a lock. Failure: an error is returned and kept in
// failing() until an append works again; who audits an action must then refuse the action.
#ifndef CULPRIT_COLLECTOR_AUDIT_AUDIT_LOG_H_
#define CULPRIT_COLLECTOR_AUDIT_AUDIT_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collector/audit/audit_chain.h"
#include "common/result.h"
#include "common/time.h"
#include "common/unique_fd.h"

namespace culprit {

struct AuditOptions {
  std::string directory;
  std::uint64_t segment_bytes = 16ULL << 20;
};

class AuditLog {
 public:
  // Makes the directory. Errors: not writable.
  static Result<std::unique_ptr<AuditLog>> Open(const AuditOptions& options);
  AuditLog(AuditOptions options, UniqueFd lock)
      : options_(std::move(options)), lock_(std::move(lock)) {}

  // On disk (fdatasync returned) when it returns.
  Status Append(const AuditEvent& event, WallTime now);
  // Of what a stranger causes: at most kBurst lines at once and then one a second, so that nobody
  // fills the disk or wears it out from outside. What is left out is counted in the next line.
  void AppendBounded(AuditEvent event, WallTime now);
  // Why the last append failed; empty = it did not.
  std::string failing() const;

 private:
  static constexpr double kBurst = 64;
  struct Tail {
    std::string file;  // the newest one's name; empty = there is none
    std::uint64_t size = 0, seq = 0;
    std::string hash;
  };
  Status AppendLocked(const AuditEvent& event, WallTime now);
  Status FindTail();
  Status ReadTail(const std::vector<std::string>& files);
  Status WriteLine(const std::string& line, std::uint64_t seq);

  const AuditOptions options_;
  const UniqueFd lock_;
  mutable std::mutex mutex_;
  // All below under the mutex.
  Tail tail_;
  UniqueFd file_;
  std::string failing_;
  double credit_ = kBurst;
  WallTime credit_at_;
  std::uint64_t left_out_ = 0;
};

struct AuditReport {
  std::uint64_t entries = 0, last_seq = 0;
  std::string last_hash;            // to be noted elsewhere: a log that was cut off ends with another
  std::vector<std::string> damage;  // one line a place: file, line, what; at most 100
};
// Reads and checks all of it, oldest first; `visit` gets the lines that check out. Errors: a file
// that cannot be read.
Result<AuditReport> ReadAudit(const std::string& directory,
                              const std::function<void(const AuditEntry&)>& visit);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_AUDIT_AUDIT_LOG_H_
