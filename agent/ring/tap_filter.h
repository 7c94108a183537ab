// SPDX-License-Identifier: Apache-2.0
// TapFilter: the kernel program that says how much of each packet is kept (bpf/tap.bpf.c), its
// settings and counters; and the classic filter that stands in where no program can be loaded.
// Stage: ring (edge: libbpf). Thread: one caller; it owns programs and tables.
// Failure: Load says why the kernel refuses; the tap then goes on with the classic filter, which
// keeps headers of everything.
#ifndef CULPRIT_AGENT_RING_TAP_FILTER_H_
#define CULPRIT_AGENT_RING_TAP_FILTER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bpf/tap_abi.h"
#include "common/net_address.h"
#include "common/pcapng.h"
#include "common/result.h"

namespace culprit {

struct TapRate {
  std::uint64_t bytes_per_second = 0, burst_bytes = 0;
};

// How much of what is kept. Rates count what a packet costs on disk (its kept bytes and about 96).
struct TapPolicy {
  std::uint64_t first_bytes = 64U << 10;       // of each connection whole
  std::uint64_t ssh_first_bytes = 256U << 10;  // of each SSH connection
  std::uint32_t header_packets = 512;          // of each connection by their headers, after that
  std::uint32_t header_bytes = 96;
  std::vector<std::uint16_t> ssh_ports = {22};  // at most CULPRIT_TAP_SSH_PORTS
  std::uint32_t max_flows = 32'768;             // whose budget is remembered; 152 bytes each
  TapRate link = {8U << 10, 256U << 10};
  TapRate general = {2U << 20, 16U << 20};
  TapRate ssh = {64U << 10, 8U << 20};
  TapRate dns = {32U << 10, 2U << 20};
  TapRate contact = {32U << 10, 2U << 20};
  TapRate flagged = {4U << 20, 32U << 20};
};

enum class FlowPolicy : std::uint8_t {
  kNone,
  kWhole,    // flagged: whole packets, at the rate for it
  kExclude,  // the agent's own connection: counted only
};

using TapCounters = std::array<culprit_tap_counters, CULPRIT_TAP_CLASS_COUNT>;

class TapFilter {
 public:
  static Result<std::unique_ptr<TapFilter>> Load(const TapPolicy& policy);
  ~TapFilter();

  // `fd` is a packet socket; `direction` is what it is to give out: kOut, or else what comes in.
  Status Attach(int fd, PacketDirection direction);
  // Of what comes in, port 53 alone.
  Status AttachDns(int fd);
  Status SetFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol, FlowPolicy policy);
  Status SetAddress(const IpAddress& address, FlowPolicy policy);
  TapCounters counters() const;  // sums over all CPUs since the load

 private:
  struct Skeleton;
  explicit TapFilter(std::unique_ptr<Skeleton> skeleton);
  Status Set(int map, const void* key, FlowPolicy policy);

  std::unique_ptr<Skeleton> skeleton_;
};

// Keeps `header_bytes` of every packet of that direction.
Status AttachClassicFilter(int fd, PacketDirection direction, std::uint32_t header_bytes);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_TAP_FILTER_H_
