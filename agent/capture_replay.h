// SPDX-License-Identifier: Apache-2.0
// CaptureReplay: packets, Zeek logs and VPC flow logs as a source of events, so that the whole
// agent runs on traffic that it never saw.
//
//   CaptureReader -> DecodePacket -> FlowAssembler, NameObserver -> enrich -> ... (as live)
//   ZeekReader, VpcFlowConns -> FlowAssembler
//
// The clock is that of the capture, and a replay is as fast as the machine. The same files give the
// same evidence. Stage: wiring. Thread: one caller. Failure: damaged files are read as far as they
// are whole, and stats() says what was not.
#ifndef CULPRIT_AGENT_CAPTURE_REPLAY_H_
#define CULPRIT_AGENT_CAPTURE_REPLAY_H_

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/assemble/flow_assembler.h"
#include "agent/assemble/local_hosts.h"
#include "agent/model/packet.h"
#include "agent/names/name_observer.h"
#include "agent/source/capture_file.h"
#include "agent/source/source.h"
#include "agent/source/vpc_flow_conns.h"
#include "agent/source/zeek_log.h"

namespace culprit {

struct CaptureReplayStats {
  std::uint64_t files = 0, packets = 0, bytes = 0;
  std::array<std::uint64_t, 6> by_status{};  // index: PacketStatus
  std::map<int, std::uint64_t> unknown_links;
  std::uint64_t clock_back = 0;    // packets older than the one before
  std::uint64_t zeek_records = 0;  // and connections of VPC flow logs
  std::uint64_t damaged_places = 0;
  std::vector<std::string> damage;  // the first of them, a line each, for a person
};

// What was read and what could not be understood, in lines for a person; empty without files.
std::string FormatReplayStats(const CaptureReplayStats& stats);

struct CaptureReplayOptions {
  std::string path;         // a file, or a directory of captures
  std::vector<Cidr> hosts;  // watched; empty: private addresses
  std::vector<MappedProcess> processes;
  std::string name;  // what the host is called at the collector; empty: the file's name
  // Where the counts are kept, for who outlives the source; null: with the source.
  std::shared_ptr<CaptureReplayStats> stats;
};

class CaptureReplay final : public EventSource {
 public:
  static Result<std::unique_ptr<CaptureReplay>> Open(CaptureReplayOptions options,
                                                     UserEventSink events);

  Status Start(const RecordSink& sink) override;
  // Up to the end of the next second of the capture.
  Result<bool> Poll(std::chrono::milliseconds timeout, const RecordSink& sink) override;
  Status Sweep(const RecordSink& sink) override;
  Uuid boot_id() const override { return boot_id_; }
  ClockPair ReadClock() override;
  SourceFidelity fidelity() const override;
  std::vector<ProgramCost> program_costs() const override { return {}; }
  std::optional<HostFacts> host() const override;

  const CaptureReplayStats& stats() const { return *stats_; }
  const AssembleCounters& flows() const { return assembler_.counters(); }

 private:
  CaptureReplay(CaptureReplayOptions options, UserEventSink events);

  // Opens the next file; false: there is none.
  Result<bool> NextFile();
  // The next packet or record into pending_*; false: the end of everything.
  Result<bool> Fetch();
  void NoteEndOfFile();
  void Take(const CapturedPacket& captured);
  void Take(const ZeekRecord& record);
  void OnProcess(const PcapngProcess& process);
  BootTime BootOf(std::int64_t wall_ns) const;

  CaptureReplayOptions options_;
  UserEventSink events_;
  std::vector<std::string> files_;
  std::size_t next_file_ = 0;
  std::unique_ptr<CaptureReader> capture_;
  std::unique_ptr<ZeekReader> zeek_;
  std::unique_ptr<VpcFlowConns> vpc_;
  CapturedPacket packet_;
  ZeekRecord record_;
  std::int64_t pending_ns_ = 0;
  std::int64_t before_ns_ = 0;  // of the packet before
  bool pending_ = false;
  LocalHosts hosts_;
  FlowAssembler assembler_;
  NameObserver names_;
  NameObserver::Sink name_sink_;
  std::unordered_map<std::uint64_t, ProcessKey> processes_;  // that the files name
  Uuid boot_id_;
  std::int64_t first_wall_ns_ = 0;
  BootTime now_, next_tick_;
  std::optional<BootTime> last_tick_;  // once there are no more packets
  std::shared_ptr<CaptureReplayStats> stats_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_CAPTURE_REPLAY_H_
