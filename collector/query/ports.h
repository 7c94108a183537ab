// SPDX-License-Identifier: Apache-2.0
// What the query service asks of the rest of the collector, so that it depends on none of it.
// collector.cc wires them. Stage: query. Thread: implementations are called from any thread.
#ifndef CULPRIT_COLLECTOR_QUERY_PORTS_H_
#define CULPRIT_COLLECTOR_QUERY_PORTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/cost/place_tables.h"
#include "collector/model/ingest_stats.h"
#include "collector/model/stored.h"
#include "common/time.h"

namespace culprit {

// What ingest has seen since the collector started: fresher than the index, and the only one who
// knows of refusals.
class HostActivity {
 public:
  virtual ~HostActivity() = default;
  virtual IngestStats Read() const = 0;
};

// The collector's own state; the engine adds the index's and ingest's figures.
struct CollectorState {
  std::string version;
  WallTime started;
  Lsn journal_lsn = 0;
  std::uint64_t journal_bytes = 0, free_disk_bytes = 0;
  std::vector<std::string> degraded;
};

class StatusSource {
 public:
  virtual ~StatusSource() = default;
  virtual CollectorState Read() const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_PORTS_H_
