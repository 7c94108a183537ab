// SPDX-License-Identifier: Apache-2.0
// Snapshots: the snapshots that this collector has, and those on their way; takes, watches, reads
// and removes them.
//
//   Take() -> a transfer on a thread of its own (snapshot_transfer.h) -> files -> Read()
//
// Stage: snapshot. Thread: any. What was arriving when the collector ended goes on at the next
// Open(). Bounds: kMaxActive transfers, kMaxRecords records. Failure: of a transfer, in the
// snapshot's state.
#ifndef CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOTS_H_
#define CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOTS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/model/agent_control.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit {

struct SnapshotStoreLimits {
  std::uint64_t max_bytes = 20ULL << 30;                       // of all bundles; 0 = no limit
  std::uint64_t max_bundle_bytes = 2ULL << 30;                 // of one
  std::uint64_t min_free_bytes = 1ULL << 30;                   // left on the disk, for the journal
  std::chrono::milliseconds give_up = std::chrono::hours(24);  // without a byte
  std::chrono::milliseconds try_again = std::chrono::seconds(2);
};

struct SnapshotWish {
  Uuid agent_id;
  std::string host;  // as people know it
  unsigned last_tier = 0;
  std::string trigger, operator_name, case_id;  // each at most 256 bytes
};

class Snapshots {
 public:
  static constexpr std::size_t kMaxActive = 16, kMaxActivePerHost = 2, kMaxRecords = 10'000,
                               kMaxOffersAnHour = 12;
  // False: no more is wanted.
  using TakeBytes = std::function<bool(std::uint64_t offset, std::string_view bytes)>;

  // `control` outlives it.
  static Result<std::unique_ptr<Snapshots>> Open(const std::string& directory,
                                                 const SnapshotStoreLimits& limits,
                                                 AgentControl& control);
  virtual ~Snapshots() = default;

  // Errors: kFailedPrecondition (the agent is not connected), kResourceExhausted (too many at a
  // time or at all, no room), kInvalidArgument.
  virtual Result<v1::Snapshot> Take(const SnapshotWish& wish) = 0;
  // Of one that the agent began by itself, whatever it claims about it. One that is known already
  // is no error; what is final is released once more. Errors: kResourceExhausted as above, or more
  // than kMaxOffersAnHour of a host: the agent offers it again.
  virtual Status TakeOffered(const Uuid& agent_id, const std::string& host,
                             const v1::SnapshotOffer& offer) = 0;
  // By the id or its first digits. Errors: kNotFound, kInvalidArgument (several begin so).
  virtual Result<v1::Snapshot> Get(const std::string& id) const = 0;
  // Newest first.
  virtual std::vector<v1::Snapshot> List(const std::optional<Uuid>& agent_id,
                                         std::uint32_t limit) const = 0;
  // Number of the newest change of any; waits until it is above `seen`, or for `timeout`.
  virtual std::uint64_t WaitChange(std::uint64_t seen, std::chrono::milliseconds timeout) const = 0;
  // What is stored, from `offset` on; `reader` goes into the custody record. Errors: kNotFound,
  // kFailedPrecondition (nothing is stored), kDataLoss (the disk has other bytes than were stored).
  virtual Status Read(const std::string& id, std::uint64_t offset, const std::string& reader,
                      const TakeBytes& take) = 0;
  virtual Result<v1::Snapshot> Remove(const std::string& id, const std::string& operator_name) = 0;
  // Ends what is on its way, to go on later.
  virtual void Stop() = 0;
};

bool IsFinal(v1::SnapshotState state);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOTS_H_
