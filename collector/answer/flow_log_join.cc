// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/flow_log_join.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint32_t kMostFlows = 1000;

// The name that a filter knows; empty = any.
std::string ProtocolName(std::uint8_t protocol) {
  if (protocol == IPPROTO_TCP) return "tcp";
  return protocol == IPPROTO_UDP ? "udp" : "";
}

bool Is(std::uint32_t port, const Endpoint& end) { return end.port == 0 || port == end.port; }

}  // namespace

RowEnds EndsOf(const VpcFlowRow& row, const OwnHosts& own) {
  const RowEnds sent{row.source, row.destination}, received{row.destination, row.source};
  const bool from = own.IsOwn(row.source.address), to = own.IsOwn(row.destination.address);
  if (from != to) return from ? sent : received;
  if (row.direction == "ingress") return received;
  if (row.direction == "egress") return sent;
  // Instances have private addresses.
  return row.source.address.IsPublic() && !row.destination.address.IsPublic() ? received : sent;
}

v1::ListFlowsRequest JoinRequest(const VpcFlowRow& row, const RowEnds& ends) {
  v1::ListFlowsRequest request;
  v1::FlowFilter& filter = *request.mutable_filter();
  filter.set_remote(ends.remote.address.ToString());
  filter.set_remote_port(ends.remote.port);
  filter.set_protocol(ProtocolName(row.protocol));
  filter.set_include_agent(true);
  filter.mutable_time()->set_from_ns(std::max<std::int64_t>(row.start_s - kJoinSlack, 0) *
                                     kNsPerSecond);
  filter.mutable_time()->set_to_ns((row.end_s + kJoinSlack + 1) * kNsPerSecond);
  request.set_limit(kMostFlows);
  return request;
}

JoinedRow JoinRow(const VpcFlowRow& row, const RowEnds& ends, std::vector<v1::FlowRow> flows) {
  JoinedRow joined{row, ends, {}, false};
  const auto exact = [&ends](const v1::FlowRow& flow) { return Is(flow.local_port(), ends.local); };
  std::erase_if(flows, [&](const v1::FlowRow& flow) {
    return !Is(flow.remote_port(), ends.remote) || flow.direction() == "listen";
  });
  joined.exact = std::ranges::any_of(flows, exact);
  if (joined.exact) std::erase_if(flows, [&](const auto& flow) { return !exact(flow); });
  const auto overlap = [&row](const v1::FlowRow& flow) {
    return std::min(flow.last_ns(), row.end_s * kNsPerSecond) -
           std::max(flow.start_ns(), row.start_s * kNsPerSecond);
  };
  std::ranges::stable_sort(flows, [&](const auto& a, const auto& b) {
    const bool a_here = a.local() == ends.local.address.ToString();
    const bool b_here = b.local() == ends.local.address.ToString();
    return std::pair(a_here, overlap(a)) > std::pair(b_here, overlap(b));
  });
  joined.flows = std::move(flows);
  return joined;
}

}  // namespace culprit
