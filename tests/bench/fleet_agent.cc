// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/fleet_agent.h"

#include <utility>

#include "agent/enrol/agent_key.h"
#include "agent/stream/enrol_link.h"
#include "common/file.h"
#include "common/flow_id.h"
#include "common/hex.h"

namespace culprit::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kBeatEvery = 10;  // frames
constexpr seconds kEnrolTimeout{60};
constexpr std::uint64_t kSegmentBytes = 256 << 10, kSpoolBytes = 8 << 20;

Endpoint EndpointOf(const std::string& address, std::uint16_t port) {
  return {IpAddress::Parse(address).value_or(IpAddress()), port};
}

std::string HostId(int number) {
  return "machine-" + HexEncode(AsBytes(Sha256Of("fleet " + std::to_string(number)))).substr(0, 16);
}

}  // namespace

FleetAgent::FleetAgent(const FleetOptions& options, int number)
    : options_(options),
      number_(number),
      directory_(options.directory + "/agent-" + std::to_string(number)),
      process_(MakeProcessId(boot_id_, {Tgid(1000), began_, 1})) {}

CredentialPaths FleetAgent::Paths() const {
  return {directory_ + "/ca.pem", directory_ + "/agent.pem", directory_ + "/agent.key"};
}

Status FleetAgent::Enrol() const {
  TRY_VOID(MakeDirectories(directory_, 0700));
  TRY(const std::string key, MakeAgentKey());
  EnrolJob job;
  job.program = options_.sender_program;
  job.address = options_.enrol_address;
  TRY(job.ca_pem, ReadPemFile(options_.ca_path));
  job.host_id = HostId(number_);
  job.hostname = "fleet-" + std::to_string(number_);
  job.agent_version = "fleet";
  job.token = options_.token;
  TRY(job.signing_request, MakeSigningRequest(key, job.host_id));
  TRY(const EnrolAnswer answer, EnrolBySender(job, kEnrolTimeout, {}));
  TRY_VOID(WriteFileAtomically(Paths().ca, answer.ca_pem, 0600));
  TRY_VOID(WriteFileAtomically(Paths().key, key, 0600));
  return WriteFileAtomically(Paths().certificate, answer.certificate_pem, 0600);
}

Status FleetAgent::Connect() {
  SpoolOptions spool;
  spool.directory = directory_ + "/spool";
  spool.segment_bytes = kSegmentBytes;
  spool.max_bytes = kSpoolBytes;
  TRY(spool_, Spool::Open(spool));
  SenderOptions sender;
  sender.program = options_.sender_program;
  sender.collector = options_.collector;
  sender.ca_path = Paths().ca;
  sender.certificate_path = Paths().certificate;
  sender.key_path = Paths().key;
  sender.enrol_address = options_.enrol_address;
  sender.boot_id = boot_id_;
  sender.run_id = run_id_;
  sender.agent_version = "fleet";
  TRY(link_, SenderLink::Start(sender, spool_.get()));
  // Spread over a period, as agents that were started one by one.
  next_ = SteadyClock::now() + options_.period * number_ / std::max(1, options_.agents);
  TRY_VOID(WriteFacts());
  return WriteBeat("");
}

Status FleetAgent::Pump(std::vector<double>* waits) {
  TRY_VOID(link_->Pump());
  const auto now = SteadyClock::now();
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    const std::uint64_t acked = spool_->lane(static_cast<Lane>(lane)).acked_seq;
    auto& waiting = waiting_[lane];
    while (!waiting.empty() && waiting.front().seq <= acked) {
      waits->push_back(
          std::chrono::duration<double, std::milli>(now - waiting.front().made).count());
      waiting.pop_front();
    }
    if (marked_ && !back_at_ && acked > mark_[lane]) back_at_ = now;
  }
  return Ok();
}

Status FleetAgent::Work(SteadyClock::time_point now) {
  if (now < next_) return Ok();
  next_ = std::max(next_ + options_.period, now);
  TRY_VOID(++frames_ % kBeatEvery == 0 ? WriteBeat("") : WriteFlows());
  TRY_VOID(spool_->Sync());
  return link_->Pump();  // tells the sender
}

