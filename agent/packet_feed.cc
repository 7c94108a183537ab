// SPDX-License-Identifier: Apache-2.0
#include "agent/packet_feed.h"

#include <sys/utsname.h>

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
  auto ring = PacketRing::Start(RingConfigOf(config, version), &DecodePacket);
  if (ring) {
    ring_ = std::move(*ring);
  } else {
    problem_ = ring.error().message;
  }
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
  if (!problem_.empty()) return {"packets: " + problem_};
  if (ring_ == nullptr) return {};
  std::vector<std::string> problems = ring_->status().degraded;
  for (std::string& problem : problems) problem.insert(0, "packets: ");
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
  return {{"packets seen", seen},
          {"packets kept", kept},
          {"packets kept by their headers", cut},
          {"packets counted only", counted},
          {"packets dropped by the kernel", dropped},
          {"packets with a process", status.join.named},
          {"packets without a process", status.join.unnamed},
          {"packet ring, bytes", status.bytes},
          {"packet ring, oldest packet, s since 1970",
           static_cast<std::uint64_t>(status.oldest_ns / 1'000'000'000)}};
}

}  // namespace culprit
