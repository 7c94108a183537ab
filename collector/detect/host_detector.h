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

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/detect/episodes.h"
#include "collector/detect/events.h"
#include "collector/detect/group.h"
#include "collector/detect/scene.h"
#include "collector/detect/session_book.h"
#include "collector/detect/thresholds.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

class HostDetector final : private DetectContext {
 public:
  // `thresholds` and `scene` outlive it.
  HostDetector(const DetectThresholds& thresholds, Scene* scene, const Uuid& agent,
               FindingSink sink);

  // Findings of this agent that are stored: each is taken up once the evidence has come as far as
  // it was told. To be called before the first frame.
  void Resume(const std::vector<v1::Finding>& stored);
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
    std::uint32_t way = 0;
    std::uint64_t way_version = 0;  // of the scene that `way` is by; 0 = it is not known yet
  };
  struct Contact {
    WallTime first, last;
    WallTime noted;      // in the baseline
    bool known = false;  // to the baseline, from an hour and more before
    std::string name;
  };

  void TakeFlow(const FlowObservation& seen);
  void TakeCounters(const v1::ProcessCounters& counters);
  void TakeName(const v1::FlowName& name);
  void TakeDns(const v1::DnsQuestion& question);
  FlowEvent Difference(const FlowObservation& seen, bool first, FlowState* state) const;
  v1::FlowDirection DirectionOf(const FlowFacts& facts, WallTime at);
  void NoteContact(const FlowEvent& flow);
  void NoteProgram(ProcessId process);
  bool WasKnown(const IpAddress& address, WallTime at) const;
  void Charge(const FlowEvent& flow, FlowState* state, Group* group);
  void NoteSshPort(const FlowFacts& facts);
  Group& GroupAt(ProcessId process, WallTime at);
  Group& GroupNamed(const std::string& key);
  WallTime Clamped(WallTime at) const;
  void TakeSessions();
  void TellWaiting(WallTime now);
  void LookAgain(const std::string& rule, const FlowMoment& moment, Group& group);
  void TakeUp();
  void Forget();

  void Raise(Group& group, Alarm alarm) override;
  bool IsDue(const Group& group, const char* rule, WallTime at) override;
  const ProcessBook& processes() const override { return processes_; }
  bool IsOldDestination(const IpAddress& address, WallTime at) const override;
  bool IsBesideSsh(std::uint16_t port) const override {
    return !ssh_ports_.empty() && !ssh_ports_.contains(port);
  }
  std::string NameOf(const IpAddress& address) const override;
  std::uint64_t ResolvedFrom(const IpAddress& address) override;

  const DetectThresholds& thresholds_;
  Scene& scene_;
  const Uuid agent_;
  const DecodedFrame* frame_ = nullptr;  // while it is taken
  FlowKey flow_{};                       // that is taken
  ProcessBook processes_;
  SessionBook sessions_;
  std::unordered_map<FlowKey, FlowState, FlowKeyHash> flows_;
  std::unordered_map<std::uint64_t, v1::ProcessCounters> counters_;  // newest, by process
  std::unordered_map<std::uint64_t, std::string> group_of_;          // by process
  std::unordered_map<std::string, Group> groups_;
  std::unordered_map<IpAddress, Contact> contacts_;
  std::set<std::uint16_t> ssh_ports_;
  RecentMap<Endpoint, std::uint16_t> udp_clients_{seconds(600), 8192};  // value: our port
  RecentMap<IpAddress, std::uint64_t> resolved_{seconds(1800), 8192};   // value: of the name
  WayBook ways_;
  Group host_;  // all of the host's processes together
  Episodes episodes_;
  std::vector<v1::Finding> stored_;  // not taken up yet, the one that was told last in front
  std::uint64_t clock_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_HOST_DETECTOR_H_
