// SPDX-License-Identifier: Apache-2.0
// QueryEngine: one process: who it is, where it comes from, what it did.
#include <fmt/format.h>

#include <algorithm>

#include "collector/query/engine.h"
#include "collector/query/filter.h"
#include "collector/query/places.h"
#include "collector/query/render.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr int kMaxAncestors = 64;
constexpr std::size_t kMaxChildren = 1000, kMaxCandidates = 10'000;
constexpr std::uint32_t kMaxFlows = 10'000;

WallTime Began(const ProcessRecord& p) { return std::max(p.start, p.exec); }

// Of all that had this pid the process that came last, and of its images the last. An image that
// was replaced has no exit, so that having none says nothing.
bool Newer(const ProcessRecord& a, const ProcessRecord& b) {
  if (a.start != b.start) return a.start > b.start;
  return a.definition.exec_id() > b.definition.exec_id();
}

Result<std::uint32_t> ParsePid(const std::string& text) {
  std::uint32_t pid = 0;
  if (!ParseWhole(text, &pid) || pid == 0) {
    return InvalidArgument("process: expected a process id (16 hexadecimal digits) or a pid");
  }
  return pid;
}

Result<ProcessPredicate> Which(const EvidenceStore& store, const v1::GetProcessRequest& request) {
  ProcessPredicate where;
  if (!request.host().empty()) {
    TRY(const HostRecord host, ResolveHost(store, request.host()));
    where.host = host.ref;
  }
  if (request.process().size() == 16) {
    TRY(where.id, ParseHexId(request.process(), "process"));
    return where;
  }
  TRY(where.tgid, ParsePid(request.process()));
  if (!where.host) {
    const std::vector<HostRecord> hosts = store.Hosts();
    if (hosts.size() != 1) return InvalidArgument("host: a pid is of a host: give that too");
    where.host = hosts[0].ref;
  }
  return where;
}

Status AddFamily(const EvidenceStore& store, const ProcessRecord& process, Names* names,
                 v1::GetProcessResponse* out) {
  ProcessId parent{process.definition.parent_id()};
  std::unordered_set<std::uint64_t> seen{process.id().value()};
  for (int i = 0; i < kMaxAncestors && seen.insert(parent.value()).second; ++i) {
    const ProcessRecord* ancestor = names->Process(process.host, parent);
    if (ancestor == nullptr) break;
    *out->add_ancestors() = RenderProcess(*ancestor, *names);
    parent = ProcessId{ancestor->definition.parent_id()};
  }
  ProcessPredicate where;
  where.host = process.host;
  where.parent = process.id().value();
  auto children = store.FindProcesses(where, kMaxChildren);
  if (!children && children.error().code != Code::kResourceExhausted) {
    return std::move(children).error();
  }
  if (!children) return Ok();
  std::ranges::sort(*children, [](const auto& a, const auto& b) { return Began(a) < Began(b); });
  for (const ProcessRecord& child : *children) *out->add_children() = RenderProcess(child, *names);
  return Ok();
}

Status AddFlows(const EvidenceStore& store, const ProcessRecord& process, std::uint32_t limit,
                const Cancelled& cancelled, Names* names, Places* places,
                v1::GetProcessResponse* out) {
  AggregatePlan plan;
  plan.where.host = process.host;
  plan.where.processes.emplace().insert(process.id().value());
  plan.limit = limit;
  TRY(AggregateResult flows, store.Aggregate(plan, cancelled));
  for (const FlowTotal& flow : flows.flows) {
    places->Annotate(flow, &(*out->add_flows() = RenderFlow(flow, names)));
  }
  plan.by = GroupBy::kProcess;
  plan.order = OrderBy::kBytes;
  plan.limit = 1;
  places->AddTo(&plan);
  TRY(AggregateResult totals, store.Aggregate(plan, cancelled));
  if (!totals.groups.empty()) {
    *out->mutable_totals() = RenderGroup(totals.groups[0], plan.by, names);
    places->AnnotateCost(totals.groups[0].routes, out->mutable_totals());
  }
  return Ok();
}

}  // namespace

Result<v1::GetProcessResponse> QueryEngine::GetProcess(const v1::GetProcessRequest& request,
                                                       const Cancelled& cancelled) const {
  if (request.flow_limit() > kMaxFlows) {
    return InvalidArgument(fmt::format("flow_limit: at most {}", kMaxFlows));
  }
  TRY(const ProcessPredicate where, Which(deps_.store, request));
  TRY(std::vector<ProcessRecord> found, deps_.store.FindProcesses(where, kMaxCandidates));
  if (found.empty()) {
    return NotFound(fmt::format("process '{}' is not known here", request.process()));
  }
  const ProcessRecord process = *std::ranges::min_element(found, Newer);
  Names names(deps_.store);
  v1::GetProcessResponse out;
  *out.mutable_process() = RenderProcess(process, names);
  RenderSessionOf(process, &names, out.mutable_process());
  *out.mutable_counters() = RenderCounters(process);
  TRY_VOID(AddFamily(deps_.store, process, &names, &out));
  if (request.without_flows()) return out;
  const std::uint32_t limit = request.flow_limit() == 0 ? 100 : request.flow_limit();
  Places places(deps_.store, deps_.places);
  TRY_VOID(AddFlows(deps_.store, process, limit, cancelled, &names, &places, &out));
  return out;
}

}  // namespace culprit
