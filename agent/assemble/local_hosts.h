// SPDX-License-Identifier: Apache-2.0
// Whose point of view a capture has: which addresses are the watched hosts, and who stands for the
// process that a capture cannot name. Stage: assemble. Pure. Thread: one caller. Failure: none;
// bounded, the rest shares one name.
#ifndef CULPRIT_AGENT_ASSEMBLE_LOCAL_HOSTS_H_
#define CULPRIT_AGENT_ASSEMBLE_LOCAL_HOSTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/model/event.h"
#include "common/ids.h"
#include "common/net_address.h"

namespace culprit {

// Who used a local endpoint: a line of `replay --process-map`.
struct MappedProcess {
  Endpoint local;             // unspecified address: any; port 0: any
  std::uint8_t protocol = 0;  // IPPROTO_*; 0: any
  Tgid tgid;
  Uid uid = kNoUid;
  std::string exe, comm;
};

// Lines of "ADDRESS|*  PORT|*  tcp|udp|*  PID  EXE [UID]", '#' begins a comment. Errors name the
// line.
Result<std::vector<MappedProcess>> ParseProcessMap(std::string_view text);

class LocalHosts {
 public:
  // `given` empty: every private address counts as watched.
  explicit LocalHosts(std::vector<Cidr> given, std::vector<MappedProcess> map = {});

  bool IsLocal(const IpAddress& address) const;
  // The process that stands for a local endpoint; `started` is set where this is the first time.
  ProcessKey ProcessOf(const Endpoint& local, std::uint8_t protocol, BootTime at,
                       std::optional<ExecEvent>* started);
  const std::vector<IpAddress>& seen() const { return seen_; }

 private:
  static constexpr std::size_t kMaxHosts = 4'096;

  ExecEvent Stand(const IpAddress& host, BootTime at);

  std::vector<Cidr> given_;
  std::vector<MappedProcess> map_;
  std::vector<std::optional<ProcessKey>> mapped_;  // of map_, once begun
  std::unordered_map<IpAddress, ProcessKey> hosts_;
  std::vector<IpAddress> seen_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ASSEMBLE_LOCAL_HOSTS_H_
