// SPDX-License-Identifier: Apache-2.0
// QueryEngine: who came in, and what a session did.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "collector/query/engine.h"
#include "collector/query/filter.h"
#include "collector/query/render.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;
constexpr std::size_t kMaxMembers = 10'000;
constexpr std::size_t kMaxDestinations = 100;
constexpr std::size_t kAtOnce = 500;         // parents in one question to the index
constexpr std::chrono::minutes kEarlier{5};  // a connection is there before its login

Result<LoginPredicate> Resolve(const EvidenceStore& store, const v1::ListLoginsRequest& request) {
  v1::FlowFilter common;  // the conditions that both kinds of rows have
  *common.mutable_time() = request.time();
  common.set_host(request.host());
  common.set_remote(request.from_address());
  TRY(const ResolvedFilter filter, ResolveFilter(store, common));
  LoginPredicate where;
  where.host = filter.flows.host;
  where.from = filter.flows.from;
  where.to = filter.flows.to;
  where.address = filter.flows.remote;
  where.user = request.user().substr(0, 1024);
  where.key_fingerprint = request.key_fingerprint();
  if (!where.key_fingerprint.empty() && !where.key_fingerprint.starts_with("SHA256:")) {
    return InvalidArgument("key_fingerprint: expected SHA256:… as `ssh-keygen -lf FILE` prints it");
  }
  return where;
}

struct Member {
  ProcessRecord process;
  bool by_descent = false, by_audit = false;
};

// Processes of one session: those below its root, and those that carry its audit session.
class Members {
 public:
  Members(const EvidenceStore& store, const SessionRecord& session)
      : store_(store), session_(session) {}

  Status Find() {
    TRY_VOID(Below());
    if (session_.session.audit_session() != kNoSession) TRY_VOID(ByAudit());
    std::ranges::sort(members_, [](const Member& a, const Member& b) {
      const auto began = [](const Member& m) { return std::max(m.process.start, m.process.exec); };
      return began(a) < began(b);
    });
    return Ok();
  }
  bool cut() const { return cut_; }
  const std::vector<Member>& all() const { return members_; }

 private:
  void Add(ProcessRecord record, bool by_descent) {
    const auto [it, fresh] = index_.try_emplace(record.id().value(), members_.size());
    if (!fresh) {
      (by_descent ? members_[it->second].by_descent : members_[it->second].by_audit) = true;
    } else if (members_.size() >= kMaxMembers) {
      cut_ = true;
      index_.erase(it);
    } else {
      members_.push_back({std::move(record), by_descent, !by_descent});
    }
  }

  // What another session begins at is not this one's, whoever started the daemon.
  Result<bool> BeginsAnother(const ProcessRecord& process) const {
    const std::string& comm = process.definition.comm();
    if (!comm.starts_with("sshd") && comm != "login") return false;
    TRY(const auto other, store_.FindSession(session_.host, process.id(), process.start));
    return other && other->id() != session_.id();
  }

  Status Below() {
    ProcessPredicate where;
    where.host = session_.host;
    where.told_since = session_.began;
    if (session_.root().value() == 0) return Ok();
    TRY(auto root, store_.FindProcess(session_.host, session_.root()));
    if (root) Add(std::move(*root), true);
    std::vector<std::uint64_t> level = {session_.root().value()};
    while (!level.empty() && !cut_) {
      std::vector<std::uint64_t> next;
      for (std::size_t at = 0; at < level.size(); at += kAtOnce) {
        where.parents.assign(
            level.begin() + static_cast<std::ptrdiff_t>(at),
            level.begin() + static_cast<std::ptrdiff_t>(std::min(at + kAtOnce, level.size())));
        TRY_VOID(Take(where, &next));
      }
      level = std::move(next);
    }
    return Ok();
  }

  Status Take(const ProcessPredicate& where, std::vector<std::uint64_t>* next) {
    auto children = store_.FindProcesses(where, kMaxMembers);
    if (!children && children.error().code == Code::kResourceExhausted) {
      cut_ = true;
      return Ok();
    }
    if (!children) return std::move(children).error();
    for (ProcessRecord& child : *children) {
      TRY(const bool other, BeginsAnother(child));
      if (other || index_.count(child.id().value()) != 0) continue;
      next->push_back(child.id().value());
      Add(std::move(child), true);
    }
    return Ok();
  }

  Status ByAudit() {
    ProcessPredicate where;
    where.host = session_.host;
    where.audit_session = session_.session.audit_session();
    where.told_since = session_.began;
    auto found = store_.FindProcesses(where, kMaxMembers);
    if (!found && found.error().code == Code::kResourceExhausted) {
      cut_ = true;
      return Ok();
    }
    if (!found) return std::move(found).error();
    for (ProcessRecord& process : *found) {
      const WallTime boot =
          process.start - std::chrono::nanoseconds(process.definition.start_boot_ns());
      const auto apart = boot > session_.boot ? boot - session_.boot : session_.boot - boot;
      if (apart > std::chrono::minutes(1)) continue;  // the same number after another boot
      TRY(const bool other, BeginsAnother(process));
      if (!other) Add(std::move(process), false);
    }
    return Ok();
  }

  const EvidenceStore& store_;
  const SessionRecord& session_;
  std::vector<Member> members_;
  std::map<std::uint64_t, std::size_t> index_;
  bool cut_ = false;
};

