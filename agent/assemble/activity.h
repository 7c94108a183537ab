// SPDX-License-Identifier: Apache-2.0
// What a process did on the network, counted from packets as the kernel programs count it live
// (bpf/abi.h, culprit_counters): attempts and outcomes, first contacts, distinct destinations in a
// window, bytes by who began. Stage: assemble. Pure. Thread: one caller. Failure: none; bounded,
// what is over a bound is not counted as new.
#ifndef CULPRIT_AGENT_ASSEMBLE_ACTIVITY_H_
#define CULPRIT_AGENT_ASSEMBLE_ACTIVITY_H_

#include <absl/container/flat_hash_set.h>

#include <cstdint>

#include "agent/model/event.h"
#include "common/net_address.h"
#include "common/time.h"

namespace culprit {

// A set of 64-bit hashes that forgets what was not seen for one to two of its periods.
class RecentSet {
 public:
  // Whether `hash` is new.
  bool Add(std::uint64_t hash, BootTime at);

 private:
  static constexpr std::size_t kMaxEntries = 65'536;  // of one half
  absl::flat_hash_set<std::uint64_t> young_, old_;
  BootTime since_;
};

class ProcessActivity {
 public:
  ProcessActivity(const ProcessKey& key, std::string comm);

  // True: a first contact; say so again with the outcome.
  bool OnAttempt(const Endpoint& remote, BootTime at);
  void OnOutcome(culprit_outcome outcome, bool first_contact);
  void OnAccept() {
    ++counters_.accepts;
    dirty_ = true;
  }
  // The first datagram to a peer of a flow that this side began.
  void OnFirstDatagram(const Endpoint& remote, BootTime at) { NoteDestination(remote, at); }
  void OnPackets(bool sent, bool initiated, std::uint64_t packets, std::uint64_t ip_bytes);

  // The counters, where they changed since the last call.
  bool Take(BootTime at, CountersEvent* out);

 private:
  void NoteDestination(const Endpoint& remote, BootTime at);

  CountersEvent counters_;
  RecentSet contacts_;
  absl::flat_hash_set<std::uint64_t> window_addresses_, window_ports_;
  bool dirty_ = false;
};

// 64 bits of an endpoint, well mixed; not secret.
std::uint64_t HashEndpoint(const Endpoint& endpoint);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ASSEMBLE_ACTIVITY_H_
