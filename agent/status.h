// SPDX-License-Identifier: Apache-2.0
// Status: what the running sensor says about itself, asked over a unix socket in its state
// directory. Stage: wiring (edge: a socket). Thread: StatusServer belongs to the sensor's loop and
// never waits for a client longer than 200 ms; AskStatus() is the client. Only root (and the
// agent's own user) is answered.
#ifndef CULPRIT_AGENT_STATUS_H_
#define CULPRIT_AGENT_STATUS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/model/record.h"
#include "agent/source/procfs.h"
#include "agent/spool/spool.h"
#include "agent/stream/sender_link.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct AgentStatus {
  std::string version;
  int pid = 0;
  WallTime started;
  std::uint64_t uptime_ms = 0;
  Uuid boot_id, run_id;
  HostFacts host;
  FidelityFacts fidelity;
  std::vector<std::string> degraded;
  WallTime config_loaded;
  std::string reload_refused;  // empty: the newest configuration that was read is in force
  std::vector<std::string> restart_pending;  // keys that it has otherwise, after a restart
  std::uint64_t canary_made = 0, canary_seen = 0;

  std::string collector;  // empty: none configured
  bool sink = false;      // `collector` is a bucket
  SenderStatus sender;

  Uuid stream_id;
  std::string stream_reason;
  std::uint64_t spool_bytes = 0, spool_cap_bytes = 0;
  LaneState lanes[kLaneCount];

  std::uint64_t flows_live = 0, processes_live = 0;
  // Everything that is counted, by name: events, rows, losses by cause.
  std::vector<std::pair<std::string, std::uint64_t>> counters;
  std::vector<std::pair<std::string, std::uint64_t>> losses;

  struct Process {
    std::string name;
    int pid = 0;
    ProcessUsage usage;
  };
  std::vector<Process> processes;
  bool costs_measured = false;  // run_time_ns of the programs is counted
  std::vector<ProgramCostFacts> program_costs;
  std::optional<CoverageFacts> coverage;  // the newest; nullopt: no reading yet
};

// What passed the interface and nobody is known for (bytes, negative: more is known than passed),
// and as a part of what passed in per cent.
struct Residual {
  std::int64_t bytes = 0;
  double percent = 0;
};
Residual ResidualOf(const TrafficFacts& traffic);

std::string StatusJson(const AgentStatus& status);
std::string StatusText(const AgentStatus& status);

class StatusServer {
 public:
  // Errors: cannot bind. An old socket is replaced: the state directory's lock says that nobody
  // uses it.
  static Result<std::unique_ptr<StatusServer>> Listen(const std::string& state_dir);
  ~StatusServer();
  int poll_fd() const { return fd_.get(); }
  // Answers one client.
  void Serve(const std::function<AgentStatus()>& status);

 private:
  StatusServer(UniqueFd directory, UniqueFd fd)
      : directory_(std::move(directory)), fd_(std::move(fd)) {}
  UniqueFd directory_, fd_;
};

enum class StatusForm : std::uint8_t { kText, kJson, kMetrics };

// Errors: kNotFound (no agent runs here), kPermissionDenied.
Result<std::string> AskStatus(const std::string& state_dir, StatusForm form);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STATUS_H_
