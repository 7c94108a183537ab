// SPDX-License-Identifier: Apache-2.0
// RecordBatch <-> serialised culprit.v1.EvidenceBatch. The only files of the agent's pure stages that know protobuf.
// Stage: model. Thread: one caller an object. Failure: ParseBatch is total on any bytes; writing cannot fail.
#ifndef CULPRIT_AGENT_MODEL_WIRE_H_
#define CULPRIT_AGENT_MODEL_WIRE_H_

#include <memory>
#include <string>
#include <string_view>

#include "agent/model/record.h"
#include "common/result.h"

namespace culprit {

// Keeps its message between calls, so that a steady stream of batches allocates little.
class BatchWriter {
 public:
  BatchWriter();
  ~BatchWriter();

  // Flow rows are written sorted by socket cookie (rows of one flow keep their order): it compresses better, and rows
  // are cumulative. The result is what MakeFrame() and Spool::Append() take as `inflated`.
  std::string Serialize(const RecordBatch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The way back, for tests and tools. Errors: not an EvidenceBatch, columns of unequal length, index out of its
// dictionary, ids or addresses of a wrong size.
Result<RecordBatch> ParseBatch(std::string_view bytes);

// Valid UTF-8 stays as it is, save that a backslash before "x" + 2 hex digits is itself written as \x5c; every byte
// that is not part of valid UTF-8 becomes \xNN. So two different byte strings never look the same.
std::string EscapeNonUtf8(std::string_view bytes);

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_WIRE_H_
