// SPDX-License-Identifier: Apache-2.0
// What ingest knows about its agents beyond the evidence itself: a snapshot for GetStatus and
// ListHosts. Stage: model. Thread: values. Counters since the collector started.
#ifndef CULPRIT_COLLECTOR_MODEL_INGEST_STATS_H_
#define CULPRIT_COLLECTOR_MODEL_INGEST_STATS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/time.h"

namespace culprit {

struct AgentIngestStats {
  Uuid agent_id;
  std::string name;  // common name of the certificate
  std::string peer;  // transport address of the newest connection
  std::string agent_version;
  bool connected = false;
  WallTime last_received;    // of a frame
  std::int64_t skew_ns = 0;  // agent's wall clock minus the collector's, at the newest frame
  std::uint64_t connections = 0;
  std::uint64_t frames = 0, records = 0, payload_bytes = 0;  // accepted
  std::uint64_t duplicates = 0;
  std::uint64_t gaps = 0, missing_frames = 0, forks = 0, rollbacks = 0;
  std::uint64_t rejected_frames = 0, rejected_records = 0;
  std::uint64_t refused_forks = 0;  // of forks: what is not in the journal
  std::uint64_t takeovers = 0;  // an older connection ended by a newer one
  // Of the newest hello since the collector started (zeros: there was none), and up to which frame
  // of it all is on the disk.
  Uuid stream_id;
  std::uint64_t durable_evidence = 0, durable_bulk = 0;
  std::string last_refusal;     // of a frame or hello, for a person
};

struct IngestStats {
  std::vector<AgentIngestStats> agents;
  std::uint64_t agents_connected = 0;
  std::uint64_t frames_accepted = 0, frames_duplicate = 0, frames_rejected = 0;
  std::uint64_t records_accepted = 0, records_rejected = 0;
  // Everything that was refused, by reason ("hash", "header", "not_an_agent", "journal_full", …).
  std::map<std::string, std::uint64_t> refusals;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_INGEST_STATS_H_
