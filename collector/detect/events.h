// SPDX-License-Identifier: Apache-2.0
// What the detectors are fed: evidence of one host as differences, in the order of the journal,
// with record time alone. Stage: detect. Pure. Thread: values. A record that is repeated, late or
// split gives no event of its own.
#ifndef CULPRIT_COLLECTOR_DETECT_EVENTS_H_
#define CULPRIT_COLLECTOR_DETECT_EVENTS_H_

#include <string>
#include <utility>
#include <vector>

#include "collector/detect/process_book.h"
#include "collector/model/decoded_frame.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

struct Group;

// A flow moved on.
struct FlowEvent {
  const FlowFacts& facts;
  const FlowCounters& total;  // of the flow so far
  FlowCounters added;         // since the event before
  WallTime at;                // when the row was made
  bool first = false;         // nothing of the flow was known
  bool ended = false;         // and was not before
  bool answered = false;      // something came back, ever
  bool decided = false;       // with this event it became clear whether it is answered
  bool late = false;          // an answer, after it had been taken for unanswered
  Lsn lsn = 0;

  bool outbound() const { return facts.direction == v1::FLOW_DIRECTION_OUTBOUND; }
  bool inbound() const { return facts.direction == v1::FLOW_DIRECTION_INBOUND; }
  Endpoint remote() const { return {facts.remote, facts.remote_port}; }
};

// Counters of a process moved on.
struct ActivityEvent {
  ProcessId process;
  v1::ProcessCounters added;  // cumulative fields as differences
  std::uint64_t window_addresses = 0, window_ports = 0;
  double seconds = 1;  // since the record before
  WallTime at;
  Lsn lsn = 0;
};

struct NameEvent {
  const v1::FlowName& name;
  WallTime at;
  Lsn lsn = 0;
};

struct DnsEvent {
  const v1::DnsQuestion& question;
  WallTime at;
  Lsn lsn = 0;
};

// What a detector says when its threshold is passed, and again with each event that goes on.
struct Alarm {
  const char* rule = "";
  v1::Severity severity = v1::SEVERITY_MEDIUM;
  v1::Confidence confidence = v1::CONFIDENCE_MEDIUM;
  ProcessId process;
  WallTime first;  // of the evidence behind it
  WallTime at;
  Lsn lsn = 0;
  std::string reason;
  std::vector<v1::Measure> measures;
  std::vector<v1::Target> targets;
  std::vector<FlowId> flows;
  // What the detector itself knows to speak for or against it, in points.
  std::vector<std::pair<std::string, int>> weights;
};

Alarm MakeAlarm(const char* rule, v1::Severity severity, ProcessId process);
v1::Measure MakeMeasure(const char* name, double value, double threshold, const char* unit = "");
v1::Target MakeTarget(const Endpoint& to, std::uint64_t tx_bytes = 0, std::uint64_t rx_bytes = 0);

// Where alarms go, and what a detector may ask of its host.
class DetectContext {
 public:
  virtual ~DetectContext() = default;
  virtual void Raise(Group& group, Alarm alarm) = 0;
  // Whether the next alarm of the rule would be told: false for some seconds after one was, so that
  // what is dear to work out is not worked out for each record of a scan. After those the rule's
  // Judge...() is asked, for the flow that met this last.
  virtual bool IsDue(const Group& group, const char* rule, WallTime at) = 0;
  virtual const ProcessBook& processes() const = 0;
  // Whether the host has talked to this address more than an hour ago, as far back as it is
  // remembered; of a young host, whether its siblings have.
  virtual bool IsOldDestination(const IpAddress& address, WallTime at) const = 0;
  // Whether this host's sshd takes logins at other ports than this; false while it was not seen to
  // take any.
  virtual bool IsBesideSsh(std::uint16_t port) const = 0;
  // Name that the host has for the address; empty = none.
  virtual std::string NameOf(const IpAddress& address) const = 0;
  // Stands for the name whose addresses the host asked for and got this one; 0 = there is none.
  virtual std::uint64_t ResolvedFrom(const IpAddress& address) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_EVENTS_H_
