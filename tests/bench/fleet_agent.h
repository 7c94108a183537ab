// SPDX-License-Identifier: Apache-2.0
// One agent of a simulated fleet: a real spool, the real sender program with a key and a
// certificate of its own, and frames made by the agent's code of rows that no kernel has told. What
// it lacks is the kernel side. Thread: the fleet's, but for Enrol().
#ifndef CULPRIT_TESTS_BENCH_FLEET_AGENT_H_
#define CULPRIT_TESTS_BENCH_FLEET_AGENT_H_

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/record.h"
#include "agent/model/wire.h"
#include "agent/spool/spool.h"
#include "agent/stream/sender_link.h"
#include "common/credentials.h"

namespace culprit::bench {

using SteadyClock = std::chrono::steady_clock;

struct FleetOptions {
  std::string directory, sender_program, collector, enrol_address, ca_path, token;
  int agents = 0;
  int rows = 20;                           // flows of an agent, told in each bulk frame
  std::chrono::milliseconds period{1000};  // between two frames; every tenth is a heartbeat
};

class FleetAgent {
 public:
  FleetAgent(const FleetOptions& options, int number);

  // Makes a key and gets a certificate by the token, through a sender process as culprit-agent
  // does.
  Status Enrol() const;
  // Opens the spool and starts the sender.
  Status Connect();
  int poll_fd() const { return link_->poll_fd(); }
  bool connected() const { return link_ && link_->status().connected; }
  SenderStatus status() const { return link_->status(); }
  int number() const { return number_; }

  // Takes what the sender says. Adds to `waits`, in ms, how long each frame that was acknowledged
  // now had waited since it was made.
  Status Pump(std::vector<double>* waits);
  // Writes the frame that is due, if one is; syncs the spool.
  Status Work(SteadyClock::time_point now);
  // The last heartbeat, which says that it stops; then the sender has so long for what is left.
  void Stop(std::chrono::milliseconds drain);

  // From here on back_at() tells when the first frame that was made later is acknowledged.
  void Mark();
  std::optional<SteadyClock::time_point> back_at() const { return back_at_; }
  bool AllAcked() const;
  const Spool& spool() const { return *spool_; }

 private:
  struct Waiting {
    std::uint64_t seq;
    SteadyClock::time_point made;
  };
  CredentialPaths Paths() const;
  RecordBatch NewBatch() const;
  Status Write(Lane lane, const RecordBatch& batch);
  Status WriteFacts();
  Status WriteBeat(const std::string& stop_reason);
  Status WriteFlows();

  const FleetOptions& options_;
  const int number_;
  const std::string directory_;
  const Uuid boot_id_ = Uuid::Random(), run_id_ = Uuid::Random();
  const BootTime began_ = ReadBootClock();
  ProcessId process_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<SenderLink> link_;
  BatchWriter writer_;
  std::array<std::deque<Waiting>, kLaneCount> waiting_;
  SteadyClock::time_point next_;
  std::uint64_t frames_ = 0;
  std::array<std::uint64_t, kLaneCount> mark_{};
  bool marked_ = false;
  std::optional<SteadyClock::time_point> back_at_;
};

}  // namespace culprit::bench

#endif  // CULPRIT_TESTS_BENCH_FLEET_AGENT_H_
