// SPDX-License-Identifier: Apache-2.0
#include "agent/model/wire.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/model/wire_login.h"
#include "agent/model/wire_posture.h"
#include "common/flow_id.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {
namespace {

// Differences wrap, so that every pair of values has one.
std::int64_t Delta(std::uint64_t now, std::uint64_t before) {
  return static_cast<std::int64_t>(now - before);
}

std::string AddressBytes(const IpAddress& address) {
  const std::string_view all = address.AsBytes();
  return std::string(address.IsV4() ? all.substr(12) : all);
}

template <class Key>
class Dictionary {
 public:
  // `add` is called with a key that is new.
  template <class Add>
  std::uint32_t IndexOf(const Key& key, const Add& add) {
    const auto [it, fresh] = index_.try_emplace(key, static_cast<std::uint32_t>(index_.size()));
    if (fresh) add(key);
    return it->second;
  }

 private:
  std::unordered_map<Key, std::uint32_t> index_;
};

void ReserveColumns(v1::FlowBatch& out, int rows) {
  for (auto* column :
       {out.mutable_tx_wire_bytes(), out.mutable_rx_wire_bytes(), out.mutable_tx_packets(),
        out.mutable_rx_packets(), out.mutable_tx_payload_bytes(), out.mutable_rx_payload_bytes(),
        out.mutable_tx_skb_bytes(), out.mutable_rx_skb_bytes(), out.mutable_retransmitted_bytes(),
        out.mutable_last_after_start_ns()}) {
    column->Reserve(rows);
  }
  for (auto* column :
       {out.mutable_process(), out.mutable_creator(), out.mutable_local(), out.mutable_remote(),
        out.mutable_local_port(), out.mutable_remote_port(), out.mutable_protocol(),
        out.mutable_direction(), out.mutable_state(), out.mutable_error(), out.mutable_flags(),
        out.mutable_generation(), out.mutable_netns(), out.mutable_n_senders()}) {
    column->Reserve(rows);
  }
  for (auto* column :
       {out.mutable_cookie(), out.mutable_start_boot_ns(), out.mutable_emitted_boot_ns()}) {
    column->Reserve(rows);
  }
}

void WriteTotals(const FlowTotals& totals, v1::FlowBatch& out) {
  out.add_tx_wire_bytes(totals.tx_wire_bytes);
  out.add_rx_wire_bytes(totals.rx_wire_bytes);
  out.add_tx_packets(totals.tx_packets);
  out.add_rx_packets(totals.rx_packets);
  out.add_tx_payload_bytes(totals.tx_payload_bytes);
  out.add_rx_payload_bytes(totals.rx_payload_bytes);
  out.add_tx_skb_bytes(totals.tx_skb_bytes);
  out.add_rx_skb_bytes(totals.rx_skb_bytes);
  out.add_retransmitted_bytes(totals.retransmitted_bytes);
}

// The collector makes the same ids from the other columns (common/flow_id.h): eight bytes a row
// that no compressor shrinks stay at home.
bool IdsAreDerived(const Uuid& boot_id, const std::vector<FlowRow>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const FlowRow& row) {
    return row.flow ==
           MakeFlowId(boot_id, {row.cookie, row.generation, (row.flags & v1::FLOW_FLAG_PEER) != 0,
                                row.remote, row.protocol});
  });
}

