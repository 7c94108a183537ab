// SPDX-License-Identifier: Apache-2.0
// Which records of a batch can be used. The journal keeps every good frame as it came; ingest
// counts the records that break these rules, and the index leaves out the same ones: both ask here.
//
// Stage: model. Pure. Thread: any. Total on whatever protobuf accepted; work is linear in the
// batch.
#ifndef CULPRIT_COLLECTOR_MODEL_EVIDENCE_RULES_H_
#define CULPRIT_COLLECTOR_MODEL_EVIDENCE_RULES_H_

#include <cstdint>
#include <vector>

#include "culprit/v1/evidence.pb.h"

namespace culprit {

struct EvidenceVerdict {
  std::uint64_t records =
      0;  // as they came: rows, processes, exits, counters, losses, the single messages, and of the
          // parts of those (interfaces, costs of programs) what is left out
  std::uint64_t rejected = 0;  // of those
  // Rows of batch->flows() to leave out, ascending. Empty also where flows were removed as a whole.
  std::vector<std::uint32_t> bad_flow_rows;
};

// At most this many interfaces of one Coverage are kept.
inline constexpr int kMaxInterfaces = 1024;

// Removes from `batch` what breaks the rules: processes with an id of 0 or oversize strings, exits
// and counters with an id of 0, flows whose columns differ in length (as a whole), counts that no
// int64 holds (of counters and interfaces), interfaces with long names or over the limit, a
// coverage that ends before it begins (as a whole), costs of programs with long names. After it
// every column of flows() has flows().rows() elements (rows that came without an optional column
// get zeros), and every index of a row that is not in bad_flow_rows is within its dictionary, every
// port <= 65535, every flow id not 0.
EvidenceVerdict ApplyEvidenceRules(v1::EvidenceBatch* batch);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_EVIDENCE_RULES_H_
