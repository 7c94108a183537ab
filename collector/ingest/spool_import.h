// SPDX-License-Identifier: Apache-2.0
// Takes what agents put into a bucket, or left in a spool, into the journal: the same checks and
// the same sequence as over a connection, and the collector's stamp. What is there already is
// passed over, so it may be repeated.
//
// Stage: ingest (edge: files). Thread: the caller's, and the journal's commit thread. The journal
// has no other writer meanwhile. Failure: files and frames that are not right are told and left
// out; an error is one of the journal.
#ifndef CULPRIT_COLLECTOR_INGEST_SPOOL_IMPORT_H_
#define CULPRIT_COLLECTOR_INGEST_SPOOL_IMPORT_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/ingest/spool_files.h"
#include "collector/journal/journal.h"
#include "common/frame.h"
#include "common/ids.h"

namespace culprit {

struct SeqRange {
  std::uint64_t first = 0, last = 0;
};

struct ImportedLane {
  Uuid agent_id, stream_id;
  Lane lane = Lane::kEvidence;
  std::uint64_t files = 0, frames = 0;  // read
  std::uint64_t imported = 0;           // of frames: now in the journal
  std::uint64_t present = 0;            // were there already, or are in more than one file
  std::uint64_t late = 0;               // belong into a gap of the journal, which stays one
  std::uint64_t refused = 0;
  std::uint64_t records = 0, rejected_records = 0;  // of what was imported
  std::uint64_t first_seq = 0, last_seq = 0;        // read
  WallTime first_time, last_time;                   // by the host's clock
  std::vector<SeqRange> missing;                    // neither in the files nor in the journal
};

struct ImportReport {
  static constexpr std::size_t kMaxListed = 1000;  // of each list below
  std::uint64_t files = 0;
  std::vector<ImportedLane> lanes;
  std::vector<FileTrouble> damage;                // unreadable files, and bytes in the others
  std::map<std::string, std::uint64_t> refusals;  // by reason
  // Nothing is missing, damaged, late or refused.
  bool whole() const;
};

struct ImportOptions {
  std::vector<std::string> paths;
  std::optional<Uuid> agent_id;  // whose they are, whatever their path says
};

Result<ImportReport> ImportSpool(const ImportOptions& options, Journal* journal);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_SPOOL_IMPORT_H_
