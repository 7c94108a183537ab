// SPDX-License-Identifier: Apache-2.0
// Canary: a connection of the agent to itself, over loopback, now and then. The kernel must tell of
// it as of any other, with this process as its owner: where it does not, the agent is blind,
// whatever its hooks and links look like.
//
//   Probe (sockets) --port--> Canary <--flow events-- source
//
// Stage: wiring (Canary is pure: the time is given). Thread: the loop's. A connection that could
// not be made, or at whose time the kernel declared lost records, says nothing; of two in a row
// that were made and not seen, the second makes it blind, until one is seen again.
#ifndef CULPRIT_AGENT_CANARY_H_
#define CULPRIT_AGENT_CANARY_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "agent/model/event.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

class Canary {
 public:
  // Makes the connection; the port on 127.0.0.1 that it went to.
  using Probe = std::function<Result<std::uint16_t>()>;

  static constexpr std::chrono::seconds kBound{
      5};  // an event takes 0.25 s, a pass over sockets 2 s

  Canary(std::uint32_t own_pid, std::chrono::milliseconds interval, Probe probe)
      : own_pid_(own_pid), interval_(interval), probe_(std::move(probe)) {}

  // 0 = off, and then never blind.
  void SetInterval(std::chrono::milliseconds interval);
  void On(const FlowEvent& flow);
  // Connects when it is time, and judges. `lost`: records that the kernel could not hand over, so
  // far. Once in a second or two.
  void Tick(BootTime now, std::uint64_t lost);

  bool blind() const { return misses_ >= kMisses; }
  // What the fidelity record says of it; changes with its state alone.
  std::string note() const;
  std::uint64_t made() const { return made_; }
  std::uint64_t seen() const { return seen_; }
  const std::string& failure() const {
    return failure_;
  }  // why it could not connect; empty = it did

 private:
  static constexpr std::uint32_t kMisses = 2;
  void Begin(BootTime now, std::uint64_t lost);

  const std::uint32_t own_pid_;
  std::chrono::milliseconds interval_;
  const Probe probe_;
  std::uint16_t port_ = 0;  // of the one that is to be seen; 0 = none
  BootTime begun_, next_;
  std::uint64_t lost_ = 0;  // as it began
  std::uint64_t made_ = 0, seen_ = 0;
  std::uint32_t misses_ = 0;  // in a row
  std::string failure_;
};

// Listens on 127.0.0.1, connects to that without waiting, and closes both. Errors: of sockets, for
// instance where the loopback interface is down.
Result<std::uint16_t> ConnectToOneself();

}  // namespace culprit

#endif  // CULPRIT_AGENT_CANARY_H_