void WriteFlows(const Uuid& boot_id, const std::vector<FlowRow>& rows, v1::FlowBatch& out) {
  std::vector<std::uint32_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return rows[a].cookie < rows[b].cookie;
  });
  ReserveColumns(out, static_cast<int>(rows.size()));
  Dictionary<ProcessId> processes;
  Dictionary<IpAddress> addresses;
  const auto add_process = [&](ProcessId id) { out.add_process_ids(id.value()); };
  const auto add_address = [&](const IpAddress& a) { out.add_addresses(AddressBytes(a)); };
  std::uint64_t cookie = 0, start = 0, emitted = 0;
  const bool with_ids = !IdsAreDerived(boot_id, rows);
  const bool with_interfaces = std::any_of(rows.begin(), rows.end(), [](const FlowRow& row) {
    return row.in_ifindex != 0 || row.out_ifindex != 0;
  });
  for (const std::uint32_t i : order) {
    const FlowRow& row = rows[i];
    if (with_ids) out.add_flow_id(row.flow.value());
    out.add_cookie(Delta(row.cookie.value(), std::exchange(cookie, row.cookie.value())));
    out.add_process(processes.IndexOf(row.process, add_process));
    out.add_creator(processes.IndexOf(row.creator, add_process));
    out.add_local(addresses.IndexOf(row.local.address, add_address));
    out.add_remote(addresses.IndexOf(row.remote.address, add_address));
    out.add_local_port(row.local.port);
    out.add_remote_port(row.remote.port);
    out.add_protocol(row.protocol);
    out.add_direction(static_cast<std::uint32_t>(row.direction));
    out.add_state(static_cast<std::uint32_t>(row.state));
    out.add_error(static_cast<std::uint32_t>(row.error));
    out.add_flags(row.flags);
    out.add_start_boot_ns(Delta(ToNs(row.start), std::exchange(start, ToNs(row.start))));
    out.add_last_after_start_ns(row.last > row.start ? ToNs(row.last) - ToNs(row.start) : 0);
    out.add_emitted_boot_ns(Delta(ToNs(row.emitted), std::exchange(emitted, ToNs(row.emitted))));
    out.add_generation(row.generation);
    out.add_netns(row.netns);
    out.add_n_senders(row.n_senders);
    WriteTotals(row.totals, out);
    if (with_interfaces) {
      out.add_in_ifindex(row.in_ifindex);
      out.add_out_ifindex(row.out_ifindex);
    }
  }
  out.set_rows(static_cast<std::uint32_t>(rows.size()));
}

void WriteProcess(const ProcessFacts& facts, v1::Process& out) {
  out.set_process_id(facts.id.value());
  out.set_parent_id(facts.parent.value());
  out.set_tgid(facts.key.tgid.value());
  out.set_start_boot_ns(ToNs(facts.key.start));
  out.set_exec_id(facts.key.exec_id);
  out.set_exec_boot_ns(ToNs(facts.exec_at));
  out.set_exe(EscapeNonUtf8(facts.exe));
  out.set_exe_path_source(static_cast<v1::ExePathSource>(facts.exe_source));
  out.set_comm(EscapeNonUtf8(facts.comm));
  for (const std::string& arg : facts.argv) out.add_argv(EscapeNonUtf8(arg));
  out.set_argv_truncated(facts.argv_truncated);
  out.set_uid(facts.uid.value());
  out.set_euid(facts.euid.value());
  out.set_gid(facts.gid);
  out.set_user(EscapeNonUtf8(facts.user));
  out.set_login_uid(facts.login_uid.value());
  out.set_login_user(EscapeNonUtf8(facts.login_user));
  out.set_session_id(facts.session_id);
  out.set_container_id(EscapeNonUtf8(facts.container_id));
  out.set_cgroup(EscapeNonUtf8(facts.cgroup));
  if (facts.exe_file) {
    v1::ExeFile& file = *out.mutable_exe_file();
    file.set_dev_major(facts.exe_file->dev_major);
    file.set_dev_minor(facts.exe_file->dev_minor);
    file.set_inode(facts.exe_file->inode);
    file.set_size_bytes(facts.exe_file->size_bytes);
    file.set_ctime_ns(facts.exe_file->ctime_ns);
  }
  if (facts.exe_sha256) out.set_exe_sha256(std::string(AsBytes(*facts.exe_sha256)));
  if (facts.exe_package.state != PackageState::kUnknown) {
    v1::ExePackage& package = *out.mutable_exe_package();
    package.set_state(static_cast<v1::PackageState>(facts.exe_package.state));
    package.set_name(EscapeNonUtf8(facts.exe_package.name));
  }
  out.set_exe_deleted(facts.exe_deleted);
  out.set_exe_memfd(facts.exe_memfd);
  out.set_preexisting(facts.preexisting);
  out.set_is_agent(facts.is_agent);
  out.set_forked(facts.forked);
  out.set_netns(facts.netns);
  out.set_cwd(EscapeNonUtf8(facts.cwd));
  out.set_execed_over_parent(facts.execed_over_parent);
}

