// SPDX-License-Identifier: Apache-2.0
// Group: processes that act together (ProcessBook::GroupOf) and what each detector remembers of
// them. Bounded: some ten kilobytes for one that reaches out much, some hundred bytes for one that
// does not. Stage: detect. Pure. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_DETECT_GROUP_H_
#define CULPRIT_COLLECTOR_DETECT_GROUP_H_

#include <array>
#include <deque>
#include <memory>
#include <set>
#include <string>

#include "collector/detect/spend.h"
#include "collector/detect/windows.h"
#include "collector/model/decoded_frame.h"

namespace culprit {

struct EndpointHash {
  std::size_t operator()(const Endpoint& e) const noexcept {
    return std::hash<IpAddress>{}(e.address) * 31 + e.port;
  }
};

}  // namespace culprit

template <>
struct std::hash<culprit::Endpoint> {
  std::size_t operator()(const culprit::Endpoint& e) const noexcept {
    return culprit::EndpointHash{}(e);
  }
};

namespace culprit {

using std::chrono::seconds;

struct ScanState {
  // First contacts by row: log-4 likelihood that they are a scan's, never below 0.
  std::int32_t failures = 0;
  WallTime began, last_failure;
  RecentMap<Endpoint, bool> contacts{seconds(1800), 4096};  // value: failed
  // Of names with several addresses, by name and port: how many of those failed.
  RecentMap<std::uint64_t, std::uint32_t> names{seconds(1800), 1024};
  // The same by the kernel's counters, where attempts have no rows.
  std::int64_t counted = 0;
  WallTime counted_since, counted_last;
  WallTime without_rows;  // when attempts were last too many to have a row each
  struct Begun {
    WallTime at;
    std::uint64_t silent = 0, answered = 0;
  };
  std::deque<Begun> begun;  // first contacts, until they had time to be answered
  // UDP and ICMP probes; value: answered.
  RecentMap<Endpoint, bool> probes{seconds(60), 4096};
};

struct FloodState {
  std::uint32_t packet_seconds = 0, attempt_seconds = 0;
  WallTime packets_since, attempts_since;
  double packets = 0;        // since packets_since; no sum of a stranger's counters fits an integer
  WindowSum<10> streams{1};  // packets of TCP connections that are answered
  RecentMap<Endpoint, std::uint64_t> targets{seconds(20), 64};  // packets
  RecentMap<Endpoint, bool> clients{seconds(15), 256};  // who spoke first, by UDP, and goes on
};

struct Guessing {
  std::deque<WallTime> tries;
  std::deque<FlowId> flows;
  std::uint64_t bytes = 0;
};
struct BruteForceState {
  RecentMap<Endpoint, Guessing> targets{seconds(600), 256};
};

struct RelayState {
  // Legs that somebody else began, and the flows that this group began.
  std::uint64_t in_rx = 0, in_tx = 0, out_rx = 0, out_tx = 0;
  bool serves = false;  // only who does can be a relay
  WallTime window_began;
  RecentMap<IpAddress, std::uint64_t> clients{seconds(600), 256};       // public ones; bytes
  RecentMap<Endpoint, std::uint64_t> destinations{seconds(600), 1024};  // public ones; bytes
  // Requests to a proxy that came in, and how many were met by a connection.
  RecentMap<Endpoint, bool> asked{seconds(120), 512};
  RecentMap<std::string, bool> asked_names{seconds(120), 512};
  std::uint32_t granted = 0;
  IpAddress asking;
  // A login's sshd.
  RecentMap<Endpoint, std::uint64_t> ssh_destinations{seconds(600), 256};
  RecentMap<IpAddress, bool> ssh_served{seconds(600), 256};  // through its listeners
  std::uint64_t ssh_bytes = 0;
  WallTime ssh_began;
};

struct Egress {
  std::uint64_t tx = 0, rx = 0;
};
struct EgressState {
  RecentMap<IpAddress, Egress> fresh{seconds(3600), 256};
  std::set<IpAddress> told;  // destinations of a finding that goes on: they stay what they were
  WindowSum<60> minute{1};
  WallTime began;
};

struct MiningState {
  struct Pool {
    WallTime first, last;
    std::uint64_t tx_packets = 0, rx_packets = 0, tx_bytes = 0, rx_bytes = 0;
    bool protocol = false;
    std::string login;  // who logs in, as the miner says
    std::string name;   // of the pool, where it is a well-known one
  };
  RecentMap<Endpoint, Pool> pools{seconds(3600), 64};
};

struct Rhythm {
  std::deque<WallTime> starts;
  std::deque<std::uint64_t> sizes;
  std::deque<FlowId> flows;
};
struct BeaconState {
  RecentMap<Endpoint, Rhythm> rhythms{seconds(24 * 3600), 256};
};

struct DnsDomain {
  RecentMap<std::string, bool> names{seconds(600), 512};
  RecentMap<std::string, bool> free_text{seconds(600), 128};
  std::deque<std::pair<WallTime, std::size_t>> lengths;  // of the last minute
  std::uint64_t bytes = 0;
  WallTime began;
};
struct DnsTunnelState {
  RecentMap<std::string, DnsDomain> domains{seconds(600), 64};
  RecentMap<std::string, bool> data_names{seconds(600), 512};
};

struct SpamState {
  RecentMap<IpAddress, bool> servers{seconds(600), 512};
  WallTime began;
};

struct ReflectorState {
  struct Service {
    std::uint64_t answers = 0, tx = 0, rx = 0;
    WallTime began;
  };
  RecentMap<std::uint16_t, Service> services{seconds(300), 32};
};

struct BudgetState {
  WallTime checked;
};

struct Group {
  std::string key;
  WallTime last;
  ProcessId newest;              // of its processes, the one that moved bytes last
  bool makes_packets = false;    // through raw or packet sockets
  std::unique_ptr<Spend> spend;  // of what leaves the host
  std::unique_ptr<ScanState> scan;
  std::unique_ptr<FloodState> flood;
  std::unique_ptr<BruteForceState> brute_force;
  std::unique_ptr<RelayState> relay;
  std::unique_ptr<EgressState> egress;
  std::unique_ptr<MiningState> mining;
  std::unique_ptr<BeaconState> beacon;
  std::unique_ptr<DnsTunnelState> dns_tunnel;
  std::unique_ptr<SpamState> spam;
  std::unique_ptr<ReflectorState> reflector;
  std::unique_ptr<BudgetState> budget;  // of the host's group alone
};

// The state of a detector, made when it is first needed.
template <class State>
State& Need(std::unique_ptr<State>& state) {
  if (state == nullptr) state = std::make_unique<State>();
  return *state;
}

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_GROUP_H_
