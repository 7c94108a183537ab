// SPDX-License-Identifier: Apache-2.0
// The hosts with an agent, as a report may name them: by instance, by address, by the public
// address that they had.
// Stage: answer. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_ANSWER_OWN_HOSTS_H_
#define CULPRIT_COLLECTOR_ANSWER_OWN_HOSTS_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "collector/answer/report.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

class OwnHosts {
 public:
  explicit OwnHosts(const v1::ListHostsResponse& hosts);

  bool IsOwn(const IpAddress& address) const { return by_address_.count(address) != 0; }
  // It names no address, or none but ours.
  bool AllOwn(const Sighting& sighting) const;
  bool HasInstance(const std::string& instance) const { return by_instance_.count(instance) != 0; }
  // Agent ids of those that have or had it.
  std::set<std::string> AgentsOf(const IpAddress& address) const;
  static bool HasProtocol(const std::set<std::uint8_t>& protocols, const std::string& name);

  // Points for the host that the flow is of.
  void JudgeHost(const Sighting& sighting, const v1::FlowRow& flow,
                 const std::function<void(double, std::string)>& add) const;

  // What should be known of an address or an instance in a report.
  void NoteAddress(const IpAddress& address, std::vector<std::string>* notes) const;
  void NoteInstance(const std::string& instance, std::vector<std::string>* notes) const;

 private:
  struct Owner {
    std::string agent_id, label;
    bool moved = false;  // a public address that went to another or away
    std::int64_t first_ns = 0, last_ns = 0;
  };
  // Private addresses repeat, public ones move.
  std::multimap<IpAddress, Owner> by_address_;
  std::map<std::string, std::string> by_instance_;  // -> agent id
  std::set<std::string> imported_;                  // agent ids
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_OWN_HOSTS_H_
