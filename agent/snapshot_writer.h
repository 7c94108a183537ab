// SPDX-License-Identifier: Apache-2.0
// The process that collects a snapshot for the collector: started by the sensor with the bundle as
// descriptor 3, it reads what was ordered out of the snapshot spool, collects, and writes there how
// it ended. Stage: wiring (edge: files). Thread: the program's.
#ifndef CULPRIT_AGENT_SNAPSHOT_WRITER_H_
#define CULPRIT_AGENT_SNAPSHOT_WRITER_H_

#include <string>

#include "common/result.h"

namespace culprit {

struct SnapshotWriterOptions {
  std::string state_dir, spool_directory, id, version;
  std::string metadata;  // endpoint of the EC2 metadata service; empty: it is not asked
};

// Errors: not started by the sensor, or the spool cannot be written; what could not be collected is
// no error.
Status RunSnapshotWriter(const SnapshotWriterOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_WRITER_H_
