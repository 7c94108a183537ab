// SPDX-License-Identifier: Apache-2.0
// FlowAssembler: connections that Zeek has assembled already.
#include <netinet/in.h>

#include <cerrno>

#include "agent/assemble/flow_assembler.h"

namespace culprit {
namespace {

// conn_state of Zeek's base/protocols/conn.
struct ConnState {
  const char* name;
  bool answered;
  std::int32_t error;  // of an attempt that was not
  bool aborted;
};
constexpr ConnState kStates[] = {
    {"S0", false, ETIMEDOUT, false},
    {"REJ", false, ECONNREFUSED, false},
    {"RSTOS0", false, 0, true},
    {"SH", false, 0, true},
    {"RSTRH", false, ECONNREFUSED, false},
};

ConnState StateOf(const ZeekConn& conn) {
  for (const ConnState& state : kStates) {
    if (conn.conn_state == state.name) return state;
  }
  return {"", true, 0, false};
}

}  // namespace

void FlowAssembler::OnConnection(const ZeekConn& conn, BootTime start, BootTime end) {
  Tracked flow;
  flow.key.protocol = conn.protocol;
  flow.number = next_number_++;
  flow.ends = {conn.originator, conn.responder};
  if (conn.protocol == IPPROTO_ICMP || conn.protocol == IPPROTO_ICMPV6) {
    flow.ends[0].port = flow.ends[1].port = 0;  // type and code
  }
  flow.start = start;
  flow.last = end;
  flow.ways[0].packets = conn.orig_pkts.value_or(0);
  flow.ways[1].packets = conn.resp_pkts.value_or(0);
  flow.ways[0].payload = conn.orig_bytes.value_or(0);
  flow.ways[1].payload = conn.resp_bytes.value_or(0);
  flow.ways[0].ip_bytes = conn.orig_ip_bytes.value_or(flow.ways[0].payload);
  flow.ways[1].ip_bytes = conn.resp_ip_bytes.value_or(flow.ways[1].payload);
  ++counters_.flows;
  counters_.packets += flow.ways[0].packets + flow.ways[1].packets;
  counters_.ip_bytes += flow.ways[0].ip_bytes + flow.ways[1].ip_bytes;
  const bool local[2] = {hosts_.IsLocal(flow.ends[0].address),
                         hosts_.IsLocal(flow.ends[1].address)};
  if (local[0] || !local[1]) Watch(flow, 0, start, nullptr);
  if (local[1]) Watch(flow, 1, start, nullptr);
  View& began = flow.views[0];
  const ConnState state = StateOf(conn);
  if (conn.protocol == IPPROTO_TCP) {
    flow.phase = Phase::kAttempt;
    flow.aborted = state.aborted;
    if (began.activity != nullptr) {
      began.first_contact = began.activity->OnAttempt(flow.ends[1], start);
    }
    Emit(flow, FlowReason::kAttempt, end);
    if (state.answered) {
      Establish(flow, end);
      flow.established = start;
    } else {
      FailAttempt(flow, state.error, end);
    }
  } else {
    if (began.activity != nullptr) began.activity->OnFirstDatagram(flow.ends[1], start);
    Emit(flow, FlowReason::kFirst, end);
  }
  for (std::size_t view = 0; view < 2; ++view) {
    if (flow.views[view].activity == nullptr) continue;
    for (std::size_t way = 0; way < 2; ++way) {
      flow.views[view].activity->OnPackets(way == view, view == 0, flow.ways[way].packets,
                                           flow.ways[way].ip_bytes);
    }
  }
  flow.phase = Phase::kOver;
  Emit(flow, FlowReason::kEnd, end);
}

}  // namespace culprit
