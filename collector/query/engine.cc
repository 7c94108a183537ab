// SPDX-License-Identifier: Apache-2.0
#include "collector/query/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "collector/query/filter.h"
#include "collector/query/page_token.h"
#include "collector/query/places.h"
#include "collector/query/render.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;
constexpr std::chrono::seconds kLate{30}, kSilent{90};
constexpr std::uint32_t kFollowBatch = 1000;
constexpr std::chrono::milliseconds kFollowWait{200};

Result<std::uint32_t> Limit(std::uint32_t asked, const char* field) {
  if (asked > kMaxLimit) return InvalidArgument(fmt::format("{}: at most {}", field, kMaxLimit));
  return asked == 0 ? kDefaultLimit : asked;
}

Result<GroupBy> ParseGroupBy(const std::string& text) {
  if (text.empty()) return GroupBy::kFlow;
  if (text == "process") return GroupBy::kProcess;
  if (text == "destination") return GroupBy::kDestination;
  if (text == "user") return GroupBy::kUser;
  if (text == "exe") return GroupBy::kExe;
  if (text == "host") return GroupBy::kHost;
  if (text == "region") return GroupBy::kPlace;
  return InvalidArgument("group_by: expected process, destination, user, exe, host or region");
}

Result<OrderBy> ParseOrderBy(const std::string& text, GroupBy by) {
  if (text.empty()) return by == GroupBy::kFlow ? OrderBy::kTime : OrderBy::kBytes;
  if (text == "time") return OrderBy::kTime;
  if (text == "bytes") return OrderBy::kBytes;
  if (text == "tx") return OrderBy::kTx;
  if (text == "rx") return OrderBy::kRx;
  if (text == "flows" && by != GroupBy::kFlow) return OrderBy::kFlows;
  return InvalidArgument("order_by: expected time, bytes, tx, rx, or flows for groups");
}

const char* StateOf(WallTime now, WallTime last) {
  if (now - last > kSilent) return "silent";
  return now - last > kLate ? "late" : "online";
}

// Whether `text` is one of the host's names; the empty text is a name of all.
bool IsCalled(const v1::HostRow& row, const std::string& text) {
  return text.empty() || row.agent_id() == text || row.instance_id() == text ||
         row.hostname() == text || row.agent_name() == text;
}

using TopValue = std::uint64_t (*)(const ProcessActivity&);
Result<TopValue> TopOrder(const std::string& text) {
  const auto order = [](TopValue value) { return value; };
  if (text.empty() || text == "bytes") {
    return order([](const ProcessActivity& a) { return a.tx_wire_bytes + a.rx_wire_bytes; });
  }
  if (text == "tx") return order([](const ProcessActivity& a) { return a.tx_wire_bytes; });
  if (text == "rx") return order([](const ProcessActivity& a) { return a.rx_wire_bytes; });
  if (text == "flows") return order([](const ProcessActivity& a) { return a.flows; });
  if (text == "attempts") return order([](const ProcessActivity& a) { return a.attempts; });
  if (text == "crafted") return order([](const ProcessActivity& a) { return a.crafted_packets; });
  return InvalidArgument("order_by: expected bytes, tx, rx, flows, attempts or crafted");
}

v1::TopRow RenderTop(const ProcessActivity& a, const ProcessRecord* process, const Names& names) {
  v1::TopRow row;
  *row.mutable_process() = process != nullptr ? RenderProcess(*process, names)
                                              : RenderUnknownProcess(a.host, a.process, names);
  row.set_flows(a.flows);
  row.set_destinations(a.destinations);
  row.set_tx_wire_bytes(a.tx_wire_bytes);
  row.set_rx_wire_bytes(a.rx_wire_bytes);
  row.set_attempts(a.attempts);
  row.set_failed(a.failed);
  row.set_crafted_packets(a.crafted_packets);
  if (a.busiest_bytes > 0) row.set_busiest_remote(a.busiest_remote.ToString());
  return row;
}

}  // namespace

