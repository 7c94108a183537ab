// SPDX-License-Identifier: Apache-2.0
// Where batches go: into the spool as frames, or onto a stream as lines of JSON (`replay --print`).
// Stage: wiring ("frame" in DESIGN.md's picture). Thread: one caller.
#ifndef CULPRIT_AGENT_OUTPUT_H_
#define CULPRIT_AGENT_OUTPUT_H_

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/record.h"
#include "agent/model/wire.h"
#include "agent/spool/spool.h"
#include "common/time.h"

namespace culprit {

class BatchOutput {
 public:
  virtual ~BatchOutput() = default;
  // Errors: the batch was not written (and whoever counts losses has counted it).
  virtual Status Write(Lane lane, FrameKind kind, const RecordBatch& batch,
                       const ClockPair& clock) = 0;
};

// Frames into the spool. Remembers since when writing fails, so that a full disk is visible and its
// end as well.
class SpoolOutput final : public BatchOutput {
 public:
  explicit SpoolOutput(Spool* spool) : spool_(spool) {}

  Status Write(Lane lane, FrameKind kind, const RecordBatch& batch,
               const ClockPair& clock) override;
  // fdatasync at most a second after the first write since the last one.
  void SyncIfDue(BootTime now);
  void SyncNow();
  // When SyncIfDue() has to be called; nullopt: all is on disk.
  std::optional<BootTime> sync_due() const { return sync_due_; }

  // "spool: No space left on device since …"; empty while it works.
  const std::string& problem() const { return problem_; }
  std::uint64_t frames() const { return frames_; }
  std::uint64_t failed_frames() const { return failed_frames_; }

 private:
  void Failed(const Error& error, const ClockPair& clock);

  Spool* spool_;
  BatchWriter writer_;
  std::optional<BootTime> sync_due_;
  std::string problem_;
  std::uint64_t frames_ = 0, failed_frames_ = 0;
};

// One line a record.
class PrintOutput final : public BatchOutput {
 public:
  explicit PrintOutput(std::FILE* stream) : stream_(stream) {}
  // A new file, or one emptied.
  static Result<std::unique_ptr<BatchOutput>> ToFile(const std::string& path);
  ~PrintOutput() override;
  PrintOutput(const PrintOutput&) = delete;
  PrintOutput& operator=(const PrintOutput&) = delete;
  Status Write(Lane lane, FrameKind kind, const RecordBatch& batch,
               const ClockPair& clock) override;

 private:
  std::FILE* stream_;
  std::string lines_;  // of one batch; kept for its room
  bool owned_ = false;
};

// The lines that PrintOutput writes.
void AppendBatchLines(const RecordBatch& batch, const ClockPair& clock, std::string* out);

// What the spool or the sender lost, as records for the collector.
LossFacts ToLossFacts(const SpoolLoss& loss, std::optional<LossCause> cause, BootTime at);

}  // namespace culprit

#endif  // CULPRIT_AGENT_OUTPUT_H_