Status AddFlows(const EvidenceStore& store, const SessionRecord& session, AggregatePlan plan,
                const Cancelled& cancelled, Names* names, v1::GetSessionResponse* out) {
  const std::uint64_t own = session.session.flow_id();
  AggregatePlan connection = plan;
  connection.where.flows.emplace().insert(own);
  connection.where.processes.reset();
  plan.where.not_flow = own;
  if (own != 0) {
    TRY(AggregateResult found, store.Aggregate(connection, cancelled));
    for (const FlowTotal& flow : found.flows) {
      // Whoever sent last has the row; earlier owners have theirs.
      if (!out->has_connection()) {
        *out->mutable_connection() = RenderFlow(flow, names);
        continue;
      }
      v1::FlowRow& sum = *out->mutable_connection();
      sum.set_tx_wire_bytes(sum.tx_wire_bytes() + flow.sum.tx_wire_bytes);
      sum.set_rx_wire_bytes(sum.rx_wire_bytes() + flow.sum.rx_wire_bytes);
      sum.set_tx_payload_bytes(sum.tx_payload_bytes() + flow.sum.tx_payload_bytes);
      sum.set_rx_payload_bytes(sum.rx_payload_bytes() + flow.sum.rx_payload_bytes);
      sum.set_tx_packets(sum.tx_packets() + flow.sum.tx_packets);
      sum.set_rx_packets(sum.rx_packets() + flow.sum.rx_packets);
    }
  }
  TRY(AggregateResult flows, store.Aggregate(plan, cancelled));
  for (const FlowTotal& flow : flows.flows) *out->add_flows() = RenderFlow(flow, names);
  plan.by = GroupBy::kDestination;
  plan.limit = kMaxDestinations;
  TRY(AggregateResult destinations, store.Aggregate(plan, cancelled));
  for (const GroupTotal& group : destinations.groups) {
    *out->add_destinations() = RenderGroup(group, plan.by, names);
  }
  plan.by = GroupBy::kHost;
  plan.limit = 1;
  TRY(AggregateResult totals, store.Aggregate(plan, cancelled));
  if (totals.groups.empty()) return Ok();
  *out->mutable_totals() = RenderGroup(totals.groups[0], plan.by, names);
  return Ok();
}

Result<SessionRecord> Which(const EvidenceStore& store, const v1::GetSessionRequest& request) {
  TRY(const std::uint64_t id, ParseHexId(request.session(), "session"));
  std::vector<HostRecord> hosts = store.Hosts();
  if (!request.host().empty()) {
    TRY(HostRecord host, ResolveHost(store, request.host()));
    hosts = {std::move(host)};
  }
  for (const HostRecord& host : hosts) {
    TRY(auto found, store.FindSession(host.ref, ProcessId{id}, WallTime{}));
    if (found) return std::move(*found);
  }
  return NotFound(fmt::format(
      "session '{}' is not known here: `culprit logins` lists those that are", request.session()));
}

}  // namespace

Result<v1::ListLoginsResponse> QueryEngine::ListLogins(const v1::ListLoginsRequest& request) const {
  if (request.limit() > kMaxLimit) {
    return InvalidArgument(fmt::format("limit: at most {}", kMaxLimit));
  }
  const std::uint32_t limit = request.limit() == 0 ? kDefaultLimit : request.limit();
  TRY(const LoginPredicate where, Resolve(deps_.store, request));
  const Names names(deps_.store);
  v1::ListLoginsResponse out;
  if (request.failed()) {
    TRY(const auto found, deps_.store.LoginFailures(where, limit));
    for (const auto& failure : found) *out.add_failures() = RenderLoginFailure(failure, names);
    return out;
  }
  TRY(const std::vector<SessionRecord> found, deps_.store.Sessions(where, limit));
  for (const SessionRecord& session : found) *out.add_logins() = RenderLogin(session, names);
  return out;
}

Result<v1::GetSessionResponse> QueryEngine::GetSession(const v1::GetSessionRequest& request,
                                                       const Cancelled& cancelled) const {
  if (request.flow_limit() > kMaxLimit) {
    return InvalidArgument(fmt::format("flow_limit: at most {}", kMaxLimit));
  }
  TRY(const SessionRecord session, Which(deps_.store, request));
  Names names(deps_.store);
  v1::GetSessionResponse out;
  *out.mutable_login() = RenderLogin(session, names);
  Members members(deps_.store, session);
  TRY_VOID(members.Find());
  AggregatePlan plan;
  plan.where.host = session.host;
  plan.where.from = session.began - kEarlier;
  plan.where.processes.emplace();
  plan.order = OrderBy::kBytes;
  plan.limit = request.flow_limit() == 0 ? kDefaultLimit : request.flow_limit();
  for (const Member& member : members.all()) {
    plan.where.processes->insert(member.process.id().value());
    v1::GetSessionResponse::Member& to = *out.add_processes();
    *to.mutable_process() = RenderProcess(member.process, names);
    to.set_by(!member.by_audit    ? "descent"
              : member.by_descent ? "descent and audit session"
                                  : "audit session");
  }
  out.set_cut(members.cut());
  TRY_VOID(AddFlows(deps_.store, session, std::move(plan), cancelled, &names, &out));
  return out;
}

}  // namespace culprit
