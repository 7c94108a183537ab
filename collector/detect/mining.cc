// SPDX-License-Identifier: Apache-2.0
// Connections to pools of miners, by name and by shape. The shape is scored as NEMEA's miner
// detector does, without its active probe: small packets, few a minute, for long.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr auto kPorts =
    std::to_array<std::uint16_t>({3032, 3333, 3334, 3335, 4444, 5555, 5556, 7777, 8333, 9332, 9999,
                                  14433, 14444, 20535, 20580, 45560, 45700, 55555});
// Labels and parts of names of well-known pools.
constexpr std::array<std::string_view, 22> kPools = {
    "xmrpool",   "minexmr",       "supportxmr", "moneroocean", "nanopool", "hashvault",
    "2miners",   "nicehash",      "f2pool",     "ethermine",   "antpool",  "viabtc",
    "poolin",    "slushpool",     "braiins",    "unmineable",  "c3pool",   "herominers",
    "dwarfpool", "miningpoolhub", "zergpool",   "prohashing"};

bool IsPoolName(const std::string& name) {
  return std::any_of(kPools.begin(), kPools.end(),
                     [&](std::string_view pool) { return name.find(pool) != std::string::npos; });
}

std::uint32_t ShapeOf(const MiningState::Pool& pool) {
  const double seconds_active = std::chrono::duration<double>(pool.last - pool.first).count();
  const std::uint64_t packets = pool.tx_packets + pool.rx_packets;
  if (packets < 10 || seconds_active < 60) return 0;
  const double mean =
      static_cast<double>(pool.tx_bytes + pool.rx_bytes) / static_cast<double>(packets);
  const double a_minute = static_cast<double>(packets) * 60 / seconds_active;
  std::uint32_t score = 0;
  if (mean >= 50 && mean <= 250) score += 2;
  if (a_minute >= 1 && a_minute <= 30) score += 2;
  if (pool.rx_bytes > 0 && pool.tx_bytes * 10 > pool.rx_bytes && pool.rx_bytes * 10 > pool.tx_bytes)
    score += 1;
  if (seconds_active >= 300) score += 3;
  return score;
}

struct Sighting {
  Endpoint to;
  ProcessId process;
  FlowId flow;
  WallTime at;
  Lsn lsn = 0;
};

std::string ReasonOf(const Endpoint& to, const MiningState::Pool& pool) {
  std::string reason = "is connected to " + to.ToString();
  if (!pool.name.empty()) reason += " (" + pool.name + ")";
  if (!pool.protocol) {
    return reason + (pool.name.empty() ? ", on a port of mining pools and in their rhythm"
                                       : ", a mining pool by its name");
  }
  reason += ", and speaks Stratum, the protocol of mining pools";
  return pool.login.empty() ? reason : reason + ", as " + pool.login;
}

void Judge(const Sighting& seen, const MiningState::Pool& pool, const MiningThresholds& t,
           Group& group, DetectContext& out) {
  const std::uint32_t shape = ShapeOf(pool);
  const bool port = std::find(kPorts.begin(), kPorts.end(), seen.to.port) != kPorts.end();
  const bool long_lived = pool.last - pool.first >= std::chrono::seconds(t.seconds);
  const bool by_shape = port && shape >= t.score && long_lived;
  if (!pool.protocol && pool.name.empty() && !by_shape) return;
  Alarm alarm = MakeAlarm("mining", v1::SEVERITY_HIGH, seen.process);
  alarm.confidence = pool.protocol ? v1::CONFIDENCE_HIGH : v1::CONFIDENCE_MEDIUM;
  alarm.first = pool.first;
  alarm.at = seen.at;
  alarm.lsn = seen.lsn;
  alarm.targets = {MakeTarget(seen.to, pool.tx_bytes, pool.rx_bytes)};
  alarm.targets[0].set_name(pool.name);
  alarm.reason = ReasonOf(seen.to, pool);
  // What was not the reason itself weighs.
  if (pool.protocol && !pool.name.empty()) {
    alarm.weights.emplace_back("the other end is a mining pool by its name", 1);
  }
  if (port && !by_shape) alarm.weights.emplace_back("its port is one that mining pools use", 1);
  alarm.measures = {
      MakeMeasure("shape", shape, t.score),
      MakeMeasure("connected for", std::chrono::duration<double>(pool.last - pool.first).count(),
                  t.seconds, "s")};
  alarm.flows = {seen.flow};
  out.Raise(group, std::move(alarm));
}

}  // namespace

void WatchMining(const FlowEvent& flow, const MiningThresholds& t, Group& group,
                 DetectContext& out) {
  if (!flow.outbound() || flow.facts.protocol != IPPROTO_TCP || !flow.answered) return;
  MiningState::Pool& pool = Need(group.mining).pools.Touch(flow.remote(), flow.at);
  if (pool.first == WallTime{}) pool.first = flow.facts.start;
  pool.last = std::max(pool.last, flow.facts.last);
  pool.tx_packets += flow.added.tx_packets;
  pool.rx_packets += flow.added.rx_packets;
  pool.tx_bytes += flow.added.tx_wire_bytes;
  pool.rx_bytes += flow.added.rx_wire_bytes;
  const std::string name = out.NameOf(flow.facts.remote);
  if (!name.empty() && IsPoolName(name)) pool.name = name;
  Judge({flow.remote(), flow.facts.process, flow.facts.flow, flow.at, flow.lsn}, pool, t, group,
        out);
}

void WatchMining(const NameEvent& name, const FlowFacts* flow, const MiningThresholds& t,
                 Group& group, DetectContext& out) {
  if (flow == nullptr || flow->direction != v1::FLOW_DIRECTION_OUTBOUND) return;
  const bool protocol = name.name.source() == v1::NAME_SOURCE_STRATUM;
  if (!protocol && !IsPoolName(name.name.name())) return;
  const Endpoint to{flow->remote, flow->remote_port};
  MiningState::Pool& pool = Need(group.mining).pools.Touch(to, name.at);
  if (pool.first == WallTime{}) pool.first = flow->start;
  pool.last = std::max(pool.last, name.at);
  pool.protocol = pool.protocol || protocol;
  std::string& said = protocol ? pool.login : pool.name;
  if (!name.name.name().empty()) said = name.name.name();
  Judge({to, flow->process, flow->flow, name.at, name.lsn}, pool, t, group, out);
}

}  // namespace culprit
