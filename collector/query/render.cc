// SPDX-License-Identifier: Apache-2.0
#include "collector/query/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "collector/query/filter.h"
#include "common/ascii.h"
#include "common/hex.h"

namespace culprit {
namespace {

void RenderFlags(std::uint32_t flags, v1::FlowRow* row) {
  for (std::uint32_t bit = 1; bit != 0 && bit <= flags; bit <<= 1) {
    const auto value = static_cast<int>(bit);
    if ((flags & bit) == 0 || !v1::FlowFlag_IsValid(value)) continue;
    row->add_flags(WordOf(v1::FlowFlag_Name(static_cast<v1::FlowFlag>(value)), "FLOW_FLAG_"));
  }
}

void RenderOwner(const v1::Process& p, v1::FlowRow* row) {
  row->set_pid(p.tgid());
  row->set_comm(p.comm());
  row->set_exe(p.exe());
  row->set_command_line(CommandLine(p));
  row->set_user(UserOf(p));
  row->set_exe_sha256(HexEncode(p.exe_sha256()));
  row->set_container_id(p.container_id());
}

void RenderSums(const FlowCounters& sum, v1::FlowRow* row) {
  row->set_tx_wire_bytes(sum.tx_wire_bytes);
  row->set_rx_wire_bytes(sum.rx_wire_bytes);
  row->set_tx_payload_bytes(sum.tx_payload_bytes);
  row->set_rx_payload_bytes(sum.rx_payload_bytes);
  row->set_tx_packets(sum.tx_packets);
  row->set_rx_packets(sum.rx_packets);
  row->set_tx_skb_bytes(sum.tx_skb_bytes);
  row->set_rx_skb_bytes(sum.rx_skb_bytes);
  row->set_retransmitted_bytes(sum.retransmitted_bytes);
}

// Flows without a process, or with one that the index no longer knows.
std::string WithoutName(const GroupTotal& group) {
  if (group.forwarded == 0) return "(unknown)";
  return group.forwarded == group.flows ? "(forwarded)" : "(forwarded or unknown)";
}

std::string GroupLabel(const GroupTotal& group, GroupBy by, Names* names) {
  if (by == GroupBy::kHost) return HostLabel(names->Host(group.host));
  if (by != GroupBy::kProcess) return group.key.empty() ? WithoutName(group) : group.key;
  const ProcessRecord* process = names->Process(group.host, group.process);
  if (process == nullptr) return WithoutName(group);
  return fmt::format("{} [{}]", process->definition.comm(), process->definition.tgid());
}

}  // namespace

std::string WordOf(std::string_view name, std::string_view prefix) {
  return AsciiLower(name.substr(std::min(prefix.size(), name.size())));
}

v1::FlowRow RenderFlow(const FlowTotal& flow, Names* names) {
  const FlowFacts& f = flow.facts;
  v1::FlowRow row;
  if (const HostRecord* host = names->Host(flow.host)) {
    row.set_agent_id(host->agent_id.ToString());
    row.set_host(HostLabel(host));
  }
  row.set_flow_id(HexId(f.flow.value()));
  row.set_process_id(HexId(f.process.value()));
  row.set_creator_process_id(HexId(f.creator.value()));
  if (const ProcessRecord* process = names->Process(flow.host, f.process)) {
    RenderOwner(process->definition, &row);
  }
  row.set_local(f.local.ToString());
  row.set_local_port(f.local_port);
  row.set_remote(f.remote.ToString());
  row.set_remote_port(f.remote_port);
  row.set_protocol(ProtocolName(f.protocol));
  row.set_direction(DirectionName(f.direction));
  row.set_state(StateName(f.state));
  row.set_error(ErrnoName(f.error));
  row.set_start_ns(ToNs(f.start));
  row.set_last_ns(ToNs(f.last));
  RenderSums(flow.sum, &row);
  RenderFlags(f.flags, &row);
  if (f.direction == v1::FLOW_DIRECTION_FORWARDED) row.add_flags("forwarded");
  row.set_in_ifindex(f.in_ifindex);
  row.set_out_ifindex(f.out_ifindex);
  row.set_netns(f.netns);
  row.set_n_senders(f.n_senders);
  row.set_cookie(f.cookie);
  RenderFlowNames(flow, names->store(), &row);
  RenderFlowSession(flow, names, &row);
  return row;
}

v1::FlowGroup RenderGroup(const GroupTotal& group, GroupBy by, Names* names) {
  v1::FlowGroup out;
  out.set_key(group.key);
  out.set_label(GroupLabel(group, by, names));
  if (group.host != 0) out.set_host(HostLabel(names->Host(group.host)));
  out.set_flows(group.flows);
  out.set_destinations(group.destinations);
  out.set_tx_wire_bytes(group.sum.tx_wire_bytes);
  out.set_rx_wire_bytes(group.sum.rx_wire_bytes);
  out.set_tx_payload_bytes(group.sum.tx_payload_bytes);
  out.set_rx_payload_bytes(group.sum.rx_payload_bytes);
  out.set_tx_packets(group.sum.tx_packets);
  out.set_rx_packets(group.sum.rx_packets);
  out.set_first_ns(ToNs(group.first));
  out.set_last_ns(ToNs(group.last));
  out.set_failed(group.failed);
  return out;
}

v1::ProcessInfo RenderUnknownProcess(std::uint32_t host, ProcessId id, const Names& names) {
  v1::ProcessInfo out;
  out.set_process_id(HexId(id.value()));
  if (const HostRecord* record = names.Host(host)) {
    out.set_agent_id(record->agent_id.ToString());
    out.set_host(HostLabel(record));
  }
  return out;
}

v1::ProcessInfo RenderProcess(const ProcessRecord& process, const Names& names) {
  const v1::Process& p = process.definition;
  v1::ProcessInfo out = RenderUnknownProcess(process.host, process.id(), names);
  out.set_parent_id(HexId(p.parent_id()));
  out.set_pid(p.tgid());
  out.set_comm(p.comm());
  out.set_exe(p.exe());
  *out.mutable_argv() = p.argv();
  out.set_user(UserOf(p));
  out.set_uid(p.uid());
  out.set_login_user(p.login_user());
  out.set_login_uid(p.login_uid());
  out.set_session_id(p.session_id());
  out.set_exe_sha256(HexEncode(p.exe_sha256()));
  out.set_exe_deleted(p.exe_deleted());
  out.set_exe_memfd(p.exe_memfd());
  if (p.has_exe_package()) *out.mutable_exe_package() = p.exe_package();
  out.set_container_id(p.container_id());
  out.set_cgroup(p.cgroup());
  out.set_start_ns(ToNs(process.start));
  out.set_exec_ns(ToNs(process.exec));
  out.set_exit_ns(ToNs(process.exit));
  out.set_wait_status(process.wait_status);
  out.set_preexisting(p.preexisting());
  out.set_forked(p.forked());
  out.set_execed_over_parent(p.execed_over_parent());
  out.set_argv_truncated(p.argv_truncated());
  out.set_is_agent(p.is_agent());
  return out;
}

}  // namespace culprit
