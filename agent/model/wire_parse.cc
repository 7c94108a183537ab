// SPDX-License-Identifier: Apache-2.0
// ParseBatch: the way back from the wire, total on any bytes.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/model/wire.h"
#include "common/flow_id.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {
namespace {

std::uint64_t Undelta(std::uint64_t before, std::int64_t delta) {
  return before + static_cast<std::uint64_t>(delta);
}

Result<std::optional<Sha256Digest>> ReadDigest(const std::string& bytes) {
  std::optional<Sha256Digest> out;
  if (bytes.empty()) return out;
  if (bytes.size() != sizeof(Sha256Digest)) return InvalidArgument("a SHA-256 has 32 bytes");
  out.emplace();
  std::memcpy(out->data(), bytes.data(), bytes.size());
  return out;
}

bool SameLength(const v1::FlowBatch& in) {
  const int rows = static_cast<int>(std::min<std::uint32_t>(in.rows(), 1U << 30));
  const int sizes[] = {in.cookie_size(),
                       in.process_size(),
                       in.creator_size(),
                       in.local_size(),
                       in.remote_size(),
                       in.local_port_size(),
                       in.remote_port_size(),
                       in.protocol_size(),
                       in.direction_size(),
                       in.state_size(),
                       in.error_size(),
                       in.flags_size(),
                       in.start_boot_ns_size(),
                       in.last_after_start_ns_size(),
                       in.emitted_boot_ns_size(),
                       in.tx_wire_bytes_size(),
                       in.rx_wire_bytes_size(),
                       in.tx_packets_size(),
                       in.rx_packets_size(),
                       in.tx_payload_bytes_size(),
                       in.rx_payload_bytes_size(),
                       in.tx_skb_bytes_size(),
                       in.rx_skb_bytes_size(),
                       in.generation_size(),
                       in.netns_size(),
                       in.n_senders_size(),
                       in.retransmitted_bytes_size()};
  const auto absent_or_whole = [rows](int n) { return n == 0 || n == rows; };
  return absent_or_whole(in.flow_id_size()) && absent_or_whole(in.in_ifindex_size()) &&
         in.in_ifindex_size() == in.out_ifindex_size() &&
         std::all_of(std::begin(sizes), std::end(sizes), [rows](int n) { return n == rows; });
}

bool InRange(const v1::FlowBatch& in, int i) {
  const auto processes = static_cast<std::uint32_t>(in.process_ids_size());
  const auto addresses = static_cast<std::uint32_t>(in.addresses_size());
  return in.process(i) < processes && in.creator(i) < processes && in.local(i) < addresses &&
         in.remote(i) < addresses && in.local_port(i) <= 0xffff && in.remote_port(i) <= 0xffff &&
         in.protocol(i) <= 0xff && in.direction(i) <= 4 && in.state(i) <= 8 &&
         in.error(i) <= 0x7fffffff;
}

FlowTotals ReadTotals(const v1::FlowBatch& in, int i) {
  return {in.tx_wire_bytes(i),    in.rx_wire_bytes(i),    in.tx_skb_bytes(i),
          in.rx_skb_bytes(i),     in.tx_packets(i),       in.rx_packets(i),
          in.tx_payload_bytes(i), in.rx_payload_bytes(i), in.retransmitted_bytes(i)};
}

Result<std::vector<FlowRow>> ReadFlows(const Uuid& boot_id, const v1::FlowBatch& in) {
  std::vector<FlowRow> rows;
  if (!SameLength(in)) return InvalidArgument("flow columns of unequal length");
  std::vector<IpAddress> addresses;
  for (const std::string& bytes : in.addresses()) {
    TRY(const IpAddress address, IpAddress::FromBytes(bytes));
    addresses.push_back(address);
  }
  std::uint64_t cookie = 0, start = 0, emitted = 0;
  for (int i = 0; i < static_cast<int>(in.rows()); ++i) {
    if (!InRange(in, i)) return InvalidArgument("flow row out of range");
    FlowRow row;
    cookie = Undelta(cookie, in.cookie(i));
    row.cookie = SocketCookie{cookie};
    row.process = ProcessId{in.process_ids(static_cast<int>(in.process(i)))};
    row.creator = ProcessId{in.process_ids(static_cast<int>(in.creator(i)))};
    row.local = {addresses[in.local(i)], static_cast<std::uint16_t>(in.local_port(i))};
    row.remote = {addresses[in.remote(i)], static_cast<std::uint16_t>(in.remote_port(i))};
    row.protocol = static_cast<std::uint8_t>(in.protocol(i));
    row.direction = static_cast<Direction>(in.direction(i));
    row.state = static_cast<FlowState>(in.state(i));
    row.error = static_cast<std::int32_t>(in.error(i));
    row.flags = in.flags(i);
    start = Undelta(start, in.start_boot_ns(i));
    row.start = BootTimeFromNs(start);
    row.last = BootTimeFromNs(start + in.last_after_start_ns(i));
    emitted = Undelta(emitted, in.emitted_boot_ns(i));
    row.emitted = BootTimeFromNs(emitted);
    row.totals = ReadTotals(in, i);
    row.generation = in.generation(i);
    row.netns = in.netns(i);
    row.n_senders = in.n_senders(i);
    if (!in.in_ifindex().empty()) {
      row.in_ifindex = in.in_ifindex(i);
      row.out_ifindex = in.out_ifindex(i);
    }
    row.flow =
        in.flow_id().empty()
            ? MakeFlowId(boot_id, {row.cookie, row.generation,
                                   (row.flags & v1::FLOW_FLAG_PEER) != 0, row.remote, row.protocol})
            : FlowId{in.flow_id(i)};
    rows.push_back(row);
  }
  return rows;
}

Result<ProcessFacts> ReadProcess(const v1::Process& in) {
  ProcessFacts out;
  out.id = ProcessId{in.process_id()};
  out.parent = ProcessId{in.parent_id()};
  out.key = {Tgid{in.tgid()}, BootTimeFromNs(in.start_boot_ns()), in.exec_id()};
  out.exec_at = BootTimeFromNs(in.exec_boot_ns());
  out.exe = in.exe();
  if (in.exe_path_source() < 0 || in.exe_path_source() > 3) {
    return InvalidArgument("unknown exe_path_source");
  }
  out.exe_source = static_cast<ExePathSource>(in.exe_path_source());
  out.comm = in.comm();
  out.argv = {in.argv().begin(), in.argv().end()};
  out.argv_truncated = in.argv_truncated();
  out.uid = Uid{in.uid()};
  out.euid = Uid{in.euid()};
  out.gid = in.gid();
  out.user = in.user();
  out.login_uid = Uid{in.login_uid()};
  out.login_user = in.login_user();
  out.session_id = in.session_id();
  out.container_id = in.container_id();
  out.cgroup = in.cgroup();
  if (in.has_exe_file()) {
    const v1::ExeFile& file = in.exe_file();
    out.exe_file = ExeIdentity{file.dev_major(), file.dev_minor(), file.inode(), file.size_bytes(),
                               file.ctime_ns()};
  }
  TRY(out.exe_sha256, ReadDigest(in.exe_sha256()));
  if (in.exe_package().state() < 0 || in.exe_package().state() > 4) {
    return InvalidArgument("unknown exe_package");
  }
  out.exe_package = {static_cast<PackageState>(in.exe_package().state()), in.exe_package().name()};
  out.exe_deleted = in.exe_deleted();
  out.exe_memfd = in.exe_memfd();
  out.preexisting = in.preexisting();
  out.is_agent = in.is_agent();
  out.forked = in.forked();
  out.netns = in.netns();
  out.cwd = in.cwd();
  out.execed_over_parent = in.execed_over_parent();
  return out;
}

Activity ReadActivity(const v1::ProcessCounters& in) {
  Activity out;
  out.first_contacts = in.first_contacts();
  out.first_contacts_ok = in.first_contacts_ok();
  out.first_contacts_failed = in.first_contacts_failed();
  out.initiated_tx_wire_bytes = in.initiated_tx_wire_bytes();
  out.initiated_rx_wire_bytes = in.initiated_rx_wire_bytes();
  out.accepted_tx_wire_bytes = in.accepted_tx_wire_bytes();
  out.accepted_rx_wire_bytes = in.accepted_rx_wire_bytes();
  out.raw_packets = in.raw_packets();
  out.raw_bytes = in.raw_bytes();
  out.link_packets = in.link_packets();
  out.link_bytes = in.link_bytes();
  out.bare_syns = in.bare_syns();
  out.window = BootTimeFromNs(in.window_boot_ns());
  out.window_addresses = in.window_addresses();
  out.window_ports = in.window_ports();
  return out;
}

CounterFacts ReadCounters(const v1::ProcessCounters& in) {
  CounterFacts out;
  out.process = ProcessId{in.process_id()};
  out.at = BootTimeFromNs(in.at_boot_ns());
  out.tcp_attempts = in.tcp_attempts();
  out.outcome = {in.ok(),    in.refused(), in.timed_out(), in.unreachable(), in.denied(),
                 in.reset(), in.aborted(), in.not_sent(),  in.other()};
  out.accepts = in.accepts();
  out.tx_wire_bytes = in.tx_wire_bytes();
  out.rx_wire_bytes = in.rx_wire_bytes();
  out.tx_packets = in.tx_packets();
  out.rx_packets = in.rx_packets();
  out.suppressed_flows = in.suppressed_flows();
  out.activity = ReadActivity(in);
  return out;
}

TrafficFacts ReadTraffic(const v1::Coverage::Traffic& in) {
  TrafficFacts out;
  out.bytes = {in.process_bytes(), in.kernel_bytes(), in.forwarded_bytes(), in.unknown_bytes()};
  out.packets = {in.process_packets(), in.kernel_packets(), in.forwarded_packets(),
                 in.unknown_packets()};
  out.interface_bytes = in.interface_bytes();
  out.interface_packets = in.interface_packets();
  return out;
}

CoverageFacts ReadCoverage(const v1::Coverage& in) {
  CoverageFacts out;
  out.at = BootTimeFromNs(in.at_boot_ns());
  out.since = BootTimeFromNs(in.since_boot_ns());
  for (const v1::Coverage::Interface& interface : in.interfaces()) {
    out.interfaces.push_back({interface.netns(), interface.ifindex(), interface.name(),
                              interface.hardware(), interface.readable(),
                              ReadTraffic(interface.tx()), ReadTraffic(interface.rx())});
  }
  return out;
}

Result<LossFacts> ReadLoss(const v1::Loss& in) {
  LossFacts out;
  if (in.cause() < 0 || in.cause() > 14) return InvalidArgument("unknown loss cause");
  out.cause = static_cast<LossCause>(in.cause());
  out.count = in.count();
  out.bytes = in.bytes();
  out.lane_plus_one = in.lane_plus_one();
  out.first_seq = in.first_seq();
  out.last_seq = in.last_seq();
  TRY(out.end_hash, ReadDigest(in.end_hash()));
  out.detail = in.detail();
  out.at = BootTimeFromNs(in.at_boot_ns());
  return out;
}

FlowNameFacts ReadName(const v1::FlowName& in) {
  FlowNameFacts out;
  out.flow = FlowId{in.flow_id()};
  out.process = ProcessId{in.process_id()};
  out.at = BootTimeFromNs(in.at_boot_ns());
  out.source = static_cast<NameSource>(in.source());
  out.confidence = static_cast<NameConfidence>(in.confidence());
  out.name = in.name();
  out.alpn = in.alpn();
  out.port = static_cast<std::uint16_t>(in.port());
  out.command = static_cast<std::uint8_t>(in.command());
  return out;
}

Result<DnsFacts> ReadDns(const v1::DnsQuestion& in) {
  DnsFacts out;
  out.at = BootTimeFromNs(in.at_boot_ns());
  out.process = ProcessId{in.process_id()};
  out.flow = FlowId{in.flow_id()};
  TRY(out.server.address, IpAddress::FromBytes(in.server()));
  out.server.port = static_cast<std::uint16_t>(in.server_port());
  out.name = in.name();
  out.type = static_cast<std::uint16_t>(in.type());
  out.rcode = in.rcode();
  out.answers.assign(in.answers().begin(), in.answers().end());
  out.questions = in.questions();
  out.query_bytes = in.query_bytes();
  out.answer_bytes = in.answer_bytes();
  out.suppressed = in.suppressed();
  return out;
}

Result<HostFacts> ReadHost(const v1::HostInfo& in) {
  HostFacts out;
  out.hostname = in.hostname();
  out.identity_source = in.identity_source();
  out.instance_id = in.instance_id();
  out.account_id = in.account_id();
  out.region = in.region();
  out.availability_zone = in.availability_zone();
  out.image_id = in.image_id();
  out.instance_type = in.instance_type();
  out.machine_id_hash = in.machine_id_hash();
  out.kernel = in.kernel();
  out.os = in.os();
  out.architecture = in.architecture();
  out.agent_version = in.agent_version();
  for (const std::string& bytes : in.addresses()) {
    TRY(const IpAddress address, IpAddress::FromBytes(bytes));
    out.addresses.push_back(address);
  }
  return out;
}

FidelityFacts ReadFidelity(const v1::Fidelity& in) {
  FidelityFacts out;
  for (const v1::Fidelity::Hook& hook : in.hooks()) {
    out.hooks.push_back({hook.name(), hook.active(), hook.note(), hook.required()});
  }
  out.owner_mode = in.owner_mode();
  out.exe_hash_mode = in.exe_hash_mode();
  out.source = in.source();
  return out;
}

Result<HeartbeatFacts> ReadHeartbeat(const v1::Heartbeat& in) {
  HeartbeatFacts out;
  out.at = BootTimeFromNs(in.at_boot_ns());
  out.flows_live = in.flows_live();
  out.processes_live = in.processes_live();
  out.spool_bytes = in.spool_bytes();
  out.spool_cap_bytes = in.spool_cap_bytes();
  out.agent_cpu_us = in.agent_cpu_us();
  out.agent_rss_bytes = in.agent_rss_bytes();
  out.agent_pss_bytes = in.agent_pss_bytes();
  out.events_received = in.events_received();
  out.events_lost = in.events_lost();
  for (const v1::Heartbeat::ProgramCost& cost : in.program_costs()) {
    out.program_costs.push_back({cost.name(), cost.run_count(), cost.run_time_ns()});
  }
  out.degraded = {in.degraded().begin(), in.degraded().end()};
  out.at_mono_ns = in.at_mono_ns();
  out.interval_ms = in.interval_ms();
  out.link_ids = {in.link_ids().begin(), in.link_ids().end()};
  out.program_ids = {in.program_ids().begin(), in.program_ids().end()};
  out.links_made = in.links_made();
  TRY(out.exe_sha256, ReadDigest(in.exe_sha256()));
  TRY(out.config_sha256, ReadDigest(in.config_sha256()));
  out.spool_files_missing = in.spool_files_missing();
  out.stop_reason = in.stop_reason();
  out.previous_run = in.previous_run();
  return out;
}

}  // namespace

