// SPDX-License-Identifier: Apache-2.0
#include "collector/store/row_maker.h"

#include <algorithm>

#include "collector/model/batch_decoder.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxProcesses = 100'000;
constexpr std::size_t kMaxMinutes = 50'000;
constexpr std::size_t kMaxLossesPerIndex = 100'000;
constexpr int kMaxAncestors = 64;
constexpr int kMaxPublicAddresses = 64;
// Counters of a socket that is older than the agent began when it was found, shortly before its first record.
constexpr std::chrono::seconds kPreexistingSpan{10};

void Merge(v1::Process* into, const v1::Process& amendment) {
  if (amendment.argv_size() > 0) into->clear_argv();
  into->MergeFrom(amendment);
}

bool IsWhole(const v1::Process& p) { return p.tgid() != 0 && !p.comm().empty(); }

std::uint64_t Failures(const v1::ProcessCounters& c) {
  return c.refused() + c.timed_out() + c.unreachable() + c.denied() + c.reset() + c.other();
}

// Packets that the process made itself, past the sockets whose flows are counted in full.
std::uint64_t Crafted(const v1::ProcessCounters& c) { return c.raw_packets() + c.link_packets(); }

bool AnySmaller(const v1::ProcessCounters& a, const v1::ProcessCounters& b) {
  return a.tcp_attempts() < b.tcp_attempts() || a.ok() < b.ok() || Failures(a) < Failures(b) ||
         a.aborted() < b.aborted() || a.accepts() < b.accepts() ||
         a.raw_packets() < b.raw_packets() || a.link_packets() < b.link_packets() ||
         a.bare_syns() < b.bare_syns() || a.first_contacts() < b.first_contacts();
}

bool IsFrameLoss(v1::LossCause cause) {
  return cause == v1::LOSS_CAUSE_SPOOL_CAP || cause == v1::LOSS_CAUSE_SPOOL_CORRUPT ||
         cause == v1::LOSS_CAUSE_SPOOL_WRITE || cause == v1::LOSS_CAUSE_QUARANTINED;
}

void TakeHeartbeat(const DecodedFrame& frame, HostRecord* host) {
  const v1::Heartbeat& now = frame.heartbeat;
  v1::Heartbeat& before = host->heartbeat;
  // What is cumulative over a run begins anew with the next one.
  const bool same_run = before.at_boot_ns() != 0 && before.at_boot_ns() < now.at_boot_ns() &&
                        before.agent_cpu_us() <= now.agent_cpu_us() &&
                        before.events_received() <= now.events_received();
  host->heartbeat_before =
      same_run ? std::make_shared<const v1::Heartbeat>(std::move(before)) : nullptr;
  before = now;
  host->heartbeat_at = BootToWall(frame.clock, now.at_boot_ns());
}

void TakeCoverage(const DecodedFrame& frame, HostRecord* host) {
  const v1::Coverage& now = frame.coverage;
  const bool overtaken = host->coverage != nullptr &&
                         host->coverage->since_boot_ns() == now.since_boot_ns() &&
                         host->coverage->at_boot_ns() > now.at_boot_ns();
  if (overtaken) return;
  host->coverage = std::make_shared<const v1::Coverage>(now);
  host->coverage_at = BootToWall(frame.clock, now.at_boot_ns());
}

}  // namespace

HostRecord& RowMaker::HostOf(const DecodedFrame& frame) {
  const auto [it, fresh] =
      refs_.try_emplace(frame.stamp.agent_id, static_cast<std::uint32_t>(refs_.size() + 1));
  HostRecord& host = hosts_[it->second];
  if (fresh) {
    host.ref = it->second;
    host.agent_id = frame.stamp.agent_id;
    host.first_received = frame.stamp.received;
  }
  return host;
}

