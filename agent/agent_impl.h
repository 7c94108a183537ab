// SPDX-License-Identifier: Apache-2.0
// The sensor's parts. Private to agent*.cc. Thread: the loop's; see agent.h.
#ifndef CULPRIT_AGENT_AGENT_IMPL_H_
#define CULPRIT_AGENT_AGENT_IMPL_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/aggregate/aggregator.h"
#include "agent/aggregate/coverage.h"
#include "agent/canary.h"
#include "agent/decode/decoder.h"
#include "agent/enrich/enricher.h"
#include "agent/enrich/name_book.h"
#include "agent/flow_memory_file.h"
#include "agent/identity.h"
#include "agent/login_feed.h"
#include "agent/output.h"
#include "agent/packet_feed.h"
#include "agent/posture_feed.h"
#include "agent/self_check.h"
#include "agent/snapshot_feed.h"
#include "agent/source/exe_hasher.h"
#include "agent/source/passwd_names.h"
#include "agent/source/procfs.h"
#include "agent/source/recorder.h"
#include "agent/status.h"
#include "common/log.h"
#include "common/unique_fd.h"

namespace culprit {

// The passwd file as the enricher's port.
class HostUsers final : public UserNames {
 public:
  std::string NameOf(Uid uid) override { return names_.Name(uid, ReadBootClock()); }

 private:
  PasswdNames names_;
};

class Agent::Impl {
 public:
  explicit Impl(AgentSetup setup) : setup_(std::move(setup)) {}

  Status Open();
  Status Run(int stop_fd);
  AgentStatus status();

 private:
  enum class Woken { kWork, kStop };

  // The source's time. A live source's is this host's, and reading that alone is no system call.
  BootTime Now() { return setup_.replay ? source_->ReadClock().boot : ReadBootClock(); }

  // The pipeline, in its order.
  void OnRecord(std::string_view record);
  void OnEvent(Event event);
  void AskForHash(const ExecEvent& exec);
  void PumpParser();
  Status Capture();
  void Assemble(BootTime now);
  void Ship(Lane lane);
  void ShipNames();
  void ShipPosture();
  void ShipFacts();
  void PumpLogins();
  void RestoreSpool();
  void ShipLosses();
  void PumpSender();
  void PumpControl();
  bool Connected() const;
  void SnapshotAtStop(bool host_goes_down, int stop_fd);
  void CheckpointIfDue(BootTime now);
  void RedefineIfDue(BootTime now);

  Status OpenSpool();
  Status OpenSource();
  Status Begin();
  void AddProcessText(const std::vector<Tgid>& tgids);
  void Finish();
  Result<Woken> Wait(int stop_fd);
  int TimeoutMs(BootTime now) const;
  void Sweep(BootTime now);
  void ResyncIfDue(BootTime now);
  void MarkResync(bool end);
  void ReadLedger();
  void Beat(BootTime now);
  void HoldBackReplay(int stop_fd);
  void LabelOwnProcesses();
  void NoteUserEvents();
  void NoteHashLosses(BootTime now);

  // agent_reload.cc
  Result<SenderOptions> SenderOptionsOf(const AgentConfig& config) const;
  bool HasCollector() const {
    return setup_.sender_options && !setup_.config.collector.address.empty();
  }
  bool Sends() const { return setup_.sender_options && setup_.config.Sends(); }
  Status StartSender();
  void ReloadIfAsked();
  Status Reload(const AgentConfig& file);
  void WriteMetricsIfDue(BootTime now);

  // agent_status.cc
  std::vector<std::string> Degraded();
  HostFacts Host() const;
  FidelityFacts Fidelity() const;
  HeartbeatFacts Heartbeat(BootTime now);
  std::vector<AgentStatus::Process> OwnProcesses(bool with_pss);
  std::uint64_t EventsLost() const;
  std::vector<std::pair<std::string, std::uint64_t>> Counters() const;

  AgentSetup setup_;
  Uuid run_id_ = Uuid::Random();
  Uuid boot_id_;
  ClockPair started_;

  UniqueFd lock_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<EventSource> source_;
  RecordSink sink_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<ExeHasher> hasher_;
  std::unique_ptr<HostIdentity> identity_;
  std::unique_ptr<UserNames> users_;
  Procfs procfs_;
  Decoder decoder_;
  std::unique_ptr<FlowMemoryFile> flow_memory_;  // null: none (replay, or its file cannot be used)
  std::unique_ptr<Aggregator> aggregator_;
  std::unique_ptr<Enricher> enricher_;
  NameBook names_;
  Coverage coverage_;
  std::optional<CoverageFacts> last_coverage_;
  std::unique_ptr<PacketFeed> packets_;
  std::unique_ptr<SnapshotFeed> snapshots_;
  std::unique_ptr<LoginFeed> logins_;     // null in a replay
  std::unique_ptr<PostureFeed> posture_;  // null: a replay, or switched off
  std::unique_ptr<BatchOutput> output_;
  SpoolOutput* spool_output_ = nullptr;  // output_, if that is a spool
  std::unique_ptr<SenderLink> sender_;
  std::unique_ptr<StatusServer> status_server_;
  std::unique_ptr<SelfCheck> self_check_;  // null: a replay, or no state
  LinkState links_;                        // as of the last heartbeat
  std::unique_ptr<Canary> canary_;         // null: a replay, or no spool
  std::string sender_mark_;                // of the options under which the sender was started
  std::string reload_refused_;             // why the newest configuration was not taken
  std::vector<std::string> restart_pending_;
  WallTime config_loaded_;
  std::string stop_reason_;

  bool begun_ = false, ended_ = false;
  std::vector<Tgid> existing_;  // found by the source's start; their text is read from /proc
  Uuid shipped_stream_;         // the stream that holds what the collector knows by now
  int sender_pid_ = -1, parser_pid_ = -1, collecting_pid_ = -1;
  BootTime busy_until_, next_tick_, next_sweep_, next_beat_, facts_at_;
  std::optional<BootTime> settled_at_;  // when it will have looked around once
  std::optional<BootTime> ship_due_[kLaneCount];
  bool facts_due_ = true;
  bool redefine_due_ = false;  // the collector may lack definitions of processes that it had
  BootTime next_redefine_;
  HostFacts host_;
  FidelityFacts fidelity_;
  std::vector<SpoolLoss> quarantined_;
  std::uint64_t losses_by_cause_[15] = {};
  std::uint64_t kernel_lost_ = 0;
  std::uint64_t records_lost_ = 0;  // of processes and flows: what a pass over all makes good
  bool resync_due_ = false, resyncing_ = false;
  std::uint64_t resyncs_ = 0;
  BootTime next_resync_, earliest_resync_;
  std::uint64_t moved_ = 0, swept_ = 0;  // events but for loss counts; as of the last sweep
  ProcessUsage usage_;                   // of all own processes, as of the last heartbeat
  std::uint64_t ended_senders_cpu_us_ = 0, sender_cpu_us_ = 0;
  std::uint32_t beats_ = 0;
  LogLimit pump_log_{std::chrono::seconds(30)}, sweep_log_{std::chrono::seconds(60)},
      spool_log_{std::chrono::seconds(30)}, metrics_log_{std::chrono::seconds(600)};
  BootTime next_metrics_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGENT_IMPL_H_