void WriteActivity(const Activity& facts, v1::ProcessCounters& out) {
  out.set_first_contacts(facts.first_contacts);
  out.set_first_contacts_ok(facts.first_contacts_ok);
  out.set_first_contacts_failed(facts.first_contacts_failed);
  out.set_initiated_tx_wire_bytes(facts.initiated_tx_wire_bytes);
  out.set_initiated_rx_wire_bytes(facts.initiated_rx_wire_bytes);
  out.set_accepted_tx_wire_bytes(facts.accepted_tx_wire_bytes);
  out.set_accepted_rx_wire_bytes(facts.accepted_rx_wire_bytes);
  out.set_raw_packets(facts.raw_packets);
  out.set_raw_bytes(facts.raw_bytes);
  out.set_link_packets(facts.link_packets);
  out.set_link_bytes(facts.link_bytes);
  out.set_bare_syns(facts.bare_syns);
  out.set_window_boot_ns(ToNs(facts.window));
  out.set_window_addresses(facts.window_addresses);
  out.set_window_ports(facts.window_ports);
}

void WriteCounters(const CounterFacts& facts, v1::ProcessCounters& out) {
  out.set_process_id(facts.process.value());
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_tcp_attempts(facts.tcp_attempts);
  out.set_ok(facts.outcome[CULPRIT_OUTCOME_OK]);
  out.set_refused(facts.outcome[CULPRIT_OUTCOME_REFUSED]);
  out.set_timed_out(facts.outcome[CULPRIT_OUTCOME_TIMED_OUT]);
  out.set_unreachable(facts.outcome[CULPRIT_OUTCOME_UNREACHABLE]);
  out.set_denied(facts.outcome[CULPRIT_OUTCOME_DENIED]);
  out.set_reset(facts.outcome[CULPRIT_OUTCOME_RESET]);
  out.set_aborted(facts.outcome[CULPRIT_OUTCOME_ABORTED]);
  out.set_not_sent(facts.outcome[CULPRIT_OUTCOME_NOT_SENT]);
  out.set_other(facts.outcome[CULPRIT_OUTCOME_OTHER]);
  out.set_accepts(facts.accepts);
  out.set_tx_wire_bytes(facts.tx_wire_bytes);
  out.set_rx_wire_bytes(facts.rx_wire_bytes);
  out.set_tx_packets(facts.tx_packets);
  out.set_rx_packets(facts.rx_packets);
  out.set_suppressed_flows(facts.suppressed_flows);
  WriteActivity(facts.activity, out);
}

void WriteTraffic(const TrafficFacts& facts, v1::Coverage::Traffic& out) {
  out.set_process_bytes(facts.bytes[CULPRIT_CLASS_PROCESS]);
  out.set_kernel_bytes(facts.bytes[CULPRIT_CLASS_KERNEL]);
  out.set_forwarded_bytes(facts.bytes[CULPRIT_CLASS_FORWARDED]);
  out.set_unknown_bytes(facts.bytes[CULPRIT_CLASS_UNKNOWN]);
  out.set_process_packets(facts.packets[CULPRIT_CLASS_PROCESS]);
  out.set_kernel_packets(facts.packets[CULPRIT_CLASS_KERNEL]);
  out.set_forwarded_packets(facts.packets[CULPRIT_CLASS_FORWARDED]);
  out.set_unknown_packets(facts.packets[CULPRIT_CLASS_UNKNOWN]);
  out.set_interface_bytes(facts.interface_bytes);
  out.set_interface_packets(facts.interface_packets);
}

