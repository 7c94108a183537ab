// SPDX-License-Identifier: Apache-2.0
// HostDetector: the detectors over the evidence of one host. Turns records into events
// (differences), keeps the groups, and turns alarms into findings: one a group and rule while it
// goes on.
//
// Stage: detect. Pure: the time is that of the records. Thread: one caller. Bounded: processes,
// flows, groups and destinations that are remembered; what is forgotten costs detail of old
// behaviour, never memory. The same records in the same order give the same findings, however they
// are cut into frames.
#ifndef CULPRIT_COLLECTOR_DETECT_HOST_DETECTOR_H_
#define CULPRIT_COLLECTOR_DETECT_HOST_DETECTOR_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "collector/detect/events.h"
#include "collector/detect/group.h"
#include "collector/detect/session_book.h"
#include "collector/detect/thresholds.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

// Takes a finding that is new or has moved on. `id` and state are not for the detector to set.
using FindingSink = std::function<void(const v1::Finding&)>;

class HostDetector final : private DetectContext {
 public:
  HostDetector(const DetectThresholds& thresholds, FindingSink sink)
      : thresholds_(thresholds), sink_(std::move(sink)) {}

  void Take(const DecodedFrame& frame);

 private:
  struct FlowKey {
    std::uint64_t flow = 0, process = 0;
    friend bool operator==(const FlowKey&, const FlowKey&) = default;
  };
  struct FlowKeyHash {  // both are hashes already
    std::size_t operator()(const FlowKey& key) const noexcept {
      return key.flow ^ (key.process << 1);
    }
  };
  struct FlowState {
    FlowFacts facts;
    FlowCounters total;
    bool ended = false, decided = false, answered = false;
    std::uint64_t used = 0;
  };
  struct Contact {
    WallTime first, last;
    std::string name;
  };
  struct Episode {
    v1::Finding finding;
    ProcessId process;   // of the newest evidence
    std::string reason;  // without the session
    WallTime told;       // when the sink heard of it last
  };

  void TakeFlow(const FlowObservation& seen);
  void TakeCounters(const v1::ProcessCounters& counters);
  void TakeName(const v1::FlowName& name);
  void TakeDns(const v1::DnsQuestion& question);
  FlowEvent Difference(const FlowObservation& seen, bool first, FlowState* state) const;
  void NoteContact(const FlowEvent& flow);
  void NoteSshPort(const FlowEvent& flow);
  Group& GroupOf(ProcessId process);
  WallTime Clamped(WallTime at) const;
  void TakeSessions();
  void Tell(Episode* episode);
  void Weigh(const Alarm& alarm, v1::Finding* finding) const;
  void Forget();

  void Raise(Group& group, Alarm alarm) override;
  bool IsDue(const Group& group, const char* rule, WallTime at) const override;
  const ProcessBook& processes() const override { return processes_; }
  bool IsOldDestination(const IpAddress& address, WallTime at) const override;
  bool IsSshPort(std::uint16_t port) const override { return ssh_ports_.contains(port); }
  bool KnowsSshPorts() const override { return !ssh_ports_.empty(); }
  std::string NameOf(const IpAddress& address) const override;

  const DetectThresholds& thresholds_;
  FindingSink sink_;
  const DecodedFrame* frame_ = nullptr;  // while it is taken
  ProcessBook processes_;
  SessionBook sessions_;
  std::unordered_map<FlowKey, FlowState, FlowKeyHash> flows_;
  std::unordered_map<std::uint64_t, v1::ProcessCounters> counters_;  // newest, by process
  std::unordered_map<std::uint64_t, std::string> group_of_;          // by process
  std::unordered_map<std::string, Group> groups_;
  std::unordered_map<IpAddress, Contact> contacts_;
  std::set<std::uint16_t> ssh_ports_;
  std::map<std::pair<std::string, std::string>, Episode> episodes_;  // (rule, group)
  std::uint64_t clock_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_HOST_DETECTOR_H_
