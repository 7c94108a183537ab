// SPDX-License-Identifier: Apache-2.0
// What the collector knows of itself at one moment, gathered from its stages by who wires them:
// from it health and metrics are made. Stage: metrics. Thread: values.
#ifndef CULPRIT_COLLECTOR_METRICS_COLLECTOR_FACTS_H_
#define CULPRIT_COLLECTOR_METRICS_COLLECTOR_FACTS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "collector/journal/journal.h"
#include "collector/model/ingest_stats.h"
#include "common/time.h"

namespace culprit {

struct CollectorFacts {
  std::string version;
  WallTime started, now;

  JournalStats journal;
  std::uint64_t disk_free_bytes = 0, disk_warn_bytes = 0, disk_critical_bytes = 0;

  struct Index {
    std::uint64_t lag = 0;  // frames
    std::uint64_t records = 0, rejected_records = 0, bytes = 0;
    std::string failing;  // empty = working, here and below
  } index;

  struct Detect {
    std::uint64_t lag = 0;  // frames
    std::uint64_t findings = 0;
    std::string failing;
  } detect;

  struct AlertTarget {
    std::string name;
    std::uint64_t queued = 0, delivered = 0, lost = 0, failures = 0;
    std::string last_error;
  };
  std::vector<AlertTarget> alerts;
  std::string alerts_failing;

  IngestStats ingest;
  std::chrono::seconds silence{90};  // from here on an agent is silent

  WallTime certificate_not_after;
  WallTime config_loaded;
  std::string config_refused;       // empty = the newest file is in force
  std::size_t restart_pending = 0;  // keys that it has otherwise, after a restart
  std::size_t degraded = 0;         // lines of `culprit status`

  struct Process {
    double cpu_seconds = 0;
    std::uint64_t resident_bytes = 0, open_fds = 0;
  } process;
};

// Of this process, from /proc; what cannot be read is 0.
CollectorFacts::Process ReadOwnProcess();

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_METRICS_COLLECTOR_FACTS_H_