void WriteCoverage(const CoverageFacts& facts, v1::Coverage& out) {
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_since_boot_ns(ToNs(facts.since));
  for (const InterfaceFacts& interface : facts.interfaces) {
    v1::Coverage::Interface& to = *out.add_interfaces();
    to.set_netns(interface.netns);
    to.set_ifindex(interface.ifindex);
    to.set_name(EscapeNonUtf8(interface.name));
    to.set_hardware(interface.hardware);
    to.set_readable(interface.readable);
    WriteTraffic(interface.tx, *to.mutable_tx());
    WriteTraffic(interface.rx, *to.mutable_rx());
  }
}

void WriteLoss(const LossFacts& facts, v1::Loss& out) {
  out.set_cause(static_cast<v1::LossCause>(facts.cause));
  out.set_count(facts.count);
  out.set_bytes(facts.bytes);
  out.set_lane_plus_one(facts.lane_plus_one);
  out.set_first_seq(facts.first_seq);
  out.set_last_seq(facts.last_seq);
  if (facts.end_hash) out.set_end_hash(std::string(AsBytes(*facts.end_hash)));
  out.set_detail(EscapeNonUtf8(facts.detail));
  out.set_at_boot_ns(ToNs(facts.at));
}

void WriteHost(const HostFacts& facts, v1::HostInfo& out) {
  out.set_hostname(EscapeNonUtf8(facts.hostname));
  out.set_identity_source(EscapeNonUtf8(facts.identity_source));
  out.set_instance_id(EscapeNonUtf8(facts.instance_id));
  out.set_account_id(EscapeNonUtf8(facts.account_id));
  out.set_region(EscapeNonUtf8(facts.region));
  out.set_availability_zone(EscapeNonUtf8(facts.availability_zone));
  out.set_image_id(EscapeNonUtf8(facts.image_id));
  out.set_instance_type(EscapeNonUtf8(facts.instance_type));
  out.set_machine_id_hash(EscapeNonUtf8(facts.machine_id_hash));
  out.set_kernel(EscapeNonUtf8(facts.kernel));
  out.set_os(EscapeNonUtf8(facts.os));
  out.set_architecture(EscapeNonUtf8(facts.architecture));
  out.set_agent_version(EscapeNonUtf8(facts.agent_version));
  for (const IpAddress& address : facts.addresses) out.add_addresses(AddressBytes(address));
  if (!facts.public_address.IsUnspecified()) {
    out.set_public_address(AddressBytes(facts.public_address));
  }
}

void WriteFidelity(const FidelityFacts& facts, v1::Fidelity& out) {
  for (const HookFacts& hook : facts.hooks) {
    v1::Fidelity::Hook& to = *out.add_hooks();
    to.set_name(EscapeNonUtf8(hook.name));
    to.set_active(hook.active);
    to.set_note(EscapeNonUtf8(hook.note));
    to.set_required(hook.required);
  }
  out.set_owner_mode(EscapeNonUtf8(facts.owner_mode));
  out.set_exe_hash_mode(EscapeNonUtf8(facts.exe_hash_mode));
  out.set_source(EscapeNonUtf8(facts.source));
}

void WriteHeartbeat(const HeartbeatFacts& facts, v1::Heartbeat& out) {
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_flows_live(facts.flows_live);
  out.set_processes_live(facts.processes_live);
  out.set_spool_bytes(facts.spool_bytes);
  out.set_spool_cap_bytes(facts.spool_cap_bytes);
  out.set_agent_cpu_us(facts.agent_cpu_us);
  out.set_agent_rss_bytes(facts.agent_rss_bytes);
  out.set_agent_pss_bytes(facts.agent_pss_bytes);
  out.set_events_received(facts.events_received);
  out.set_events_lost(facts.events_lost);
  for (const ProgramCostFacts& cost : facts.program_costs) {
    v1::Heartbeat::ProgramCost& to = *out.add_program_costs();
    to.set_name(EscapeNonUtf8(cost.name));
    to.set_run_count(cost.run_count);
    to.set_run_time_ns(cost.run_time_ns);
  }
  for (const std::string& text : facts.degraded) out.add_degraded(EscapeNonUtf8(text));
  out.set_at_mono_ns(facts.at_mono_ns);
  out.set_interval_ms(facts.interval_ms);
  out.mutable_link_ids()->Add(facts.link_ids.begin(), facts.link_ids.end());
  out.mutable_program_ids()->Add(facts.program_ids.begin(), facts.program_ids.end());
  out.set_links_made(facts.links_made);
  if (facts.exe_sha256) out.set_exe_sha256(std::string(AsBytes(*facts.exe_sha256)));
  if (facts.config_sha256) out.set_config_sha256(std::string(AsBytes(*facts.config_sha256)));
  out.set_spool_files_missing(facts.spool_files_missing);
  out.set_stop_reason(facts.stop_reason);
  out.set_previous_run(facts.previous_run);
}

