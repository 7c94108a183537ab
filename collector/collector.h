// SPDX-License-Identifier: Apache-2.0
// The collector: joins the stages, ingest -> journal -> index -> query, and looks after them.
//
// Stage: wiring. Thread: Start(), Tick() and Stop() from main; the stages bring their own threads.
// Failure: Start() undoes what it began. A journal that cannot write any more makes Tick() fail,
// and the daemon ends: what is not durable is never acknowledged, so the agents keep it.
#ifndef CULPRIT_COLLECTOR_COLLECTOR_H_
#define CULPRIT_COLLECTOR_COLLECTOR_H_

#include <chrono>
#include <memory>
#include <string>

#include "collector/config.h"
#include "common/result.h"

namespace culprit {

class Collector {
 public:
  // Locks data_dir, opens journal and index, listens. Errors: kFailedPrecondition (not initialised,
  // certificate, another collector on this data_dir), kAlreadyExists (port in use),
  // kPermissionDenied, kResourceExhausted (disk full).
  static Result<std::unique_ptr<Collector>> Start(const CollectorConfig& config);
  virtual ~Collector() = default;

  virtual int port() const = 0;
  // About once a second: retention, free space, health. The error says why the collector cannot go
  // on.
  virtual Status Tick() = 0;
  // Takes over what can change while it runs of a configuration that was read again, and the
  // certificates, which are read here. Errors: what is wrong with them, or with what was `read`:
  // then nothing changes, and `culprit status` says so until the next time.
  virtual Status Reload(const Result<CollectorConfig>& read) = 0;
  // Drains in the order of the pipeline: agents are sent away, calls end, the index catches up, the
  // journal is closed.
  virtual void Stop() = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_COLLECTOR_H_
