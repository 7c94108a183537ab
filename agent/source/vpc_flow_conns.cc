// SPDX-License-Identifier: Apache-2.0
#include "agent/source/vpc_flow_conns.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint8_t kSyn = 2, kSynAck = 18;

// Which end answers: of two ports the lesser, which is the service's nearly always.
int ResponderByPort(const Endpoint& lesser, const Endpoint& other, int first) {
  if (lesser.port == other.port || lesser.port == 0 || other.port == 0) return 1 - first;
  return lesser.port < other.port ? 0 : 1;
}

}  // namespace

Result<std::unique_ptr<VpcFlowConns>> VpcFlowConns::Open(const std::string& path) {
  TRY(auto stream, OpenFileStream(path));
  auto conns = FromStream(std::move(stream));
  if (!conns) return std::move(conns).error().Context(path);
  return conns;
}

Result<std::unique_ptr<VpcFlowConns>> VpcFlowConns::FromStream(std::unique_ptr<ByteStream> stream) {
  TRY(auto reader, VpcFlowReader::FromStream(std::move(stream)));
  std::unique_ptr<VpcFlowConns> conns(new VpcFlowConns(std::move(reader)));
  VpcFlowRow row;
  if (!conns->reader_->Next(&row)) return InvalidArgument("not a VPC flow log: no row in it");
  if (conns->stats().bad_lines > 0) {
    return InvalidArgument("not a VPC flow log: line " + conns->stats().bad[0]);
  }
  conns->Take(row);
  return conns;
}

bool VpcFlowConns::Next(ZeekConn* out) {
  VpcFlowRow row;
  while (over_.empty() && reader_->Next(&row)) {
    Take(row);
    End(newest_s_);
  }
  if (over_.empty()) {
    open_.sort([](const Pending& a, const Pending& b) { return a.end_s < b.end_s; });
    while (!open_.empty()) Finish(open_.begin());
  }
  if (over_.empty()) return false;
  *out = std::move(over_.front());
  over_.pop_front();
  return true;
}

void VpcFlowConns::Take(const VpcFlowRow& row) {
  newest_s_ = std::max(newest_s_, row.end_s);
  const bool swapped = row.destination < row.source;
  const int from = swapped ? 1 : 0;
  const Key key = swapped ? Key{row.destination, row.source, row.protocol}
                          : Key{row.source, row.destination, row.protocol};
  auto found = by_key_.find(key);
  if (found != by_key_.end() && row.start_s > found->second->end_s + kVpcFlowIdle) {
    Finish(found->second);
    found = by_key_.end();
  }
  if (found == by_key_.end()) {
    open_.push_back({key, row.start_s, row.end_s, {}, {}, false, from, -1});
    found = by_key_.emplace(key, std::prev(open_.end())).first;
  } else {
    open_.splice(open_.end(), open_, found->second);
  }
  Pending& flow = *found->second;
  flow.start_s = std::min(flow.start_s, row.start_s);
  flow.end_s = std::max(flow.end_s, row.end_s);
  flow.packets[from] += row.packets;
  flow.bytes[from] += row.bytes;
  flow.rejected |= row.rejected;
  if (row.protocol != IPPROTO_TCP || flow.originator >= 0) return;
  if ((row.tcp_flags & kSynAck) == kSynAck) {
    flow.originator = 1 - from;
  } else if ((row.tcp_flags & kSyn) != 0) {
    flow.originator = from;
  }
}

void VpcFlowConns::End(std::int64_t now_s) {
  while (!open_.empty() &&
         (open_.size() > kMaxVpcFlowsOpen || open_.front().end_s + 2 * kVpcFlowIdle < now_s)) {
    Finish(open_.begin());
  }
}

void VpcFlowConns::Finish(std::list<Pending>::iterator flow) {
  const auto& [lesser, other, protocol] = flow->key;
  const int from =
      flow->originator >= 0 ? flow->originator : 1 - ResponderByPort(lesser, other, flow->first);
  const auto to = static_cast<std::size_t>(1 - from), of = static_cast<std::size_t>(from);
  ZeekConn conn;
  conn.wall_ns = flow->start_s * kNsPerSecond;
  conn.duration_ns = (flow->end_s - flow->start_s) * kNsPerSecond;
  conn.originator = from == 0 ? lesser : other;
  conn.responder = from == 0 ? other : lesser;
  conn.protocol = protocol;
  conn.orig_pkts = flow->packets[of];
  conn.orig_ip_bytes = flow->bytes[of];
  conn.resp_pkts = flow->packets[to];
  conn.resp_ip_bytes = flow->bytes[to];
  // Nobody answered: dropped by a rule, or by the other end.
  conn.conn_state = flow->packets[to] == 0 ? "S0" : flow->rejected ? "REJ" : "SF";
  over_.push_back(std::move(conn));
  by_key_.erase(flow->key);
  open_.erase(flow);
}

}  // namespace culprit
