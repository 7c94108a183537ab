// SPDX-License-Identifier: Apache-2.0
#include "collector/model/batch_decoder.h"

#include <algorithm>
#include <limits>

#include "collector/model/evidence_rules.h"
#include "common/flow_id.h"

namespace culprit {
namespace {

constexpr std::uint64_t kMaxNs = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
// More rows than fit into a frame at a byte a column are a lie.
constexpr std::uint32_t kMaxRows = 1U << 17;
// A record may be a little younger than the clock pair of its frame, no more.
constexpr std::uint64_t kMaxAheadNs = 1'000'000'000;

std::int64_t Saturated(__int128 value) {
  constexpr __int128 kLow = std::numeric_limits<std::int64_t>::min();
  constexpr __int128 kHigh = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value, kLow, kHigh));
}

// Columns are of equal length or absent (all zero), as packed repeated fields of defaults are.
template <class Column>
bool Fits(const Column& column, int rows) {
  return column.empty() || column.size() == rows;
}
template <class Column>
auto At(const Column& column, int row) -> std::decay_t<decltype(column.Get(0))> {
  return column.empty() ? std::decay_t<decltype(column.Get(0))>{} : column.Get(row);
}

bool ColumnsFit(const v1::FlowBatch& b, int n) {
  return Fits(b.flow_id(), n) && b.process_size() == n && b.local_size() == n &&
         b.remote_size() == n && Fits(b.cookie(), n) && Fits(b.creator(), n) &&
         Fits(b.local_port(), n) && Fits(b.remote_port(), n) && Fits(b.protocol(), n) &&
         Fits(b.direction(), n) && Fits(b.state(), n) && Fits(b.error(), n) && Fits(b.flags(), n) &&
         Fits(b.start_boot_ns(), n) && Fits(b.last_after_start_ns(), n) &&
         Fits(b.emitted_boot_ns(), n) && Fits(b.tx_wire_bytes(), n) && Fits(b.rx_wire_bytes(), n) &&
         Fits(b.tx_packets(), n) && Fits(b.rx_packets(), n) && Fits(b.tx_payload_bytes(), n) &&
         Fits(b.rx_payload_bytes(), n) && Fits(b.tx_skb_bytes(), n) && Fits(b.rx_skb_bytes(), n) &&
         Fits(b.generation(), n) && Fits(b.netns(), n) && Fits(b.n_senders(), n) &&
         Fits(b.retransmitted_bytes(), n) && Fits(b.in_ifindex(), n) && Fits(b.out_ifindex(), n);
}

class FlowColumns {
 public:
  FlowColumns(const v1::FlowBatch& batch, const Uuid& boot_id, const ClockPair& clock)
      : batch_(batch), boot_id_(boot_id), clock_(clock) {
    addresses_.reserve(static_cast<std::size_t>(batch.addresses_size()));
    for (const std::string& bytes : batch.addresses()) {
      auto address = IpAddress::FromBytes(bytes);
      address_ok_.push_back(address.has_value());
      addresses_.push_back(address ? *address : IpAddress{});
    }
  }

  // Reads row `i`; false = it makes no sense. Must be called for each row in turn (delta columns).
  bool Read(int i, FlowObservation* out) {
    cookie_ += static_cast<std::uint64_t>(At(batch_.cookie(), i));
    start_ += static_cast<std::uint64_t>(At(batch_.start_boot_ns(), i));
    emitted_ += static_cast<std::uint64_t>(At(batch_.emitted_boot_ns(), i));
    return ReadIdentity(i, &out->facts) && ReadKind(i, &out->facts) && ReadTimes(i, out) &&
           ReadCounters(i, &out->cumulative);
  }

 private:
  bool Process(std::uint32_t index, ProcessId* out) const {
    if (index >= static_cast<std::uint32_t>(batch_.process_ids_size())) return false;
    *out = ProcessId{batch_.process_ids(static_cast<int>(index))};
    return true;
  }
  bool Address(std::uint32_t index, IpAddress* out) const {
    if (index >= addresses_.size() || !address_ok_[index]) return false;
    *out = addresses_[index];
    return true;
  }

  bool ReadIdentity(int i, FlowFacts* f) const {
    f->cookie = cookie_;
    if (!Process(batch_.process(i), &f->process)) return false;
    if (batch_.creator().empty()) {
      f->creator = f->process;
    } else if (!Process(batch_.creator(i), &f->creator)) {
      return false;
    }
    if (!Address(batch_.local(i), &f->local) || !Address(batch_.remote(i), &f->remote)) return false;
    f->flow = batch_.flow_id().empty() ? Derived(i, f->remote) : FlowId{batch_.flow_id(i)};
    return f->flow.value() != 0;
  }

