// SPDX-License-Identifier: Apache-2.0
// Everything that the report of one incident is made of: the collector's answers about one host and
// its culprits, as they came.
//
// Stage: report, pure. Thread: values. Text in it is what a host, or somebody on it, says: whoever
// writes it out escapes it.
#ifndef CULPRIT_COLLECTOR_REPORT_INCIDENT_H_
#define CULPRIT_COLLECTOR_REPORT_INCIDENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/bundle_summary.h"
#include "culprit/v1/findings.pb.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/query_login.pb.h"
#include "culprit/v1/query_posture.pb.h"

namespace culprit::report {

// Bytes of the culprits within [from_ns, to_ns).
struct Bucket {
  std::int64_t from_ns = 0, to_ns = 0;
  std::uint64_t tx_bytes = 0, rx_bytes = 0;
};

struct SnapshotFacts {
  std::string id, state, sha256, key_fingerprint, problem;
  std::int64_t at_ns = 0;
  std::uint64_t bytes = 0, skipped = 0;
};

struct Incident {
  std::string tool;
  std::int64_t made_ns = 0;
  std::int64_t from_ns = 0, to_ns = 0;  // the time that is reported on
  v1::HostRow host;
  std::vector<v1::Finding> findings;              // most severe first
  std::vector<v1::GetProcessResponse> processes;  // the culprits, in the findings' order
  std::vector<v1::GetSessionResponse> sessions;   // behind them
  v1::ListFlowsResponse destinations;             // of the culprits, most sent first, with costs
  std::vector<Bucket> series;
  v1::ListLoginsResponse logins, failed;
  v1::HostPosture posture;
  std::vector<v1::KeyRow> keys;
  std::vector<SnapshotFacts> snapshots;  // newest first
  std::vector<Notable> notable;          // of the newest one that is whole
  CloudFacts cloud;                      // of the same
  std::string reply;                     // draft of an answer to AWS
  std::vector<std::string> gaps;         // what could not be asked or was cut
};

}  // namespace culprit::report

#endif  // CULPRIT_COLLECTOR_REPORT_INCIDENT_H_
