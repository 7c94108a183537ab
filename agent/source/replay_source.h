// SPDX-License-Identifier: Apache-2.0
// ReplaySource: a recording as a source; the clock is the recording's, so a replay runs as fast as
// the machine can. Stage: source (edge: a file). Thread: one caller. Memory bounded by one buffer.
// Reads any bytes: damaged entries are skipped and counted; where the next entry cannot be found,
// the rest of the file is counted as damage.
#ifndef CULPRIT_AGENT_SOURCE_REPLAY_SOURCE_H_
#define CULPRIT_AGENT_SOURCE_REPLAY_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/source/recording.h"
#include "agent/source/source.h"
#include "common/unique_fd.h"

namespace culprit {

struct ReplayStats {
  std::uint64_t entries = 0;
  std::uint64_t damaged_entries = 0;
  std::uint64_t damaged_bytes = 0;
};

class ReplaySource : public EventSource {
 public:
  // `user_events`: where what user space had added goes. Errors: no such file, not a recording,
  // made with another ABI version.
  static Result<std::unique_ptr<ReplaySource>> Open(const std::string& path,
                                                    UserEventSink user_events);

  Status Start(const RecordSink& sink) override;
  // Delivers up to the end of the recording's next sweep, so that the caller's timers run as they
  // did live.
  Result<bool> Poll(std::chrono::milliseconds timeout, const RecordSink& sink) override;
  Status Sweep(const RecordSink& sink) override;  // nothing: the recording holds the sweeps
  Uuid boot_id() const override { return header_.boot_id; }
  ClockPair ReadClock() override;
  SourceFidelity fidelity() const override;
  std::vector<ProgramCost> program_costs() const override { return {}; }

  const ReplayStats& stats() const { return stats_; }

 private:
  ReplaySource(UniqueFd fd, UserEventSink user_events)
      : fd_(std::move(fd)), user_events_(std::move(user_events)) {}
  // Makes `bytes` bytes available in the buffer; false at the end of the file.
  Result<bool> Fill(std::size_t bytes);
  void Deliver(RecordingKind kind, std::string_view body, const RecordSink& sink);
  // False: the body was damaged.
  template <class Decoded>
  bool DeliverUserEvent(Result<Decoded> event);
  void GiveUpRest();

  UniqueFd fd_;
  UserEventSink user_events_;
  RecordingHeader header_;
  ClockPair clock_;  // the latest clock entry
  BootTime now_;     // the latest time seen
  std::string buffer_;
  std::size_t position_ = 0;
  bool at_end_ = false;
  bool sweep_ended_ = false;
  ReplayStats stats_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_REPLAY_SOURCE_H_
