// SPDX-License-Identifier: Apache-2.0
#include "agent/packet_feed.h"

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/decode/packet_decoder.h"

namespace culprit {
namespace {

RingConfig RingConfigOf(const AgentConfig& config, const std::string& version) {
  RingConfig ring;
  ring.directory = config.PacketDirectory();
  ring.segments = config.packets.segments;
  ring.segment_bytes = config.packets.segment_bytes;
  ring.frozen_bytes = ring.segments * ring.segment_bytes;
  ring.tap.interfaces = config.packets.interfaces;
  ring.tap.loopback = config.packets.loopback;
  ring.tap.buffer_bytes = config.packets.buffer_bytes;
  ring.tap.policy.first_bytes = config.packets.first_bytes;
  utsname host{};
  if (uname(&host) == 0) {
    ring.section.hardware = host.machine;
    ring.section.os = std::string(host.sysname) + " " + host.release;
  }
  ring.section.application = "culprit-agent " + version;
  return ring;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool IsOver(FlowState state) {
  return state == FlowState::kClosed || state == FlowState::kFailed ||
         state == FlowState::kAborted || state == FlowState::kHandedOver;
}

}  // namespace

PacketFeed::PacketFeed(const AgentConfig& config, const std::string& version) {
  if (!config.packets.enabled) return;
  if (config.packets.names) StartParser(config);
  RingConfig options = RingConfigOf(config, version);
  if (parser_) {
    options.on_packet = [this](const Packet& packet, std::int64_t wall_ns) {
      AddSample(packet, wall_ns);
    };
  }
  auto ring = PacketRing::Start(options, &DecodePacket);
  if (!ring) {
    problems_.push_back("packets: " + ring.error().message);
    return;
  }
  ring_ = std::move(*ring);
  auto fetches = PacketFetches::Start(ring_.get(), options.section);
  if (fetches) {
    fetches_ = std::move(*fetches);
  } else {
    problems_.push_back("packets cannot be fetched: " + fetches.error().message);
  }
}

PacketFeed::~PacketFeed() {
  fetches_.reset();  // reads the ring
  ring_.reset();     // its thread adds samples
}

std::optional<ControlAnswer> PacketFeed::Ask(PacketFetch fetch) {
  if (fetches_) {
    fetches_->Ask(std::move(fetch));
    return std::nullopt;
  }
  if (fetch.release) return std::nullopt;
  ControlAnswer refusal;
  refusal.request_id = fetch.request_id;
  refusal.fault = problems_.empty() ? ControlFault::kDisabled : ControlFault::kFailed;
  refusal.detail = problems_.empty() ? "packets.enabled is false in the agent's configuration"
                                     : problems_.back();
  return refusal;
}

std::vector<ControlAnswer> PacketFeed::TakeAnswers() {
  return fetches_ ? fetches_->Take() : std::vector<ControlAnswer>{};
}

void PacketFeed::StartParser(const AgentConfig& config) {
  ParserOptions options;
  options.program = config.ParserProgram();
  options.user = config.sender.user;
  auto parser = ParserLink::Start(options);
  wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (parser && wake_) {
    parser_ = std::move(*parser);
  } else {
    problems_.push_back("names: " +
                        (parser ? ErrnoError("make an eventfd") : parser.error()).message);
  }
}

void PacketFeed::AddSample(const Packet& packet, std::int64_t wall_ns) {
  if (packet.protocol != IPPROTO_TCP && packet.protocol != IPPROTO_UDP) return;
  const bool edge = (packet.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) != 0;
  if (packet.payload.empty() && !edge) return;
  bool first = false;
  {
    const MutexLock lock(&mutex_);
    if (samples_.size() >= kMaxSamples || sample_bytes_ + packet.payload.size() > kMaxSampleBytes) {
      ++samples_dropped_;
      return;
    }
    first = samples_.empty();
    samples_.push_back({packet, std::string(packet.payload), wall_ns});
    sample_bytes_ += packet.payload.size();
  }
  constexpr std::uint64_t kOne = 1;
  if (first && write(wake_.get(), &kOne, sizeof(kOne)) < 0) return;  // full: the loop is awake
}

void PacketFeed::Pump(const ClockPair& clock, const ParserLink::Sink& sink) {
  if (parser_ == nullptr) return;
  std::uint64_t woken = 0;
  if (read(wake_.get(), &woken, sizeof(woken)) < 0) woken = 0;  // nobody did
  std::vector<Sample> samples;
  {
    const MutexLock lock(&mutex_);
    samples.swap(samples_);
    sample_bytes_ = 0;
  }
  for (Sample& sample : samples) {
    sample.packet.payload = sample.payload;
    const auto after = std::chrono::nanoseconds(sample.wall_ns - ToNs(clock.wall));
    parser_->Offer(sample.packet, clock.boot + after);
  }
  parser_->Pump(sink);
}

void PacketFeed::Take(const RecordBatch& batch) {
  if (ring_ == nullptr) return;
  for (const ProcessFacts& process : batch.processes) Take(process);
  for (const FlowRow& row : batch.flows) Take(row);
}

void PacketFeed::Take(const ProcessFacts& process) {
  const auto [name, fresh] = names_.try_emplace(process.id);
  if (!process.comm.empty()) name->second = {process.key.tgid, process.comm};
  if (fresh) name_order_.push_back(process.id);
  if (name_order_.size() > kMaxNames) {
    names_.erase(name_order_.front());
    name_order_.pop_front();
  }
  PcapngProcess definition;
  definition.id = process.id;
  definition.tgid = process.key.tgid;
  definition.start = process.key.start;
  definition.exec_id = process.key.exec_id;
  definition.uid = process.uid;
  definition.exe = process.exe;
  definition.arguments = Joined(process.argv);
  definition.parent = process.parent;
  ring_->LearnProcess(std::move(definition));
}

void PacketFeed::Take(const FlowRow& row) {
  if (row.state == FlowState::kListening) return;
  RingFlow flow;
  flow.flow = row.flow;
  flow.process = row.process;
  if (const auto name = names_.find(row.process); name != names_.end()) {
    flow.tgid = name->second.tgid;
    flow.comm = name->second.comm;
  }
  flow.local = row.local;
  flow.remote = row.remote;
  flow.protocol = row.protocol;
  flow.start = row.start;
  if (IsOver(row.state)) flow.end = row.emitted;
  flow.is_agent = (row.flags & kFlowFlagAgent) != 0;
  ring_->LearnFlow(std::move(flow));
}

std::vector<std::string> PacketFeed::problems() const {
  std::vector<std::string> problems = problems_;
  if (ring_ == nullptr) return problems;
  for (const std::string& problem : ring_->status().degraded) {
    problems.push_back("packets: " + problem);
  }
  return problems;
}

std::vector<std::pair<std::string, std::uint64_t>> PacketFeed::counters() const {
  if (ring_ == nullptr) return {};
  const RingStatus status = ring_->status();
  std::uint64_t seen = 0, kept = 0, cut = 0, counted = 0, dropped = 0;
  for (const culprit_tap_counters& of_class : status.classes) {
    seen += of_class.seen;
    kept += of_class.kept;
    cut += of_class.cut;
    counted += of_class.past_budget + of_class.over_rate;
  }
  for (const TapInterface& interface : status.interfaces) dropped += interface.dropped;
  const ParserStatus parser = parser_ ? parser_->status() : ParserStatus{};
  const MutexLock lock(&mutex_);
  return {{"packets seen", seen},
          {"packets kept", kept},
          {"packets kept by their headers", cut},
          {"packets counted only", counted},
          {"packets dropped by the kernel", dropped},
          {"packets with a process", status.join.named},
          {"packets without a process", status.join.unnamed},
          {"samples read for names", parser.processed},
          {"samples not read for names", parser.dropped + samples_dropped_},
          {"names and questions found", parser.observations},
          {"restarts of the parser", parser.restarts},
          {"fetches of packets answered", fetches_ ? fetches_->completed() : 0},
          {"fetches of packets refused", fetches_ ? fetches_->refused() : 0},
          {"packet ring, bytes", status.bytes},
          {"packet ring, oldest packet, s since 1970",
           static_cast<std::uint64_t>(status.oldest_ns / 1'000'000'000)}};
}

}  // namespace culprit
