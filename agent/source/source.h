// SPDX-License-Identifier: Apache-2.0
// EventSource: where raw records come from. The kernel (bpf_source), or a file recorded with `run
// --record` (replay_source). A recording is just another source, so that the whole agent runs
// without root. Stage: source (edge). Thread: Poll() and the sink run on the caller's thread.
#ifndef CULPRIT_AGENT_SOURCE_SOURCE_H_
#define CULPRIT_AGENT_SOURCE_SOURCE_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/record.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

// A record of bpf/abi.h (starts with culprit_header). Valid only during the call.
using RecordSink = std::function<void(std::string_view record)>;

// What user space adds to the kernel's records.
using UserEventSink = std::function<void(Event event)>;

struct HookStatus {
  std::string name;
  bool active = false;
  bool required = false;
  std::string note;  // why not, and what stands in
};

struct ProgramCost {
  std::string name;
  std::uint64_t run_count = 0;
  std::uint64_t run_time_ns = 0;
};

struct SourceFidelity {
  std::vector<HookStatus> hooks;
  std::string owner_mode;  // "last_sender" or "creator"
  std::string source;      // "bpf" or "replay"
};

// The links by which kernel programs are attached, as the kernel tells at the moment.
struct LinkState {
  std::uint32_t made = 0;
  std::vector<std::uint32_t> links, programs;  // ids of those that are in place, and of their programs
};

class EventSource {
 public:
  virtual ~EventSource() = default;
  // Begins delivery; state that existed before (processes, sockets) is delivered first.
  virtual Status Start(const RecordSink& sink) = 0;
  // Delivers what is there, waiting up to `timeout` for the first record. False = the source has
  // ended (replay).
  virtual Result<bool> Poll(std::chrono::milliseconds timeout, const RecordSink& sink) = 0;
  // One sweep: a flow record (reason SNAPSHOT) for every live socket that changed since the last
  // sweep, a counters record for every process with counters that changed, and a lost record.
  // Called about once a second.
  virtual Status Sweep(const RecordSink& sink) = 0;
  // All living processes once more (records as from Start), and open sockets that nobody's storage
  // knows. After a loss of records, and now and then. The arguments of a process are in the first
  // pass that finds it only. A recording holds its passes.
  virtual Status Resync(const RecordSink& /*sink*/) { return Ok(); }
  // False: processes of other pid namespaces are hidden from Resync().
  virtual bool sees_all_processes() const { return true; }
  // What the hooks counted on each interface to `sink`, what the interfaces counted to `devices`.
  // Sweep() first, so that both are of one moment. About every 10 s. A recording holds its
  // readings.
  virtual Status ReadLedger(const RecordSink& /*sink*/, const UserEventSink& /*devices*/) {
    return Ok();
  }
  // Readable (epoll) when Poll() has records, so that one loop can wait for all its descriptors; -1
  // = call Poll() at once.
  virtual int poll_fd() const { return -1; }
  // The boot and time base of the records.
  virtual Uuid boot_id() const = 0;
  virtual ClockPair ReadClock() = 0;  // replay: the recording's clock
  virtual SourceFidelity fidelity() const = 0;
  // Whose traffic it is, if not this host's (a capture).
  virtual std::optional<HostFacts> host() const { return std::nullopt; }
  virtual std::vector<ProgramCost> program_costs() const = 0;
  // Asks the kernel about each link; one that is gone or holds another program makes its hook
  // inactive in fidelity().
  virtual LinkState CheckLinks() { return {}; }
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_SOURCE_H_
