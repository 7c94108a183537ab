// SPDX-License-Identifier: Apache-2.0
// How a host is doing: its agent's claims, and what they say against each other.
#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "collector/query/render.h"

namespace culprit {
namespace {

std::string CauseName(v1::LossCause cause) {
  return WordOf(v1::LossCause_Name(cause), "LOSS_CAUSE_");
}

// Five counts of 63 bits fit into 128.
std::int64_t Residual(std::uint64_t whole, std::initializer_list<std::uint64_t> parts) {
  __int128 rest = whole;
  for (const std::uint64_t part : parts) rest -= part;
  constexpr __int128 kLow = std::numeric_limits<std::int64_t>::min();
  constexpr __int128 kHigh = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(rest, kLow, kHigh));
}

void RenderTraffic(const v1::Coverage::Traffic& t, bool readable, v1::HostRow::Traffic* out) {
  out->set_process_bytes(t.process_bytes());
  out->set_kernel_bytes(t.kernel_bytes());
  out->set_forwarded_bytes(t.forwarded_bytes());
  out->set_unknown_bytes(t.unknown_bytes());
  out->set_process_packets(t.process_packets());
  out->set_kernel_packets(t.kernel_packets());
  out->set_forwarded_packets(t.forwarded_packets());
  out->set_unknown_packets(t.unknown_packets());
  if (!readable) return;
  out->set_interface_bytes(t.interface_bytes());
  out->set_interface_packets(t.interface_packets());
  out->set_residual_bytes(Residual(t.interface_bytes(), {t.process_bytes(), t.kernel_bytes(),
                                                         t.forwarded_bytes(), t.unknown_bytes()}));
  out->set_residual_packets(Residual(
      t.interface_packets(),
      {t.process_packets(), t.kernel_packets(), t.forwarded_packets(), t.unknown_packets()}));
}

void RenderCoverage(const HostRecord& host, v1::HostRow::Coverage* out) {
  const v1::Coverage& coverage = *host.coverage;
  const std::int64_t at = ToNs(host.coverage_at);
  out->set_at_ns(at);
  out->set_since_ns(at -
                    static_cast<std::int64_t>(coverage.at_boot_ns() - coverage.since_boot_ns()));
  for (const v1::Coverage::Interface& i : coverage.interfaces()) {
    v1::HostRow::Interface* row = out->add_interfaces();
    row->set_name(i.name());
    row->set_netns(i.netns());
    row->set_ifindex(i.ifindex());
    row->set_hardware(i.hardware());
    row->set_readable(i.readable());
    RenderTraffic(i.tx(), i.readable(), row->mutable_tx());
    RenderTraffic(i.rx(), i.readable(), row->mutable_rx());
  }
}

void RenderPrograms(const HostRecord& host, v1::HostRow* row) {
  std::unordered_map<std::string_view, const v1::Heartbeat::ProgramCost*> before;
  if (host.heartbeat_before != nullptr) {
    for (const auto& cost : host.heartbeat_before->program_costs()) before[cost.name()] = &cost;
  }
  for (const v1::Heartbeat::ProgramCost& cost : host.heartbeat.program_costs()) {
    v1::HostRow::ProgramCost* out = row->add_programs();
    out->set_name(cost.name());
    out->set_run_count(cost.run_count());
    out->set_run_time_ns(cost.run_time_ns());
    const auto old = before.find(cost.name());
    if (old == before.end() || old->second->run_count() > cost.run_count() ||
        old->second->run_time_ns() > cost.run_time_ns()) {
      continue;
    }
    out->set_span_run_count(cost.run_count() - old->second->run_count());
    out->set_span_run_time_ns(cost.run_time_ns() - old->second->run_time_ns());
  }
}

void RenderAddresses(const v1::HostInfo& info, v1::HostRow* row) {
  for (const std::string& bytes : info.addresses()) {
    const auto address = IpAddress::FromBytes(bytes);
    if (address) row->add_addresses(address->ToString());
  }
  for (const auto& was : info.public_history()) {
    const auto address = IpAddress::FromBytes(was.address());
    if (!address) continue;
    auto* out = row->add_public_addresses();
    out->set_address(address->ToString());
    out->set_first_ns(was.first_ns());
    out->set_last_ns(was.last_ns());
  }
}

}  // namespace

v1::HostRow RenderHost(const HostRecord& host) {
  v1::HostRow row;
  row.set_agent_id(host.agent_id.ToString());
  row.set_agent_name(host.agent_name);
  row.set_instance_id(host.info.instance_id());
  row.set_hostname(host.info.hostname());
  row.set_region(host.info.region());
  row.set_availability_zone(host.info.availability_zone());
  row.set_account_id(host.info.account_id());
  row.set_kernel(host.info.kernel());
  row.set_os(host.info.os());
  row.set_agent_version(host.info.agent_version());
  RenderAddresses(host.info, &row);
  row.set_last_received_ns(ToNs(host.last_received));
  row.set_first_received_ns(ToNs(host.first_received));
  row.set_clock_skew_ns(host.clock_skew_ns);
  std::string missing;
  for (const v1::Fidelity::Hook& hook : host.fidelity.hooks()) {
    if (hook.active()) continue;
    row.add_missing_hooks(hook.name());
    missing += (missing.empty() ? "; missing " : ", ") + hook.name();
  }
  row.set_fidelity(host.fidelity.owner_mode() + missing);
  *row.mutable_degraded() = host.heartbeat.degraded();
  row.set_frames(host.frames);
  row.set_records(host.records);
  row.set_gaps(host.gaps);
  row.set_forks(host.forks);
  row.set_rollbacks(host.rollbacks);
  row.set_rejected(host.rejected);
  row.set_lost_events(std::max<std::uint64_t>(host.lost_events, host.heartbeat.events_lost()));
  row.set_lost_frames(host.lost_frames);
  row.set_agent_cpu_us(host.heartbeat.agent_cpu_us());
  row.set_agent_pss_bytes(host.heartbeat.agent_pss_bytes());
  row.set_spool_bytes(host.heartbeat.spool_bytes());
  row.set_spool_cap_bytes(host.heartbeat.spool_cap_bytes());
  row.set_heartbeat_ns(ToNs(host.heartbeat_at));
  row.set_flows_live(host.heartbeat.flows_live());
  row.set_processes_live(host.heartbeat.processes_live());
  if (host.heartbeat_before != nullptr) {
    const v1::Heartbeat& before = *host.heartbeat_before;
    row.set_cost_span_ns(host.heartbeat.at_boot_ns() - before.at_boot_ns());
    row.set_cost_cpu_us(host.heartbeat.agent_cpu_us() - before.agent_cpu_us());
  }
  return row;
}

void RenderHealth(const HostRecord& host, v1::HostRow* row) {
  RenderPrograms(host, row);
  for (const auto& [cause, loss] : host.losses) {
    v1::HostRow::LossRow* out = row->add_losses();
    out->set_cause(CauseName(cause));
    out->set_count(loss.count);
    out->set_bytes(loss.bytes);
    out->set_detail(loss.detail);
  }
  for (const v1::Fidelity::Hook& hook : host.fidelity.hooks()) {
    if (hook.active()) continue;
    v1::HostRow::MissingHook* out = row->add_missing();
    out->set_name(hook.name());
    out->set_note(hook.note());
    out->set_required(hook.required());
  }
  if (host.coverage != nullptr) RenderCoverage(host, row->mutable_coverage());
}

}  // namespace culprit