  FlowId Derived(int i, const IpAddress& remote) const {
    return MakeFlowId(boot_id_, {SocketCookie{cookie_}, At(batch_.generation(), i),
                                 (At(batch_.flags(), i) & v1::FLOW_FLAG_PEER) != 0,
                                 {remote, static_cast<std::uint16_t>(At(batch_.remote_port(), i))},
                                 static_cast<std::uint8_t>(At(batch_.protocol(), i))});
  }

  bool ReadKind(int i, FlowFacts* f) const {
    const std::uint32_t local_port = At(batch_.local_port(), i);
    const std::uint32_t remote_port = At(batch_.remote_port(), i);
    const std::uint32_t protocol = At(batch_.protocol(), i);
    const auto direction = static_cast<int>(At(batch_.direction(), i));
    const auto state = static_cast<int>(At(batch_.state(), i));
    if (local_port > 0xffff || remote_port > 0xffff || protocol > 0xff ||
        !v1::FlowDirection_IsValid(direction) || !v1::FlowState_IsValid(state)) {
      return false;
    }
    f->local_port = static_cast<std::uint16_t>(local_port);
    f->remote_port = static_cast<std::uint16_t>(remote_port);
    f->protocol = static_cast<std::uint8_t>(protocol);
    f->direction = static_cast<v1::FlowDirection>(direction);
    f->state = static_cast<v1::FlowState>(state);
    f->error = At(batch_.error(), i);
    f->flags = At(batch_.flags(), i);
    f->netns = At(batch_.netns(), i);
    f->n_senders = At(batch_.n_senders(), i);
    if (f->direction == v1::FLOW_DIRECTION_FORWARDED) {
      f->in_ifindex = At(batch_.in_ifindex(), i);
      f->out_ifindex = At(batch_.out_ifindex(), i);
      f->creator = f->process;  // no socket, so nobody made one
    }
    return true;
  }

  bool ReadTimes(int i, FlowObservation* out) const {
    const std::uint64_t newest = ToNs(clock_.boot) + kMaxAheadNs;
    const std::uint64_t emitted = std::min(emitted_ == 0 ? ToNs(clock_.boot) : emitted_, newest);
    if (start_ > kMaxNs || emitted > kMaxNs) return false;
    const std::uint64_t start = std::min(start_, emitted);
    const std::uint64_t after = At(batch_.last_after_start_ns(), i);
    const std::uint64_t last = start + std::min(after, emitted - start);
    out->emitted_boot_ns = emitted;
    out->start_boot_ns = start;
    out->facts.start = BootToWall(clock_, start);
    out->facts.last = BootToWall(clock_, last);
    return true;
  }

  // A count that an int64 does not hold cannot be one: 8 EiB.
  bool ReadCounters(int i, FlowCounters* c) const {
    *c = {At(batch_.tx_wire_bytes(), i),    At(batch_.rx_wire_bytes(), i),
          At(batch_.tx_payload_bytes(), i), At(batch_.rx_payload_bytes(), i),
          At(batch_.tx_packets(), i),       At(batch_.rx_packets(), i),
          At(batch_.tx_skb_bytes(), i),     At(batch_.rx_skb_bytes(), i),
          At(batch_.retransmitted_bytes(), i)};
    const std::uint64_t all = c->tx_wire_bytes | c->rx_wire_bytes | c->tx_payload_bytes |
                              c->rx_payload_bytes | c->tx_packets | c->rx_packets |
                              c->tx_skb_bytes | c->rx_skb_bytes | c->retransmitted_bytes;
    return all <= kMaxNs;
  }

  const v1::FlowBatch& batch_;
  const Uuid& boot_id_;
  const ClockPair& clock_;
  std::vector<IpAddress> addresses_;
  std::vector<bool> address_ok_;
  std::uint64_t cookie_ = 0, start_ = 0, emitted_ = 0;
};