void RowMaker::Take(const DecodedFrame& frame, PendingBatch* batch) {
  HostRecord& host = HostOf(frame);
  TakeHost(frame, &host);
  TakeLosses(frame, &host, batch);
  TakeProcesses(frame, host.ref, batch);
  TakeCounters(frame, host.ref, batch);
  for (const FlowObservation& seen : frame.flows) TakeFlow(frame, host.ref, seen, batch);
  TakeNames(frame, host.ref, batch);
  TakeLogins(frame, host.ref, batch);
  TakePosture(frame, host.ref, batch);
  batch->hosts[host.ref] = host;
  batch->last_lsn = frame.lsn;
  batch->last_received = frame.stamp.received;
  batch->rejected += frame.rejected;
}

void RowMaker::TakeNames(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch) {
  for (const v1::FlowName& name : frame.names) {
    batch->names.push_back({host, FlowId{name.flow_id()}, ProcessId{name.process_id()},
                            BootToWall(frame.clock, name.at_boot_ns()), name.source(),
                            name.confidence(), name.name(), name.alpn(),
                            static_cast<std::uint16_t>(name.port()),
                            static_cast<std::uint8_t>(name.command())});
  }
  for (const v1::DnsQuestion& question : frame.dns) {
    DnsRecord record{host, ProcessId{question.process_id()}, FlowId{question.flow_id()},
                     BootToWall(frame.clock, question.at_boot_ns()), {}, question.name(),
                     static_cast<std::uint16_t>(question.type()), question.rcode(), {},
                     question.questions(), question.suppressed(), question.query_bytes(),
                     question.answer_bytes()};
    if (auto server = IpAddress::FromBytes(question.server())) record.server.address = *server;
    record.server.port = static_cast<std::uint16_t>(question.server_port());
    for (const std::string& answer : question.answers()) {
      record.answers += (record.answers.empty() ? "" : " ") + answer;
    }
    batch->dns.push_back(std::move(record));
  }
}

void RowMaker::TakeLogins(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch) {
  for (const v1::Login& login : frame.logins) {
    batch->logins.push_back({host, BootToWall(frame.clock, login.at_boot_ns()), login});
  }
  const auto wall = [&frame](std::uint64_t boot_ns) {
    return boot_ns == 0 ? WallTime{} : BootToWall(frame.clock, boot_ns);
  };
  for (const v1::Session& session : frame.sessions) {
    batch->sessions.push_back({host, BootToWall(frame.clock, 0), wall(session.began_boot_ns()),
                               wall(session.ended_boot_ns()), session, std::nullopt});
  }
  for (const v1::LoginFailure& failure : frame.login_failures) {
    LoginFailureRecord record{host, frame.run_id, WallTimeFromNs(failure.minute_wall_ns()), {},
                              failure.user(), failure.method(), failure.invalid_user(),
                              failure.count()};
    if (auto address = IpAddress::FromBytes(failure.address())) record.address = *address;
    batch->login_failures.push_back(std::move(record));
  }
}

void RowMaker::TakePosture(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch) {
  for (const v1::PostureChange& change : frame.posture_changes)
    batch->posture_changes.push_back({host, BootToWall(frame.clock, change.at_boot_ns()), change});
  if (!frame.has_posture) return;
  const WallTime at = BootToWall(frame.clock, frame.posture.at_boot_ns());
  PostureRecord& record = batch->postures[host];
  if (record.host == 0 || record.at <= at) record = {host, at, frame.posture};
}

// Elastic addresses move: a report names the one that the host had then.
void RowMaker::TakeHostInfo(const DecodedFrame& frame, HostRecord* host) {
  v1::HostInfo info = frame.host;
  info.mutable_public_history()->Swap(host->info.mutable_public_history());
  host->info = std::move(info);
  const std::string& now = host->info.public_address();
  if (!IpAddress::FromBytes(now)) return;
  const std::int64_t received = ToNs(frame.stamp.received);
  auto& history = *host->info.mutable_public_history();
  if (history.empty() || history.rbegin()->address() != now) {
    if (history.size() >= kMaxPublicAddresses) history.DeleteSubrange(0, 1);
    auto* entry = history.Add();
    entry->set_address(now);
    entry->set_first_ns(received);
  }
  history.rbegin()->set_last_ns(std::max(history.rbegin()->last_ns(), received));
}