Result<RecordBatch> ParseBatch(std::string_view bytes) {
  v1::EvidenceBatch in;
  if (bytes.size() > (8U << 20) ||
      !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("not an EvidenceBatch");
  }
  RecordBatch out;
  TRY(out.boot_id, Uuid::FromBytes(in.boot_id()));
  TRY(out.run_id, Uuid::FromBytes(in.run_id()));
  if (in.has_host()) {
    TRY(out.host, ReadHost(in.host()));
  }
  for (const v1::Process& process : in.processes()) {
    TRY(ProcessFacts facts, ReadProcess(process));
    out.processes.push_back(std::move(facts));
  }
  for (const v1::ProcessExit& exit : in.exits()) {
    out.exits.push_back(
        {ProcessId{exit.process_id()}, BootTimeFromNs(exit.exit_boot_ns()), exit.wait_status()});
  }
  if (in.has_flows()) {
    TRY(out.flows, ReadFlows(out.boot_id, in.flows()));
  }
  for (const v1::ProcessCounters& c : in.counters()) out.counters.push_back(ReadCounters(c));
  for (const v1::Loss& loss : in.losses()) {
    TRY(LossFacts facts, ReadLoss(loss));
    out.losses.push_back(std::move(facts));
  }
  for (const v1::FlowName& name : in.names()) out.names.push_back(ReadName(name));
  for (const v1::DnsQuestion& question : in.dns()) {
    TRY(DnsFacts facts, ReadDns(question));
    out.dns.push_back(std::move(facts));
  }
  if (in.has_fidelity()) out.fidelity = ReadFidelity(in.fidelity());
  if (in.has_heartbeat()) {
    TRY(out.heartbeat, ReadHeartbeat(in.heartbeat()));
  }
  if (in.has_coverage()) out.coverage = ReadCoverage(in.coverage());
  return out;
}

}  // namespace culprit