// Names come escaped (agent/model/observation.h): a backslash of theirs is not escaped once more,
// and what no name has is, so that a collector takes it.
std::string Escaped(std::string_view name) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(name.size());
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
  return out;
}

void WriteName(const FlowNameFacts& facts, v1::FlowName& out) {
  out.set_flow_id(facts.flow.value());
  out.set_process_id(facts.process.value());
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_source(static_cast<v1::NameSource>(facts.source));
  out.set_confidence(static_cast<v1::NameConfidence>(facts.confidence));
  out.set_name(Escaped(facts.name));
  out.set_alpn(Escaped(facts.alpn));
  out.set_port(facts.port);
  out.set_command(facts.command);
}

void WriteDns(const DnsFacts& facts, v1::DnsQuestion& out) {
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_process_id(facts.process.value());
  out.set_flow_id(facts.flow.value());
  out.set_server(AddressBytes(facts.server.address));
  out.set_server_port(facts.server.port);
  out.set_name(Escaped(facts.name));
  out.set_type(facts.type);
  out.set_rcode(facts.rcode);
  for (const std::string& answer : facts.answers) out.add_answers(Escaped(answer));
  out.set_questions(facts.questions);
  out.set_query_bytes(facts.query_bytes);
  out.set_answer_bytes(facts.answer_bytes);
  out.set_suppressed(facts.suppressed);
}

}  // namespace

struct BatchWriter::Impl {
  v1::EvidenceBatch message;
};

BatchWriter::BatchWriter() : impl_(std::make_unique<Impl>()) {}
BatchWriter::~BatchWriter() = default;

std::string BatchWriter::Serialize(const RecordBatch& batch) {
  v1::EvidenceBatch& out = impl_->message;
  out.Clear();
  out.set_boot_id(std::string(batch.boot_id.AsBytes()));
  out.set_run_id(std::string(batch.run_id.AsBytes()));
  if (batch.host) WriteHost(*batch.host, *out.mutable_host());
  for (const ProcessFacts& facts : batch.processes) WriteProcess(facts, *out.add_processes());
  for (const ExitFacts& facts : batch.exits) {
    v1::ProcessExit& exit = *out.add_exits();
    exit.set_process_id(facts.id.value());
    exit.set_exit_boot_ns(ToNs(facts.at));
    exit.set_wait_status(facts.wait_status);
  }
  if (!batch.flows.empty()) WriteFlows(batch.boot_id, batch.flows, *out.mutable_flows());
  for (const CounterFacts& facts : batch.counters) WriteCounters(facts, *out.add_counters());
  for (const LossFacts& facts : batch.losses) WriteLoss(facts, *out.add_losses());
  for (const FlowNameFacts& facts : batch.names) WriteName(facts, *out.add_names());
  for (const DnsFacts& facts : batch.dns) WriteDns(facts, *out.add_dns());
  WriteLogins(batch, &out);
  if (batch.fidelity) WriteFidelity(*batch.fidelity, *out.mutable_fidelity());
  if (batch.heartbeat) WriteHeartbeat(*batch.heartbeat, *out.mutable_heartbeat());
  if (batch.coverage) WriteCoverage(*batch.coverage, *out.mutable_coverage());
  WritePosture(batch, &out);
  return out.SerializeAsString();
}

}  // namespace culprit