void RowMaker::TakeHost(const DecodedFrame& frame, HostRecord* host) {
  const CollectorStamp& stamp = frame.stamp;
  host->agent_name = stamp.agent_name;
  host->last_received = std::max(host->last_received, stamp.received);
  host->clock_skew_ns = stamp.skew_ns;
  ++host->frames;
  host->records += frame.records();
  host->rejected += frame.rejected;
  host->gaps += stamp.sequence == SequenceState::kGap ? 1 : 0;
  host->forks += stamp.sequence == SequenceState::kFork ? 1 : 0;
  host->rollbacks += stamp.sequence == SequenceState::kRollback ? 1 : 0;
  if (frame.has_host) TakeHostInfo(frame, host);
  if (frame.has_fidelity) host->fidelity = frame.fidelity;
  if (frame.has_heartbeat) TakeHeartbeat(frame, host);
  if (frame.has_coverage) TakeCoverage(frame, host);
}

void RowMaker::TakeLosses(const DecodedFrame& frame, HostRecord* host, PendingBatch* batch) {
  if (frame.losses.empty()) return;
  for (const v1::Loss& loss : frame.losses) {
    LossKey key{host->ref, std::string(frame.run_id.AsBytes()), loss.cause(),
                loss.lane_plus_one(), loss.first_seq()};
    if (losses_.size() >= kMaxLossesPerIndex && losses_.count(key) == 0) key.first_seq = 0;
    LossValue& value = losses_[key];
    value.count = std::max<std::uint64_t>(value.count, loss.count());
    value.bytes = std::max<std::uint64_t>(value.bytes, loss.bytes());
    value.last_seq = std::max<std::uint64_t>(value.last_seq, loss.last_seq());
    value.detail = loss.detail().substr(0, 256);
    batch->losses[key] = value;
  }
  SumLosses(host);
}

void RowMaker::SumLosses(HostRecord* host) const {
  host->lost_events = 0;
  host->lost_frames = 0;
  host->losses.clear();
  for (auto it = losses_.lower_bound(LossKey{host->ref, "", 0, 0, 0});
       it != losses_.end() && it->first.host == host->ref; ++it) {
    const auto cause = v1::LossCause_IsValid(it->first.cause)
                           ? static_cast<v1::LossCause>(it->first.cause)
                           : v1::LOSS_CAUSE_UNSPECIFIED;
    (IsFrameLoss(cause) ? host->lost_frames : host->lost_events) += it->second.count;
    HostLoss& loss = host->losses[cause];
    loss.count += it->second.count;
    loss.bytes += it->second.bytes;
    if (!it->second.detail.empty()) loss.detail = it->second.detail;
  }
}

SharedProcess RowMaker::Recall(const HostProcess& key) {
  const auto it = processes_.find(key);
  return it != processes_.end() ? it->second : lookup_.Process(key);
}

void RowMaker::Keep(const HostProcess& key, SharedProcess record, PendingBatch* batch) {
  if (batch != nullptr) batch->processes[key] = record;
  if (processes_.insert_or_assign(key, std::move(record)).second) process_order_.push_back(key);
  referred_.insert(key);
}

void RowMaker::Refer(HostProcess key, PendingBatch* batch) {
  for (int depth = 0; depth < kMaxAncestors && key.process != 0; ++depth) {
    if (!referred_.insert(key).second) return;
    SharedProcess record = Recall(key);
    if (record == nullptr) return;
    const HostProcess parent{key.host, record->definition.parent_id()};
    Keep(key, std::move(record), batch);
    key = parent;
  }
}

