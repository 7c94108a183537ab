// SPDX-License-Identifier: Apache-2.0
// The sensor: joins the stages and runs them. Reads like the picture in DESIGN.md:
//
//   source -> decode -> enrich -> aggregate -> output (frames) -> spool -> sender link
//
// Thread: one loop on poll(2), which sleeps while nothing happens; executables are hashed and IMDS
// is asked on threads of their own. Failure: only what makes capture impossible ends Run(); a full
// disk, an absent collector or a missing hook are degraded modes, visible in status() and in the
// heartbeat.
#ifndef CULPRIT_AGENT_AGENT_H_
#define CULPRIT_AGENT_AGENT_H_

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/output.h"
#include "agent/source/replay_source.h"
#include "agent/source/source.h"
#include "agent/spool/spool.h"
#include "agent/status.h"
#include "agent/stream/sender_link.h"
#include "common/result.h"

namespace culprit {

struct AgentSetup {
  AgentConfig config;
  std::string version;
  // `user_events`: where the source puts what user space had recorded (replay); the live source
  // never calls it.
  std::function<Result<std::unique_ptr<EventSource>>(UserEventSink user_events)> open_source;
  // But for boot and run. Empty, or no collector.address: evidence stays in the spool.
  std::function<Result<SenderOptions>(const AgentConfig& config)> sender_options;
  // Whenever the descriptor has something to read, that is read and the configuration once more;
  // -1: never.
  int reload_fd = -1;
  std::function<Result<AgentConfig>()> read_config;
  bool replay =
      false;           // the source is a recording: its clock counts, nothing is asked of this host
  bool print = false;  // lines of JSON instead of a spool
  std::string print_path;   // file for them; empty: stdout
  std::string record_path;  // `run --record FILE`
  std::string config_path;  // file that `config` came from
  // Where batches go instead of a spool; nothing is then written to the host.
  std::unique_ptr<BatchOutput> output;
};

class Agent {
 public:
  // Takes the state directory's lock, opens spool and source. Errors name what is missing and the
  // remedy.
  static Result<std::unique_ptr<Agent>> Create(AgentSetup setup);
  ~Agent();

  // Runs until `stop_fd` is readable or the source has ended, then drains in pipeline order.
  Status Run(int stop_fd);
  AgentStatus status();

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGENT_H_