Result<v1::ListHostsResponse> QueryEngine::ListHosts(const v1::ListHostsRequest& request) const {
  const WallTime now = deps_.now();
  std::map<Uuid, v1::HostRow> rows;
  for (const HostRecord& host : deps_.store.Hosts()) {
    v1::HostRow& row = rows[host.agent_id] = RenderHost(host);
    if (request.health() && IsCalled(row, request.host())) RenderHealth(host, &row);
  }
  const IngestStats live = deps_.activity != nullptr ? deps_.activity->Read() : IngestStats{};
  for (const AgentIngestStats& agent : live.agents) {
    v1::HostRow& row = rows[agent.agent_id];
    row.set_agent_id(agent.agent_id.ToString());
    row.set_agent_name(agent.name);
    if (row.agent_version().empty()) row.set_agent_version(agent.agent_version);
    if (ToNs(agent.last_received) > row.last_received_ns()) {
      row.set_last_received_ns(ToNs(agent.last_received));
      row.set_clock_skew_ns(agent.skew_ns);
    }
    row.set_rejected(std::max<std::uint64_t>(row.rejected(), agent.rejected_records) +
                     agent.rejected_frames);
  }
  v1::ListHostsResponse out;
  for (auto& [id, row] : rows) {
    if (!IsCalled(row, request.host())) continue;
    row.set_state(StateOf(now, WallTimeFromNs(row.last_received_ns())));
    *out.add_hosts() = std::move(row);
  }
  if (out.hosts_size() == 0 && !request.host().empty()) return UnknownHost(request.host());
  return out;
}

Result<v1::ListFlowsResponse> QueryEngine::ListFlows(const v1::ListFlowsRequest& request,
                                                     const Cancelled& cancelled) const {
  AggregatePlan plan;
  TRY(plan.by, ParseGroupBy(request.group_by()));
  TRY(plan.order, ParseOrderBy(request.order_by(), plan.by));
  TRY(plan.limit, Limit(request.limit(), "limit"));
  TRY(const ResolvedFilter filter, ResolveFilter(deps_.store, request.filter()));
  TRY(plan.where, WithProcesses(deps_.store, filter));
  if (!request.page_token().empty()) {
    TRY(PageToken token, DecodePageToken(request));
    plan.where.as_of = token.as_of;
    plan.after = std::move(token.after);
  }
  Places places(deps_.store, deps_.places);
  places.AddTo(&plan);
  if (!request.with_cost()) plan.route_of = nullptr;
  TRY(const AggregateResult result, deps_.store.Aggregate(plan, cancelled));
  Names names(deps_.store);
  v1::ListFlowsResponse out;
  for (const FlowTotal& flow : result.flows) {
    places.Annotate(flow, &(*out.add_flows() = RenderFlow(flow, &names)));
  }
  for (const GroupTotal& group : result.groups) {
    v1::FlowGroup& row = *out.add_groups() = RenderGroup(group, plan.by, &names);
    if (request.with_cost()) places.AnnotateCost(group.routes, &row);
    const auto remote = IpAddress::Parse(group.key);
    if (plan.by == GroupBy::kDestination && remote) places.AnnotateDestination(*remote, &row);
  }
  if (request.with_cost()) places.AnnotateTotal(result.groups, &out);
  out.set_parts_scanned(result.parts_scanned);
  if (result.next) out.set_next_page_token(EncodePageToken(request, {result.as_of, *result.next}));
  return out;
}