void RowMaker::TakeProcesses(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch) {
  const auto edit = [&](std::uint64_t id, bool look) {
    const HostProcess key{host, id};
    const auto known = processes_.find(key);
    SharedProcess old = known != processes_.end() ? known->second : nullptr;
    if (old == nullptr && look) old = lookup_.Process(key);
    auto record = old ? std::make_shared<ProcessRecord>(*old) : std::make_shared<ProcessRecord>();
    record->host = host;
    record->definition.set_process_id(id);
    return record;
  };
  for (const v1::Process& p : frame.processes) {
    auto record = edit(p.process_id(), !IsWhole(p));
    Merge(&record->definition, p);
    if (p.start_boot_ns() != 0) record->start = BootToWall(frame.clock, p.start_boot_ns());
    if (p.exec_boot_ns() != 0) record->exec = BootToWall(frame.clock, p.exec_boot_ns());
    Keep({host, p.process_id()}, std::move(record), batch);
    Refer({host, p.parent_id()}, batch);
  }
  for (const v1::ProcessExit& e : frame.exits) {
    auto record = edit(e.process_id(), true);
    record->exit = BootToWall(frame.clock, e.exit_boot_ns());
    record->wait_status = e.wait_status();
    Keep({host, e.process_id()}, std::move(record), batch);
  }
}

void RowMaker::TakeCounters(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch) {
  for (const v1::ProcessCounters& c : frame.counters) {
    const HostProcess key{host, c.process_id()};
    const SharedProcess old = Recall(key);
    auto record = old ? std::make_shared<ProcessRecord>(*old) : std::make_shared<ProcessRecord>();
    record->host = host;
    record->definition.set_process_id(c.process_id());
    const v1::ProcessCounters& before = record->counters;
    if (before.at_boot_ns() > c.at_boot_ns()) continue;  // overtaken by a newer one
    const bool anew = AnySmaller(c, before);
    PendingCounter row{host, c.process_id(), {}, BootToWall(frame.clock, c.at_boot_ns()), 0, 0, 0};
    const std::uint64_t since = before.at_boot_ns() != 0 && !anew ? before.at_boot_ns() : c.at_boot_ns();
    row.t0 = BootToWall(frame.clock, since);
    row.attempts = c.tcp_attempts() - (anew ? 0 : before.tcp_attempts());
    row.failed = Failures(c) - (anew ? 0 : Failures(before));
    row.crafted = Crafted(c) - (anew ? 0 : Crafted(before));
    record->counters = c;
    Keep(key, std::move(record), batch);
    if (row.attempts == 0 && row.failed == 0 && row.crafted == 0) continue;
    MinuteActivity& minute = Minute({host, MinuteOf(row.t1), c.process_id()}, batch);
    minute.attempts += row.attempts;
    minute.failed += row.failed;
    minute.crafted += row.crafted;
    batch->counters.push_back(row);
  }
}

void RowMaker::TakeFlow(const DecodedFrame& frame, std::uint32_t host, const FlowObservation& seen,
                        PendingBatch* batch) {
  const FlowFacts& facts = seen.facts;
  const FlowKey key{host, facts.flow.value(), facts.process.value()};
  const auto step =
      deltas_.Observe(key, seen, [this](const FlowKey& k) { return lookup_.Base(k); });
  if (!step) return;
  PendingFlow flow;
  flow.row = {host, {}, BootToWall(frame.clock, seen.emitted_boot_ns), facts, step->added};
  flow.row.t0 = facts.start;
  if (!step->first) {
    flow.row.t0 = BootToWall(frame.clock, step->since_boot_ns);
  } else if ((facts.flags & v1::FLOW_FLAG_PREEXISTING) != 0) {
    flow.row.t0 = std::max(facts.start, flow.row.t1 - kPreexistingSpan);
  }
  flow.row.t0 = std::min(flow.row.t0, flow.row.t1);
  flow.emitted_boot_ns = seen.emitted_boot_ns;
  flow.rebased = step->rebased;
  flow.prev = step->base->newest_row;
  flow.base = step->base;
  step->base->newest_row = {kPendingPart, static_cast<std::int64_t>(batch->flows.size())};
  rebased_ += step->rebased ? 1 : 0;
  Refer({host, facts.process.value()}, batch);
  if (facts.creator != facts.process) Refer({host, facts.creator.value()}, batch);
  CountFlow(flow, step->first, batch);
  batch->flows.push_back(flow);
}