void DecodeFlows(const v1::FlowBatch& batch, const std::vector<std::uint32_t>& bad,
                 DecodedFrame* out) {
  if (batch.rows() == 0 && batch.process().empty()) return;
  if (batch.rows() > kMaxRows || !ColumnsFit(batch, static_cast<int>(batch.rows()))) {
    out->rejected += std::max<std::uint64_t>(1, std::min(batch.rows(), kMaxRows));
    return;
  }
  FlowColumns columns(batch, out->boot_id, out->clock);
  out->flows.reserve(batch.rows());
  auto next_bad = bad.begin();
  for (int i = 0; i < static_cast<int>(batch.rows()); ++i) {
    FlowObservation row;
    const bool known_bad = next_bad != bad.end() && *next_bad == static_cast<std::uint32_t>(i);
    if (known_bad) ++next_bad;  // counted already; still read for its deltas
    if (columns.Read(i, &row) && !known_bad) {
      out->flows.push_back(row);
    } else if (!known_bad) {
      ++out->rejected;
    }
  }
}

// Moves the records that carry a process id; the others say nothing about anybody.
template <class Field, class Record>
void TakeIdentified(Field* field, std::vector<Record>* out, std::uint64_t* rejected) {
  out->reserve(static_cast<std::size_t>(field->size()));
  for (Record& record : *field) {
    if (record.process_id() == 0) {
      ++*rejected;
    } else {
      out->push_back(std::move(record));
    }
  }
}

// Names and questions are sorted by their time alone.
template <class Field, class Record>
void TakeTimed(Field* field, std::uint64_t newest, std::vector<Record>* out) {
  for (Record& record : *field) {
    record.set_at_boot_ns(std::min<std::uint64_t>(record.at_boot_ns(), newest));
    out->push_back(std::move(record));
  }
}

void TakeRest(v1::EvidenceBatch* batch, DecodedFrame* out) {
  TakeIdentified(batch->mutable_processes(), &out->processes, &out->rejected);
  TakeIdentified(batch->mutable_exits(), &out->exits, &out->rejected);
  TakeIdentified(batch->mutable_counters(), &out->counters, &out->rejected);
  for (v1::Loss& loss : *batch->mutable_losses()) out->losses.push_back(std::move(loss));
  const std::uint64_t newest = ToNs(out->clock.boot) + kMaxAheadNs;
  TakeTimed(batch->mutable_names(), newest, &out->names);
  TakeTimed(batch->mutable_dns(), newest, &out->dns);
  TakeTimed(batch->mutable_logins(), newest, &out->logins);
  for (auto& failure : *batch->mutable_login_failures()) {
    out->login_failures.push_back(std::move(failure));
  }
  for (auto& session : *batch->mutable_sessions()) out->sessions.push_back(std::move(session));
  TakeTimed(batch->mutable_posture_changes(), newest, &out->posture_changes);
  out->has_posture = batch->has_posture();
  if (out->has_posture) {
    out->posture = std::move(*batch->mutable_posture());
    out->posture.set_at_boot_ns(std::min<std::uint64_t>(out->posture.at_boot_ns(), newest));
  }
  out->has_host = batch->has_host();
  out->has_fidelity = batch->has_fidelity();
  out->has_heartbeat = batch->has_heartbeat();
  out->has_coverage = batch->has_coverage();
  if (out->has_host) out->host = std::move(*batch->mutable_host());
  if (out->has_fidelity) out->fidelity = std::move(*batch->mutable_fidelity());
  if (out->has_heartbeat) out->heartbeat = std::move(*batch->mutable_heartbeat());
  if (out->has_coverage) out->coverage = std::move(*batch->mutable_coverage());
}

}  // namespace

WallTime BootToWall(const ClockPair& clock, std::uint64_t boot_ns) {
  const __int128 offset = static_cast<__int128>(boot_ns) - static_cast<__int128>(ToNs(clock.boot));
  return WallTimeFromNs(Saturated(static_cast<__int128>(ToNs(clock.wall)) + offset));
}

DecodedFrame DecodeStoredFrame(const StoredFrame& stored) {
  DecodedFrame out;
  out.lsn = stored.lsn;
  out.stamp = stored.stamp;
  out.clock = stored.frame.header.clock;
  const std::uint64_t announced = std::max<std::uint64_t>(1, stored.frame.header.record_count);
  auto payload = InflatePayload(stored.frame.header, stored.frame.payload);
  v1::EvidenceBatch batch;
  if (!payload || !batch.ParseFromString(*payload)) {
    out.rejected = announced;
    return out;
  }
  if (auto boot = Uuid::FromBytes(batch.boot_id())) out.boot_id = *boot;
  if (auto run = Uuid::FromBytes(batch.run_id())) out.run_id = *run;
  const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
  out.rejected = verdict.rejected;
  DecodeFlows(batch.flows(), verdict.bad_flow_rows, &out);
  TakeRest(&batch, &out);
  return out;
}

}  // namespace culprit
