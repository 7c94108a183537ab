// SPDX-License-Identifier: Apache-2.0
// A stored frame, unpacked: what the stages behind the journal (index, detectors) take.
// Stage: model. Thread: values. Wall times were computed once, from the clock pair of the frame
// that carried the record.
#ifndef CULPRIT_COLLECTOR_MODEL_DECODED_FRAME_H_
#define CULPRIT_COLLECTOR_MODEL_DECODED_FRAME_H_

#include <cstdint>
#include <vector>

#include "collector/model/stored.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {

// Byte and packet counts of a flow: cumulative in an observation, a difference in a stored row.
struct FlowCounters {
  std::uint64_t tx_wire_bytes = 0, rx_wire_bytes = 0;
  std::uint64_t tx_payload_bytes = 0, rx_payload_bytes = 0;
  std::uint64_t tx_packets = 0, rx_packets = 0;
  std::uint64_t tx_skb_bytes = 0, rx_skb_bytes = 0;
  std::uint64_t retransmitted_bytes = 0;
  friend bool operator==(const FlowCounters&, const FlowCounters&) = default;
};

// What a flow row says besides its counts: the newest row of a flow holds.
struct FlowFacts {
  FlowId flow;
  ProcessId process;
  ProcessId creator;
  IpAddress local, remote;
  std::uint16_t local_port = 0, remote_port = 0;
  std::uint8_t protocol = 0;
  v1::FlowDirection direction = v1::FLOW_DIRECTION_UNSPECIFIED;
  v1::FlowState state = v1::FLOW_STATE_UNSPECIFIED;
  std::uint32_t error = 0;
  std::uint32_t flags = 0;
  std::uint64_t cookie = 0;
  std::uint32_t netns = 0;
  std::uint32_t n_senders = 0;
  std::uint32_t in_ifindex = 0, out_ifindex = 0;  // forwarded flows only; those have no creator
  WallTime start;
  WallTime last;  // of the last packet
};

// One row of a FlowBatch.
struct FlowObservation {
  FlowFacts facts;
  FlowCounters cumulative;
  std::uint64_t emitted_boot_ns = 0;
  std::uint64_t start_boot_ns = 0;
};

// A stored frame, unpacked. `rejected` records could not be understood; the frame itself is always
// usable.
struct DecodedFrame {
  Lsn lsn = 0;
  CollectorStamp stamp;
  ClockPair clock;
  Uuid boot_id, run_id;
  std::vector<FlowObservation> flows;
  std::vector<v1::Process> processes;
  std::vector<v1::ProcessExit> exits;
  std::vector<v1::ProcessCounters> counters;
  std::vector<v1::Loss> losses;
  std::vector<v1::FlowName> names;
  std::vector<v1::DnsQuestion> dns;
  std::vector<v1::Login> logins;
  std::vector<v1::LoginFailure> login_failures;
  std::vector<v1::Session> sessions;
  std::vector<v1::PostureChange> posture_changes;
  bool has_host = false, has_fidelity = false, has_heartbeat = false, has_coverage = false;
  v1::HostInfo host;
  v1::Fidelity fidelity;
  v1::Heartbeat heartbeat;
  v1::Coverage coverage;
  bool has_posture = false;
  v1::Posture posture;
  std::uint64_t rejected = 0;
  std::uint64_t records() const {
    return flows.size() + processes.size() + exits.size() + counters.size() + losses.size() +
           names.size() + dns.size() + logins.size() + login_failures.size() + sessions.size() +
           (has_host ? 1U : 0U) + (has_fidelity ? 1U : 0U) +
           (has_heartbeat ? 1U : 0U) + (has_coverage ? 1U : 0U) + (has_posture ? 1U : 0U) +
           posture_changes.size();
  }
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_DECODED_FRAME_H_