void RowMaker::CountFlow(const PendingFlow& flow, bool first, PendingBatch* batch) {
  const FlowDelta& row = flow.row;
  const MinuteSpan span = MinutesOf(row.t0, row.t1);
  const std::uint64_t tx = row.added.tx_wire_bytes, rx = row.added.rx_wire_bytes;
  const bool listener = row.facts.direction == v1::FLOW_DIRECTION_LISTEN;
  for (std::int64_t m = tx + rx == 0 ? span.last : span.first; m <= span.last; ++m) {
    MinuteActivity& a = Minute({row.host, m, row.facts.process.value()}, batch);
    const std::uint64_t tx_share = MinuteShare(tx, row.t0, row.t1, span, m);
    const std::uint64_t rx_share = MinuteShare(rx, row.t0, row.t1, span, m);
    a.tx += tx_share;
    a.rx += rx_share;
    a.is_agent = a.is_agent || (row.facts.flags & v1::FLOW_FLAG_AGENT) != 0;
    if (m != span.last || listener) continue;
    a.started += first ? 1 : 0;
    a.active += first || MinuteOf(row.t0) != m ? 1 : 0;
    a.destinations.Insert(row.facts.remote);
    // Keeps the remote that more than half of the bytes went to, if there is one.
    const std::uint64_t bytes = tx + rx;
    if (a.busiest == row.facts.remote) {
      a.busiest_bytes += bytes;
    } else if (bytes > a.busiest_bytes) {
      a.busiest = row.facts.remote;
      a.busiest_bytes = bytes - a.busiest_bytes;
    } else {
      a.busiest_bytes -= bytes;
    }
  }
}

MinuteActivity& RowMaker::Minute(const MinuteKey& key, PendingBatch* batch) {
  const auto [it, fresh] = batch->minutes.try_emplace(key);
  if (!fresh) return it->second;
  if (const auto known = minutes_.find(key); known != minutes_.end()) {
    it->second = known->second;
  } else if (auto stored = lookup_.Minute(key)) {
    it->second = std::move(*stored);
  }
  return it->second;
}

void RowMaker::Written(PendingBatch* batch) {
  for (auto& [key, activity] : batch->minutes) minutes_.insert_or_assign(key, std::move(activity));
  if (minutes_.size() > kMaxMinutes) minutes_.clear();  // they are in the part
  while (processes_.size() > kMaxProcesses) {
    processes_.erase(process_order_.front());
    process_order_.pop_front();
  }
  if (referred_.size() > 4 * kMaxProcesses) referred_.clear();
  *batch = PendingBatch{};
}

void RowMaker::NewPart() {
  referred_.clear();
  minutes_.clear();
}

void RowMaker::Reset() {
  deltas_.Clear();
  refs_.clear();
  hosts_.clear();
  losses_.clear();
  processes_.clear();
  process_order_.clear();
  NewPart();
}

void RowMaker::RestoreHost(HostRecord host) {
  refs_[host.agent_id] = host.ref;
  hosts_[host.ref] = std::move(host);
}

void RowMaker::RestoreLoss(const LossKey& key, const LossValue& loss) {
  losses_[key] = loss;
  if (const auto host = hosts_.find(key.host); host != hosts_.end()) SumLosses(&host->second);
}

void RowMaker::RestoreProcess(const ProcessRecord& process) {
  Keep({process.host, process.definition.process_id()},
       std::make_shared<ProcessRecord>(process), nullptr);
}

}  // namespace culprit
