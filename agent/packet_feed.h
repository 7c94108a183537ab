// SPDX-License-Identifier: Apache-2.0
// The packet ring beside the pipeline: starts it as configured, and tells it which flows and
// processes batches are about, so that packets carry their names. What payload says comes back
// from the parser:
//
//   ring (its thread) -> samples -> Pump() -> parser process -> observations
//
// Stage: wiring. Thread: the loop's, but for the ring's that adds samples. Failure: without a ring
// or a parser everything else goes on; problems() says why.
#ifndef CULPRIT_AGENT_PACKET_FEED_H_
#define CULPRIT_AGENT_PACKET_FEED_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/model/control.h"
#include "agent/model/event.h"
#include "agent/model/record.h"
#include "agent/parser/parser_link.h"
#include "agent/ring/packet_fetches.h"
#include "agent/ring/ring.h"
#include "common/mutex.h"
#include "common/unique_fd.h"

namespace culprit {

class PacketFeed {
 public:
  // `version` is written into the files. Off by configuration: does nothing and has no problems.
  PacketFeed(const AgentConfig& config, const std::string& version);

  ~PacketFeed();
  PacketFeed(const PacketFeed&) = delete;
  PacketFeed& operator=(const PacketFeed&) = delete;

  // Readable where Pump() has something to do; -1 = never.
  int samples_fd() const { return wake_.get(); }
  int parser_fd() const { return parser_ ? parser_->poll_fd() : -1; }
  void Pump(const ClockPair& clock, const ParserLink::Sink& sink);
  int parser_pid() const { return parser_ ? parser_->status().pid : -1; }

  // What the collector asks for. The answers come by TakeAnswers(), or at once where there can be
  // none but a refusal.
  std::optional<ControlAnswer> Ask(PacketFetch fetch);
  int answers_fd() const { return fetches_ ? fetches_->poll_fd() : -1; }
  std::vector<ControlAnswer> TakeAnswers();

  // Processes are defined before the first row that refers to them.
  void Take(const RecordBatch& batch);
  std::vector<std::string> problems() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  static constexpr std::size_t kMaxNames = 32'768;
  static constexpr std::size_t kMaxSamples = 4'096, kMaxSampleBytes = std::size_t{4} << 20;
  struct Sample {
    Packet packet;  // payload: of `payload`
    std::string payload;
    std::int64_t wall_ns = 0;
  };
  struct Name {
    Tgid tgid;
    std::string comm;
  };

  void StartParser(const AgentConfig& config);
  void AddSample(const Packet& packet, std::int64_t wall_ns);  // on the ring's thread
  void Take(const ProcessFacts& process);
  void Take(const FlowRow& row);

  std::unique_ptr<ParserLink> parser_;  // null: off, or it could not start
  UniqueFd wake_;
  mutable Mutex mutex_;
  std::vector<Sample> samples_ CULPRIT_GUARDED_BY(mutex_);
  std::size_t sample_bytes_ CULPRIT_GUARDED_BY(mutex_) = 0;
  std::uint64_t samples_dropped_ CULPRIT_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<PacketRing> ring_;        // null: off, or it could not start
  std::unique_ptr<PacketFetches> fetches_;  // there is one where there is a ring
  std::vector<std::string> problems_;
  std::unordered_map<ProcessId, Name> names_;
  std::deque<ProcessId> name_order_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_PACKET_FEED_H_
