// SPDX-License-Identifier: Apache-2.0
// FindingStore: findings and what operators decided about them, in a SQLite file of its own. The
// index can be thrown away and rebuilt; a decision cannot. Findings are put by id, so that evidence
// that is read again changes nothing.
//
// Stage: detect (edge: a file). Thread: any; calls exclude each other. Failure: errors are
// returned; what was put before is kept. Suppressions: a finding that an operator called a false
// positive keeps later ones of the same rule, executable (by its hash; of interpreters and tools
// also the command line) and targets in that state, and comes back when it reaches other targets.
#ifndef CULPRIT_COLLECTOR_DETECT_FINDING_STORE_H_
#define CULPRIT_COLLECTOR_DETECT_FINDING_STORE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/detect/baseline.h"
#include "collector/model/stored.h"
#include "common/result.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

struct FindingQuery {
  std::string host, rule, id;  // id: its first digits; empty = any
  v1::Severity min_severity = v1::SEVERITY_UNSPECIFIED;
  std::vector<v1::FindingState> states;  // none = all
  WallTime since;
  std::uint64_t changed_after = 0;  // only with a later change number (Follow)
  std::uint32_t limit = 100;
};

struct FindingDecision {
  v1::FindingState state = v1::FINDING_STATE_UNSPECIFIED;
  std::string reason, by;
  WallTime at;
};

struct FindingChange {
  std::uint64_t number = 0;
  v1::Finding finding;
};

class FindingStore {
 public:
  virtual ~FindingStore() = default;

  // New, or newer than what is there under its id. An open episode of the same host, rule and group
  // that ended within an hour before takes it in: who begins to read in the middle does not begin a
  // second one.
  virtual Status Put(v1::Finding finding, WallTime now) = 0;
  // Lines of the baseline; those that are gone go.
  virtual Status PutSeen(const std::vector<SeenRow>& rows) = 0;
  // All of them. What was not seen for a quarter of a year is left out, and goes.
  virtual Result<std::vector<SeenRow>> LoadSeen() = 0;
  // All frames up to here are in what was put. One transaction with the puts since the last call.
  virtual Status Commit(Lsn lsn) = 0;
  virtual Lsn committed() const = 0;

  // Newest first.
  virtual Result<std::vector<v1::Finding>> List(const FindingQuery& query) const = 0;
  // What was committed with a number above `after`, in the order of the numbers; of several changes
  // of one finding the newest alone.
  virtual Result<std::vector<FindingChange>> Changes(std::uint64_t after,
                                                     std::uint32_t limit) const = 0;
  // Errors: kNotFound.
  virtual Result<v1::Finding> Decide(const std::string& id, const FindingDecision& decision) = 0;
  // Number of the newest change; blocks until it is above `seen` or `timeout`.
  virtual std::uint64_t WaitChange(std::uint64_t seen, std::chrono::milliseconds timeout) const = 0;
};

// Opens or creates `path`. Errors: not writable, another version (the remedy is in the message).
Result<std::unique_ptr<FindingStore>> OpenFindingStore(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_FINDING_STORE_H_
