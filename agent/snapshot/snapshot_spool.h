// SPDX-License-Identifier: Apache-2.0
// SnapshotSpool: the folder in which bundles for the collector wait: the process that collects
// writes one, the sensor reads it meanwhile and afterwards.
//
//   ID.order   what was asked for            ID.bundle  the bytes; locked by whoever writes them
//   ID.step    what is being collected       ID.end     how it ended, with the hash
//
// All of it survives either process: a bundle that is being written goes on under the next sensor.
//
// Stage: snapshot (edge: files). Thread: one caller a process. Failure: errors name the path; of a
// folder that somebody else wrote to nothing is believed beyond its form.
#ifndef CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_SPOOL_H_
#define CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_SPOOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/control.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct SpoolOrder {
  Uuid id;
  std::string instance_id, hostname;
  std::string trigger, operator_name, case_id;
  unsigned last_tier = 0;
  std::uint64_t max_bytes = 0;  // of the bundle
  bool own = false;             // begun by the agent itself
  std::int64_t begun_ns = 0;    // wall clock
};

// Total on any bytes.
std::string FormatSpoolOrder(const SpoolOrder& order);
Result<SpoolOrder> ParseSpoolOrder(std::string_view text);
std::string FormatSpoolEnd(const SnapshotTotals& end);
Result<SnapshotTotals> ParseSpoolEnd(std::string_view text);

// A bundle as it is now.
struct SpooledBundle {
  UniqueFd fd;
  std::uint64_t size = 0;
  bool being_written = false;
  SnapshotStep step;
  std::optional<SnapshotTotals> end;  // null: being written, or its writer was ended
};

class SnapshotSpool {
 public:
  static Result<SnapshotSpool> Open(std::string directory);

  // The bundle's descriptor, locked: hand it to the process that writes, and close it here.
  Result<UniqueFd> Begin(const SpoolOrder& order) const;
  // Oldest first.
  Result<std::vector<Uuid>> Ids() const;
  // Errors: kNotFound.
  Result<SpooledBundle> Look(const Uuid& id) const;
  Result<SpoolOrder> Order(const Uuid& id) const;
  void Remove(const Uuid& id) const;

  // The writer's.
  Status Step(const Uuid& id, const SnapshotStep& step) const;
  Status End(const Uuid& id, const SnapshotTotals& end) const;

 private:
  explicit SnapshotSpool(std::string directory) : directory_(std::move(directory)) {}
  std::string PathOf(const Uuid& id, std::string_view what) const;
  std::string directory_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_SPOOL_H_