Status QueryEngine::FollowFlows(const v1::ListFlowsRequest& request, const Cancelled& cancelled,
                                const std::function<bool(const v1::FlowRow&)>& send) const {
  if (!request.group_by().empty()) return InvalidArgument("group_by: groups cannot be followed");
  TRY(ResolvedFilter filter, ResolveFilter(deps_.store, request.filter()));
  const std::optional<WallTime> from = filter.flows.from;
  FlowPredicate where = filter.flows;
  where.from.reset();
  std::optional<RowPosition> position;
  TRY_VOID(deps_.store.Follow(position, from, kFollowBatch));
  Names names(deps_.store);
  Places places(deps_.store, deps_.places);
  Lsn seen = deps_.store.applied_lsn();
  while (!cancelled || !cancelled()) {
    TRY(const std::vector<FlowTotal> rows, deps_.store.Follow(position, from, kFollowBatch));
    if (rows.empty()) {
      if (deps_.store.WaitApplied(seen, kFollowWait)) seen = deps_.store.applied_lsn();
      names.Forget();
      continue;
    }
    for (const FlowTotal& row : rows) {
      if (!FlowMatches(where, row)) continue;
      if (!filter.Accepts(row.facts.process, names.Process(row.host, row.facts.process))) continue;
      if (!filter.name.empty() && !FlowIsNamed(deps_.store, row, filter.name)) continue;
      v1::FlowRow rendered = RenderFlow(row, &names);
      places.Annotate(row, &rendered);
      if (!send(rendered)) return Ok();
    }
    names.Forget();
    places = Places(deps_.store, deps_.places);
  }
  return Ok();
}

Result<v1::TopResponse> QueryEngine::Top(const v1::TopRequest& request,
                                         const Cancelled& cancelled) const {
  constexpr std::uint32_t kDefaultWindow = 60, kMaxWindow = 31U * 86'400;
  const std::uint32_t window = request.window_s() == 0 ? kDefaultWindow : request.window_s();
  if (window > kMaxWindow) return InvalidArgument("window_s: at most 31 days");
  TRY(const std::uint32_t limit, Limit(request.limit() == 0 ? 20 : request.limit(), "limit"));
  TRY(const auto value, TopOrder(request.order_by()));
  std::optional<std::uint32_t> host;
  if (!request.host().empty()) {
    TRY(const HostRecord record, ResolveHost(deps_.store, request.host()));
    host = record.ref;
  }
  const WallTime to = deps_.now();
  const WallTime from = to - std::chrono::seconds(window);
  TRY(std::vector<ProcessActivity> found, deps_.store.Activity(host, from, to, cancelled));
  std::ranges::sort(found, [&](const ProcessActivity& a, const ProcessActivity& b) {
    const std::uint64_t x = value(a), y = value(b);
    return x != y ? x > y : std::tie(a.host, a.process) < std::tie(b.host, b.process);
  });
  Names names(deps_.store);
  Places places(deps_.store, deps_.places);
  v1::TopResponse out;
  out.set_from_ns(ToNs(from));
  out.set_to_ns(ToNs(to));
  for (const ProcessActivity& a : found) {
    if (out.rows_size() == static_cast<int>(limit)) break;
    const ProcessRecord* process = names.Process(a.host, a.process);
    const bool agent = a.is_agent || (process != nullptr && process->definition.is_agent());
    if (agent && !request.include_agent()) continue;
    v1::TopRow& row = *out.add_rows() = RenderTop(a, process, names);
    if (a.busiest_bytes > 0) row.set_busiest_region(places.Find(a.busiest_remote).region);
  }
  return out;
}

Result<v1::GetStatusResponse> QueryEngine::GetStatus() const {
  v1::GetStatusResponse out;
  const StoreStats index = deps_.store.stats();
  out.set_index_lsn(index.applied_lsn);
  out.set_index_bytes(index.bytes);
  for (const std::string& line : index.degraded) out.add_degraded(line);
  if (deps_.activity != nullptr) {
    const IngestStats live = deps_.activity->Read();
    out.set_agents_connected(static_cast<std::uint32_t>(live.agents_connected));
    out.set_frames_accepted(live.frames_accepted);
    out.set_frames_duplicate(live.frames_duplicate);
    out.set_frames_rejected(live.frames_rejected);
    out.set_records_accepted(live.records_accepted);
    out.set_records_rejected(live.records_rejected);
  }
  if (deps_.status != nullptr) {
    const CollectorState state = deps_.status->Read();
    out.set_version(state.version);
    out.set_started_ns(ToNs(state.started));
    out.set_journal_lsn(state.journal_lsn);
    out.set_journal_bytes(state.journal_bytes);
    out.set_free_disk_bytes(state.free_disk_bytes);
    for (const std::string& line : state.degraded) out.add_degraded(line);
  }
  return out;
}

}  // namespace culprit