void FleetAgent::Stop(milliseconds drain) {
  static_cast<void>(WriteBeat("signal"));
  static_cast<void>(spool_->Sync());
  link_->Stop(drain);
}

void FleetAgent::Mark() {
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    mark_[lane] = spool_->lane(static_cast<Lane>(lane)).newest_seq;
  }
  marked_ = true;
  back_at_.reset();
}

bool FleetAgent::AllAcked() const {
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    if (spool_->lane(lane).acked_seq != spool_->lane(lane).newest_seq) return false;
  }
  return true;
}

RecordBatch FleetAgent::NewBatch() const {
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  return batch;
}

Status FleetAgent::Write(Lane lane, const RecordBatch& batch) {
  TRY(const FrameHeader header, spool_->Append(lane, FrameKind::kBatch, ReadClockPair(),
                                               batch.RecordCount(), writer_.Serialize(batch)));
  waiting_[static_cast<std::size_t>(lane)].push_back({header.seq, SteadyClock::now()});
  return Ok();
}

// Who the host is, and its one process.
Status FleetAgent::WriteFacts() {
  RecordBatch batch = NewBatch();
  batch.host.emplace();
  batch.host->hostname = "fleet-" + std::to_string(number_);
  batch.host->identity_source = "machine";
  batch.host->instance_id = HostId(number_);
  batch.host->agent_version = "fleet";
  ProcessFacts process;
  process.id = process_;
  process.key = {Tgid(1000), began_, 1};
  process.exec_at = began_;
  process.exe = "/usr/bin/example";
  process.comm = "example";
  process.argv = {"/usr/bin/example", "--serve"};
  process.user = "www-data";
  batch.processes.push_back(process);
  return Write(Lane::kEvidence, batch);
}

Status FleetAgent::WriteBeat(const std::string& stop_reason) {
  RecordBatch batch = NewBatch();
  HeartbeatFacts& beat = batch.heartbeat.emplace();
  beat.at = ReadBootClock();
  beat.at_mono_ns = static_cast<std::uint64_t>(SteadyClock::now().time_since_epoch().count());
  beat.interval_ms =
      static_cast<std::uint32_t>(options_.period.count()) * static_cast<std::uint32_t>(kBeatEvery);
  beat.flows_live = static_cast<std::uint64_t>(options_.rows);
  beat.processes_live = 1;
  beat.spool_bytes = spool_->bytes();
  beat.spool_cap_bytes = kSpoolBytes;
  beat.exe_sha256 = Sha256Of("fleet");
  beat.previous_run = "none";
  beat.stop_reason = stop_reason;
  return Write(Lane::kEvidence, batch);
}

// Open connections that went on: sums since they began.
Status FleetAgent::WriteFlows() {
  RecordBatch batch = NewBatch();
  const BootTime now = ReadBootClock();
  for (int i = 0; i < options_.rows; ++i) {
    FlowRow row;
    row.cookie = SocketCookie(static_cast<std::uint64_t>(i) + 1);
    row.generation = 1;
    row.flow = MakeFlowId(boot_id_, {row.cookie, row.generation, false, {}, 0});
    row.process = row.creator = process_;
    row.local = EndpointOf("192.0.2." + std::to_string(1 + number_ % 250),
                           static_cast<std::uint16_t>(40'000 + i));
    row.remote = EndpointOf("198.51.100." + std::to_string(1 + i % 5), 443);
    row.protocol = 6;
    row.direction = Direction::kOut;
    row.state = FlowState::kOpen;
    row.start = began_;
    row.last = row.emitted = now;
    row.totals.tx_packets = row.totals.rx_packets = frames_ * 3;
    row.totals.tx_payload_bytes = frames_ * static_cast<std::uint64_t>(200 + i);
    row.totals.rx_payload_bytes = frames_ * static_cast<std::uint64_t>(900 + 7 * i);
    row.totals.tx_wire_bytes = row.totals.tx_skb_bytes =
        row.totals.tx_payload_bytes + 52 * row.totals.tx_packets;
    row.totals.rx_wire_bytes = row.totals.rx_skb_bytes =
        row.totals.rx_payload_bytes + 52 * row.totals.rx_packets;
    batch.flows.push_back(row);
  }
  return Write(Lane::kBulk, batch);
}

}  // namespace culprit::bench
