// SPDX-License-Identifier: Apache-2.0
// Segment files of agents' spools, as they lie in a directory: found, ordered by stream, lane and
// number, and read as one sequence a lane.
//
// Stage: ingest (edge: files). Thread: one. Links are not followed. Damaged bytes are passed over
// and told; memory: one frame and one read buffer a lane.
#ifndef CULPRIT_COLLECTOR_INGEST_SPOOL_FILES_H_
#define CULPRIT_COLLECTOR_INGEST_SPOOL_FILES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/frame.h"
#include "common/framed_log.h"
#include "common/ids.h"
#include "common/result.h"

namespace culprit {

struct SpoolFile {
  std::string path;
  Uuid stream_id;
  std::optional<Uuid>
      agent_id;  // of its path: the nearest folder that is an id and not the stream's
  Lane lane = Lane::kEvidence;
  std::uint64_t first_seq = 0;
  WallTime changed;  // of the file: tools that copy from a bucket set it to when the object came
};

struct FileTrouble {
  std::string file;
  std::uint64_t offset = 0, bytes = 0;  // 0: the whole file
  std::string what;
};

struct SpoolFiles {
  static constexpr std::size_t kMaxFiles = 4'000'000;
  std::vector<SpoolFile> files;  // by stream, lane, first frame
  std::vector<FileTrouble> unreadable;
};

// All *.clog below the directories, and the files that are named. Errors: a path that is not there,
// more than kMaxFiles.
Result<SpoolFiles> FindSpoolFiles(const std::vector<std::string>& paths);

// The frames of one lane of one stream, file by file.
class SpoolLane {
 public:
  using OnTrouble = std::function<void(const FileTrouble&)>;

  SpoolLane(std::vector<SpoolFile> files, OnTrouble on_trouble)
      : files_(std::move(files)), on_trouble_(std::move(on_trouble)) {}

  const SpoolFile& first() const { return files_.front(); }
  // Goes on to the next frame; false at the end.
  bool Advance();
  // The one that Advance() stopped at, to be taken away.
  Frame& frame() { return *frame_; }
  const SpoolFile& file() const { return files_[index_]; }

 private:
  bool OpenNext();

  std::vector<SpoolFile> files_;
  OnTrouble on_trouble_;
  std::size_t index_ = 0, opened_ = 0;
  std::optional<SegmentReader> reader_;
  std::optional<Frame> frame_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_SPOOL_FILES_H_
