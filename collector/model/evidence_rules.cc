// SPDX-License-Identifier: Apache-2.0
#include "collector/model/evidence_rules.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

#include "collector/model/login_rules.h"
#include "collector/model/posture_rules.h"

namespace culprit {
namespace {

using culprit::IsGood;  // of posture_rules.h, beside those below

constexpr std::size_t kMaxPathBytes = 16'384;  // PATH_MAX with every byte escaped as \xNN
constexpr std::size_t kMaxNameBytes = 1024;
constexpr std::size_t kMaxArgvBytes = 4 * 1024 + 64;
constexpr int kMaxArgs = 1024;
constexpr std::uint32_t kMaxPort = 65'535;
constexpr std::uint32_t kMaxProtocol = 255;
constexpr std::uint32_t kMaxErrno = 4'095;          // MAX_ERRNO of the kernel
constexpr std::size_t kMaxInterfaceNameBytes = 64;  // IFNAMSIZ with every byte escaped as \xNN
constexpr std::size_t kMaxProgramNameBytes = 64;
constexpr int kMaxPrograms = 256;
constexpr std::uint32_t kMaxHeartbeatMs = 60'000;
constexpr std::size_t kMaxWordBytes = 32;
constexpr std::size_t kMaxAlpnBytes = 4'096;
constexpr int kMaxDnsAnswers = 64;
constexpr std::uint64_t kMaxCount =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool ArgvFits(const v1::Process& p) {
  if (p.argv_size() > kMaxArgs) return false;
  std::size_t bytes = 0;
  for (const std::string& arg : p.argv()) bytes += arg.size();
  return bytes <= kMaxArgvBytes;
}

bool IsGood(const v1::Process& p) {
  const bool hash_ok = p.exe_sha256().empty() || p.exe_sha256().size() == 32;
  const auto name_fits = [](const std::string& s) { return s.size() <= kMaxNameBytes; };
  // tgid 0 is the kernel itself, or with a uid the bucket of that uid's processes over the budget.
  const bool tgid_ok = p.tgid() != 0 || p.uid() != 0 || p.comm() == "kernel";
  return p.process_id() != 0 && tgid_ok && hash_ok && p.exe().size() <= kMaxPathBytes &&
         p.cwd().size() <= kMaxPathBytes && name_fits(p.comm()) && name_fits(p.user()) &&
         name_fits(p.login_user()) && name_fits(p.container_id()) && name_fits(p.cgroup()) &&
         name_fits(p.exe_package().name()) &&
         p.exe_package().state() >= v1::PACKAGE_STATE_UNSPECIFIED &&
         p.exe_package().state() <= v1::PACKAGE_STATE_LISTED && ArgvFits(p);
}
bool IsGood(const v1::ProcessExit& e) { return e.process_id() != 0; }

// 8 EiB are no count of bytes, and 292 years no time since boot.
bool AreCounts(std::initializer_list<std::uint64_t> values) {
  std::uint64_t bits = 0;
  for (const std::uint64_t value : values) bits |= value;
  return bits <= kMaxCount;
}

bool IsGood(const v1::ProcessCounters& c) {
  return c.process_id() != 0 &&
         AreCounts({c.at_boot_ns(), c.tcp_attempts(), c.ok(), c.refused(), c.timed_out(),
                    c.unreachable(), c.denied(), c.reset(), c.aborted(), c.not_sent(), c.other(),
                    c.accepts(), c.tx_wire_bytes(), c.rx_wire_bytes(), c.tx_packets(),
                    c.rx_packets(), c.suppressed_flows()}) &&
         AreCounts({c.first_contacts(), c.first_contacts_ok(), c.first_contacts_failed(),
                    c.initiated_tx_wire_bytes(), c.initiated_rx_wire_bytes(),
                    c.accepted_tx_wire_bytes(), c.accepted_rx_wire_bytes(), c.raw_packets(),
                    c.raw_bytes(), c.link_packets(), c.link_bytes(), c.bare_syns(),
                    c.window_boot_ns(), c.window_addresses(), c.window_ports()});
}
bool IsGood(const v1::Coverage::Traffic& t) {
  return AreCounts({t.process_bytes(), t.kernel_bytes(), t.forwarded_bytes(), t.unknown_bytes(),
                    t.process_packets(), t.kernel_packets(), t.forwarded_packets(),
                    t.unknown_packets(), t.interface_bytes(), t.interface_packets()});
}
bool IsGood(const v1::Coverage::Interface& i) {
  return i.name().size() <= kMaxInterfaceNameBytes && IsGood(i.tx()) && IsGood(i.rx());
}
bool IsGood(const v1::Heartbeat::ProgramCost& p) {
  return p.name().size() <= kMaxProgramNameBytes && AreCounts({p.run_count(), p.run_time_ns()});
}
bool IsHash(const std::string& bytes) { return bytes.empty() || bytes.size() == 32; }
// One of the words of the proto, or one that a later agent has.
bool IsWord(const std::string& text) {
  return text.size() <= kMaxWordBytes &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}
bool IsGood(const v1::Heartbeat& h) {
  return AreCounts({h.at_boot_ns(), h.at_mono_ns()}) && h.interval_ms() <= kMaxHeartbeatMs &&
         h.link_ids_size() <= kMaxPrograms && h.program_ids_size() <= kMaxPrograms &&
         h.links_made() <= kMaxPrograms && IsHash(h.exe_sha256()) && IsHash(h.config_sha256()) &&
         IsWord(h.stop_reason()) && IsWord(h.previous_run());
}
bool IsGood(const v1::Loss& l) {
  return l.lane_plus_one() <= 2 && l.first_seq() <= l.last_seq() &&
         l.detail().size() <= kMaxPathBytes && (l.end_hash().empty() || l.end_hash().size() == 32);
}

// Names are escaped by the agent: printable ASCII without spaces.
bool IsName(std::string_view name, std::size_t most) {
  return name.size() <= most &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f'; });
}
bool IsGood(const v1::FlowName& n) {
  return n.flow_id() != 0 && n.at_boot_ns() <= kMaxCount && n.source() > 0 &&
         n.source() <= v1::NameSource_MAX && n.confidence() > 0 &&
         n.confidence() <= v1::NameConfidence_MAX && IsName(n.name(), kMaxNameBytes) &&
         IsName(n.alpn(), kMaxAlpnBytes) && n.port() <= kMaxPort && n.command() <= 255;
}
bool IsGood(const v1::DnsQuestion& q) {
  return q.at_boot_ns() <= kMaxCount && (q.server().size() == 4 || q.server().size() == 16) &&
         q.server_port() <= kMaxPort && q.type() <= 0xffff && q.rcode() >= -1 &&
         q.rcode() <= 0xfff && IsName(q.name(), kMaxNameBytes) &&
         q.answers_size() <= kMaxDnsAnswers &&
         std::ranges::all_of(q.answers(),
                             [](const std::string& a) { return IsName(a, kMaxNameBytes); }) &&
         AreCounts({q.query_bytes(), q.answer_bytes()});
}

bool IsGood(const v1::Login& login) { return IsGoodLogin(login); }
bool IsGood(const v1::LoginFailure& failure) { return IsGoodFailure(failure); }
bool IsGood(const v1::Session& session) { return IsGoodSession(session); }

// How many were left out: bad ones, and good ones over the limit.
template <class Repeated>
std::uint64_t LeaveOut(Repeated* records, int limit) {
  const int before = records->size();
  int kept = 0;
  for (int i = 0; i < before && kept < limit; ++i) {
    if (!IsGood(records->Get(i))) continue;
    if (kept != i) records->SwapElements(kept, i);
    ++kept;
  }
  records->DeleteSubrange(kept, before - kept);
  return static_cast<std::uint64_t>(before - kept);
}

template <class Repeated>
void Filter(Repeated* records, EvidenceVerdict* verdict) {
  verdict->records += static_cast<std::uint64_t>(records->size());
  verdict->rejected += LeaveOut(records, records->size());
}

// Parts of a record: a bad one costs no other, and is counted as a record of its own.
template <class Repeated>
void FilterParts(Repeated* parts, int limit, EvidenceVerdict* verdict) {
  const std::uint64_t left_out = LeaveOut(parts, limit);
  verdict->records += left_out;
  verdict->rejected += left_out;
}

template <class Column>
bool FitOptional(Column* column, int rows) {
  if (column->empty()) column->Resize(rows, 0);
  return column->size() == rows;
}

// Whether every column has `rows` elements, after columns that an agent may leave out were filled
// with zeros.
bool ColumnsAgree(v1::FlowBatch* f, int rows) {
  if (!f->flow_id().empty() && f->flow_id_size() != rows) return false;
  for (const int size :
       {f->cookie_size(), f->process_size(), f->creator_size(), f->local_size(), f->remote_size(),
        f->local_port_size(), f->remote_port_size(), f->protocol_size(), f->direction_size(),
        f->state_size(), f->start_boot_ns_size(), f->last_after_start_ns_size(),
        f->emitted_boot_ns_size(), f->tx_wire_bytes_size(), f->rx_wire_bytes_size(),
        f->tx_packets_size(), f->rx_packets_size(), f->tx_payload_bytes_size(),
        f->rx_payload_bytes_size()}) {
    if (size != rows) return false;
  }
  return FitOptional(f->mutable_error(), rows) && FitOptional(f->mutable_flags(), rows) &&
         FitOptional(f->mutable_tx_skb_bytes(), rows) &&
         FitOptional(f->mutable_rx_skb_bytes(), rows) &&
         FitOptional(f->mutable_generation(), rows) && FitOptional(f->mutable_netns(), rows) &&
         FitOptional(f->mutable_n_senders(), rows) &&
         FitOptional(f->mutable_retransmitted_bytes(), rows) &&
         FitOptional(f->mutable_in_ifindex(), rows) && FitOptional(f->mutable_out_ifindex(), rows);
}

bool AddressesAreAddresses(const v1::FlowBatch& f) {
  return std::ranges::all_of(f.addresses(),
                             [](const std::string& a) { return a.size() == 4 || a.size() == 16; });
}

bool RowIsGood(const v1::FlowBatch& f, int i) {
  const auto processes = static_cast<std::uint32_t>(f.process_ids_size());
  const auto addresses = static_cast<std::uint32_t>(f.addresses_size());
  return (f.flow_id().empty() || f.flow_id(i) != 0) && f.process(i) < processes &&
         f.creator(i) < processes && f.local(i) < addresses && f.remote(i) < addresses &&
         f.local_port(i) <= kMaxPort && f.remote_port(i) <= kMaxPort &&
         f.protocol(i) <= kMaxProtocol && f.direction(i) <= v1::FlowDirection_MAX &&
         f.state(i) <= v1::FlowState_MAX && f.error(i) <= kMaxErrno;
}

void FilterFlows(v1::EvidenceBatch* batch, EvidenceVerdict* verdict) {
  if (!batch->has_flows()) return;
  v1::FlowBatch* flows = batch->mutable_flows();
  // A claim of four billion rows in an empty batch counts as what could have been there.
  const auto most = static_cast<std::uint32_t>(flows->process_size());
  const std::uint32_t rows = flows->rows();
  if (rows != most || !ColumnsAgree(flows, static_cast<int>(rows)) ||
      !AddressesAreAddresses(*flows)) {
    const std::uint64_t lost = std::max<std::uint64_t>(most, 1);
    verdict->records += lost;
    verdict->rejected += lost;
    batch->clear_flows();
    return;
  }
  verdict->records += rows;
  for (std::uint32_t i = 0; i < rows; ++i) {
    if (!RowIsGood(*flows, static_cast<int>(i))) verdict->bad_flow_rows.push_back(i);
  }
  verdict->rejected += verdict->bad_flow_rows.size();
}

void FilterCoverage(v1::EvidenceBatch* batch, EvidenceVerdict* verdict) {
  if (!batch->has_coverage()) return;
  v1::Coverage* coverage = batch->mutable_coverage();
  if (coverage->since_boot_ns() <= coverage->at_boot_ns() && coverage->at_boot_ns() <= kMaxCount) {
    FilterParts(coverage->mutable_interfaces(), kMaxInterfaces, verdict);
    return;
  }
  ++verdict->records;
  ++verdict->rejected;
  batch->clear_coverage();
}

// What an agent says of itself is compared from heartbeat to heartbeat: all of it holds, or none.
void FilterHeartbeat(v1::EvidenceBatch* batch, EvidenceVerdict* verdict) {
  if (!batch->has_heartbeat()) return;
  v1::Heartbeat* beat = batch->mutable_heartbeat();
  if (IsGood(*beat)) {
    FilterParts(beat->mutable_program_costs(), kMaxPrograms, verdict);
    return;
  }
  ++verdict->records;
  ++verdict->rejected;
  batch->clear_heartbeat();
}

void FilterPosture(v1::EvidenceBatch* batch, EvidenceVerdict* verdict) {
  Filter(batch->mutable_posture_changes(), verdict);
  if (!batch->has_posture()) return;
  ++verdict->records;
  if (IsGood(batch->posture())) return;
  ++verdict->rejected;
  batch->clear_posture();
}

}  // namespace

EvidenceVerdict ApplyEvidenceRules(v1::EvidenceBatch* batch) {
  EvidenceVerdict verdict;
  Filter(batch->mutable_processes(), &verdict);
  Filter(batch->mutable_exits(), &verdict);
  Filter(batch->mutable_counters(), &verdict);
  Filter(batch->mutable_losses(), &verdict);
  Filter(batch->mutable_names(), &verdict);
  Filter(batch->mutable_dns(), &verdict);
  Filter(batch->mutable_logins(), &verdict);
  Filter(batch->mutable_login_failures(), &verdict);
  Filter(batch->mutable_sessions(), &verdict);
  FilterPosture(batch, &verdict);
  FilterFlows(batch, &verdict);
  FilterCoverage(batch, &verdict);
  FilterHeartbeat(batch, &verdict);
  for (const bool single :
       {batch->has_host(), batch->has_fidelity(), batch->has_heartbeat(), batch->has_coverage()}) {
    verdict.records += single ? 1 : 0;
  }
  return verdict;
}

}  // namespace culprit
