// SPDX-License-Identifier: Apache-2.0
#include "collector/store/sqlite_part_codec.h"

#include <cstring>

namespace culprit {
namespace {

void ReadRest(const SqliteStatement& s, StoredFlow* out) {
  FlowFacts& f = out->row.facts;
  FlowCounters& c = out->row.added;
  c.tx_skb_bytes = s.UInt(20) + c.tx_wire_bytes;
  c.rx_skb_bytes = s.UInt(21) + c.rx_wire_bytes;
  c.retransmitted_bytes = s.UInt(22);
  f.start = out->row.t1 - std::chrono::nanoseconds(s.Int(23));
  const std::uint64_t creator = s.UInt(24);
  const bool forwarded = f.direction == v1::FLOW_DIRECTION_FORWARDED;
  f.creator = creator == 0 || forwarded ? f.process : ProcessId{creator};
  f.in_ifindex = forwarded ? static_cast<std::uint32_t>(creator >> 32) : 0;
  f.out_ifindex = forwarded ? static_cast<std::uint32_t>(creator) : 0;
  f.local = s.Address(25);
  f.error = s.U32(26);
  f.cookie = s.UInt(27);
  f.netns = s.U32(28);
  f.n_senders = s.U32(29);
  out->emitted_boot_ns = s.UInt(30);
  out->prev = s.Int(31);
  out->rebased = s.Int(32) != 0;
}

template <class Message>
void Parse(Message* message, std::string_view bytes) {
  (void)message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

std::string FlowColumns(Detail detail) {
  std::string out =
      "id,host,process,flow,t1,dt,last_before,raddr,rport,proto,dir,state,flags,lport";
  if (detail >= Detail::kBytes) out += ",tx,rx";
  if (detail >= Detail::kCounts) out += ",tx_payload,rx_payload,tx_packets,rx_packets";
  if (detail >= Detail::kFull) {
    out +=
        ",tx_skb,rx_skb,retransmitted,start_before,creator,laddr,error,cookie,netns,n_senders,"
        "emitted,prev,rebased";
  }
  return out;
}

void ReadFlow(const SqliteStatement& s, Detail detail, StoredFlow* out) {
  FlowDelta& r = out->row;
  FlowFacts& f = r.facts;
  FlowCounters& c = r.added;
  out->id = s.Int(0);
  r.host = s.U32(1);
  f.process = ProcessId{s.UInt(2)};
  f.flow = FlowId{s.UInt(3)};
  r.t1 = s.Time(4);
  r.t0 = r.t1 - std::chrono::nanoseconds(s.Int(5));
  f.last = r.t1 - std::chrono::nanoseconds(s.Int(6));
  f.remote = s.Address(7);
  f.remote_port = static_cast<std::uint16_t>(s.Int(8));
  f.protocol = static_cast<std::uint8_t>(s.Int(9));
  f.direction = static_cast<v1::FlowDirection>(s.Int(10));
  f.state = static_cast<v1::FlowState>(s.Int(11));
  f.flags = s.U32(12);
  f.local_port = static_cast<std::uint16_t>(s.Int(13));
  if (detail == Detail::kFacts) return;
  c.tx_wire_bytes = s.UInt(14);
  c.rx_wire_bytes = s.UInt(15);
  if (detail == Detail::kBytes) return;
  c.tx_payload_bytes = s.UInt(16);
  c.rx_payload_bytes = s.UInt(17);
  c.tx_packets = s.UInt(18);
  c.rx_packets = s.UInt(19);
  if (detail == Detail::kFull) ReadRest(s, out);
}

std::uint64_t CreatorColumn(const FlowFacts& f) {
  if (f.direction == v1::FLOW_DIRECTION_FORWARDED) {
    return (std::uint64_t{f.in_ifindex} << 32) | f.out_ifindex;
  }
  return f.creator == f.process ? 0 : f.creator.value();
}

std::string EncodeCounters(const FlowCounters& c) {
  static_assert(sizeof(FlowCounters) == 9 * sizeof(std::uint64_t));
  return {reinterpret_cast<const char*>(&c), sizeof(c)};
}

FlowCounters DecodeCounters(std::string_view bytes) {
  FlowCounters c;
  if (bytes.size() == sizeof(c)) std::memcpy(&c, bytes.data(), sizeof(c));
  return c;
}

MinuteActivity ReadMinute(const SqliteStatement& s, int column) {
  MinuteActivity a;
  a.started = s.UInt(column);
  a.active = s.UInt(column + 1);
  a.tx = s.UInt(column + 2);
  a.rx = s.UInt(column + 3);
  a.attempts = s.UInt(column + 4);
  a.failed = s.UInt(column + 5);
  a.is_agent = s.Int(column + 6) != 0;
  a.busiest = s.Address(column + 7);
  a.busiest_bytes = s.UInt(column + 8);
  a.destinations = DistinctSketch::Decode(s.Blob(column + 9));
  a.crafted = s.UInt(column + 10);
  return a;
}

ProcessRecord ReadProcess(const SqliteStatement& s) {
  ProcessRecord p;
  p.host = s.U32(0);
  p.start = s.Time(1);
  p.exec = s.Time(2);
  p.exit = s.Time(3);
  p.wait_status = static_cast<std::int32_t>(s.Int(4));
  Parse(&p.definition, s.Blob(5));
  Parse(&p.counters, s.Blob(6));
  return p;
}

HostRecord ReadHost(const SqliteStatement& s) {
  HostRecord h;
  h.ref = s.U32(0);
  if (auto id = Uuid::FromBytes(s.Blob(1))) h.agent_id = *id;
  h.agent_name = std::string(s.Blob(2));
  Parse(&h.info, s.Blob(3));
  Parse(&h.fidelity, s.Blob(4));
  Parse(&h.heartbeat, s.Blob(5));
  h.first_received = s.Time(6);
  h.last_received = s.Time(7);
  h.clock_skew_ns = s.Int(8);
  h.frames = s.UInt(9);
  h.records = s.UInt(10);
  h.gaps = s.UInt(11);
  h.forks = s.UInt(12);
  h.rollbacks = s.UInt(13);
  h.rejected = s.UInt(14);
  h.heartbeat_at = s.Time(15);
  h.coverage_at = s.Time(16);
  if (!s.Blob(17).empty()) {
    auto coverage = std::make_shared<v1::Coverage>();
    Parse(coverage.get(), s.Blob(17));
    h.coverage = std::move(coverage);
  }
  return h;
}

}  // namespace culprit
