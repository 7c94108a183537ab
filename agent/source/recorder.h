// SPDX-License-Identifier: Apache-2.0
// Recorder: writes what the sources delivered to a file, so that the agent can be run on it again
// without root. Stage: source (edge: a file). Thread: one caller. Bounded by max_bytes: at the cap,
// or on a write error, recording ends and says why; the agent goes on.
#ifndef CULPRIT_AGENT_SOURCE_RECORDER_H_
#define CULPRIT_AGENT_SOURCE_RECORDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/source/recording.h"
#include "common/unique_fd.h"

namespace culprit {

class Recorder {
 public:
  // Creates `path` (mode 0600: a recording holds command lines); an existing file is replaced.
  static Result<std::unique_ptr<Recorder>> Create(const std::string& path,
                                                  const RecordingHeader& header,
                                                  std::uint64_t max_bytes);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void KernelRecord(std::string_view record) { Add(RecordingKind::kKernelRecord, record); }
  void Clock(const ClockPair& clock) { Add(RecordingKind::kClock, EncodeClock(clock)); }
  void ExeHash(const ExeHashEvent& event) { Add(RecordingKind::kExeHash, EncodeExeHash(event)); }
  void ProcessText(const ProcfsEvent& event) {
    Add(RecordingKind::kProcessText, EncodeProcessText(event));
  }
  void SweepEnd(BootTime at) { Add(RecordingKind::kSweepEnd, EncodeBootNs(at)); }
  void InterfaceCounters(const InterfaceCountersEvent& event) {
    Add(RecordingKind::kInterfaceCounters, EncodeInterfaceCounters(event));
  }
  void Resync(const ResyncEvent& event) { Add(RecordingKind::kResync, EncodeResync(event)); }
  // Writes what is buffered.
  void Flush();

  // Why recording ended early; empty = it goes on.
  const std::string& stopped() const { return stopped_; }
  std::uint64_t bytes() const { return written_ + buffer_.size(); }

 private:
  Recorder(UniqueFd fd, std::uint64_t max_bytes) : fd_(std::move(fd)), max_bytes_(max_bytes) {}
  void Add(RecordingKind kind, std::string_view body);

  UniqueFd fd_;
  std::uint64_t max_bytes_;
  std::uint64_t written_ = 0;
  std::string buffer_;
  std::string stopped_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_RECORDER_H_
