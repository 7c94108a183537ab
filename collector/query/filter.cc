// SPDX-License-Identifier: Apache-2.0
#include "collector/query/filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "collector/query/render.h"
#include "common/ascii.h"
#include "common/hex.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxProcesses = 200'000;
constexpr int kMaxProcessIds = 1000;
constexpr std::size_t kMaxNamed = 1'000'000;
constexpr std::size_t kMaxText = 1024;

Result<std::uint16_t> Port(std::uint32_t port, const char* field) {
  if (port > 0xffff)
    return InvalidArgument(fmt::format("{}: {} is not a port (1-65535)", field, port));
  return static_cast<std::uint16_t>(port);
}

Status ResolveTime(const v1::TimeRange& range, FlowPredicate* out) {
  if (range.from_ns() < 0 || range.to_ns() < 0) {
    return InvalidArgument("time: must not be before 1970");
  }
  if (range.from_ns() != 0) out->from = WallTimeFromNs(range.from_ns());
  if (range.to_ns() != 0) out->to = WallTimeFromNs(range.to_ns());
  if (out->from && out->to && *out->from >= *out->to) {
    return InvalidArgument("time: from must be before to");
  }
  return Ok();
}

Status ResolveEnds(const v1::FlowFilter& filter, FlowPredicate* out) {
  if (!filter.remote().empty()) {
    auto cidr = Cidr::Parse(filter.remote());
    if (!cidr) return std::move(cidr).error().Context("remote");
    out->remote = *cidr;
  }
  if (filter.remote_port() != 0) {
    TRY(out->remote_port, Port(filter.remote_port(), "remote_port"));
  }
  if (filter.local_port() != 0) {
    TRY(out->local_port, Port(filter.local_port(), "local_port"));
  }
  return Ok();
}

Status ResolveKind(const v1::FlowFilter& filter, FlowPredicate* out) {
  if (!filter.protocol().empty()) {
    TRY(out->protocol, ParseProtocol(filter.protocol()));
  }
  if (!filter.direction().empty()) {
    TRY(out->direction, ParseDirection(filter.direction()));
  }
  if (!filter.state().empty()) {
    TRY(out->state, ParseState(filter.state()));
  }
  const bool listeners = filter.include_listeners() ||
                         out->direction == v1::FLOW_DIRECTION_LISTEN ||
                         out->state == v1::FLOW_STATE_LISTENING;
  out->exclude_listeners = !listeners;
  if (!filter.include_agent()) out->exclude_flags |= v1::FLOW_FLAG_AGENT;
  out->min_bytes = filter.min_bytes();
  return Ok();
}

Status ResolveProcess(const v1::FlowFilter& filter, ResolvedFilter* out) {
  if (filter.process_ids_size() > kMaxProcessIds) {
    return InvalidArgument(fmt::format("process_ids: at most {}", kMaxProcessIds));
  }
  if (filter.exe().size() > kMaxText || filter.user().size() > kMaxText) {
    return InvalidArgument("exe, user: too long");
  }
  for (const std::string& text : filter.process_ids()) {
    TRY(const std::uint64_t id, ParseHexId(text, "process_ids"));
    if (!out->ids) out->ids.emplace();
    out->ids->insert(id);
  }
  ProcessPredicate& p = out->process;
  if (filter.pid() != 0) p.tgid = filter.pid();
  p.exe_substring = filter.exe();
  p.user = filter.user();
  if (!filter.exe_sha256().empty()) {
    auto bytes = HexDecode(filter.exe_sha256());
    if (!bytes || bytes->size() != 32) {
      return InvalidArgument("exe_sha256: expected 64 hexadecimal digits");
    }
    p.exe_sha256 = *bytes;
  }
  p.host = out->flows.host;
  p.from = out->flows.from;
  p.to = out->flows.to;
  out->by_process = p.tgid || !p.exe_substring.empty() || !p.user.empty() || !p.exe_sha256.empty();
  return Ok();
}

}  // namespace

Result<std::string> ResolveName(std::string name) {
  if (name.size() > kMaxText) return InvalidArgument("name: too long");
  name = AsciiLower(name);
  if (name.size() > 1 && name.ends_with('.')) name.pop_back();
  return name;
}

bool IsNamed(const std::string& name, const std::string& wanted) {
  if (!wanted.starts_with('.')) return name == wanted;
  return name.ends_with(wanted) || name == wanted.substr(1);
}

bool FlowIsNamed(const EvidenceStore& store, const FlowTotal& flow, const std::string& wanted) {
  const FlowFacts& f = flow.facts;
  const auto names = store.FlowNames(flow.host, f.flow, f.start, f.last);
  return names && std::ranges::any_of(
                      *names, [&](const FlowNameRecord& one) { return IsNamed(one.name, wanted); });
}

bool ResolvedFilter::Accepts(ProcessId id, const ProcessRecord* record) const {
  if (ids && ids->count(id.value()) == 0) return false;
  if (!by_process) return true;
  if (record == nullptr) return false;
  const v1::Process& d = record->definition;
  return (!process.tgid || *process.tgid == d.tgid()) &&
         (process.exe_substring.empty() ||
          d.exe().find(process.exe_substring) != std::string::npos) &&
         (process.exe_sha256.empty() || process.exe_sha256 == d.exe_sha256()) &&
         (process.user.empty() || process.user == d.user() ||
          process.user == std::to_string(d.uid()));
}

Result<std::uint64_t> ParseHexId(const std::string& text, const std::string& what) {
  std::uint64_t id = 0;
  if (text.size() != 16 || !ParseWhole(text, &id, 16)) {
    return InvalidArgument(
        fmt::format("{}: expected 16 hexadecimal digits, not '{}'", what, text.substr(0, 64)));
  }
  return id;
}

Error UnknownHost(const std::string& text) {
  return NotFound(fmt::format("host '{}' is not known here: `culprit hosts` lists those that are",
                              text.substr(0, 128)));
}

Result<HostRecord> ResolveHost(const EvidenceStore& store, const std::string& text) {
  std::vector<HostRecord> found;
  for (HostRecord& host : store.Hosts()) {
    if (host.agent_id.ToString() == text) return std::move(host);
    if (host.info.instance_id() == text || host.info.hostname() == text ||
        host.agent_name == text) {
      found.push_back(std::move(host));
    }
  }
  if (found.empty()) return UnknownHost(text);
  if (found.size() > 1) {
    return InvalidArgument(
        fmt::format("host '{}' fits {} hosts: give the agent id, for instance {}", text,
                    found.size(), found[0].agent_id.ToString()));
  }
  return std::move(found[0]);
}

Result<ResolvedFilter> ResolveFilter(const EvidenceStore& store, const v1::FlowFilter& filter) {
  ResolvedFilter out;
  TRY_VOID(ResolveTime(filter.time(), &out.flows));
  TRY_VOID(ResolveEnds(filter, &out.flows));
  TRY_VOID(ResolveKind(filter, &out.flows));
  if (!filter.host().empty()) {
    TRY(const HostRecord host, ResolveHost(store, filter.host()));
    out.flows.host = host.ref;
  }
  TRY_VOID(ResolveProcess(filter, &out));
  TRY(out.name, ResolveName(filter.name()));
  return out;
}

Result<FlowPredicate> WithProcesses(const EvidenceStore& store, const ResolvedFilter& filter) {
  FlowPredicate out = filter.flows;
  out.processes = filter.ids;
  if (!filter.name.empty()) {
    NamePredicate named;
    named.host = out.host;
    named.name = filter.name;
    TRY(out.flows, store.FlowsNamed(named, kMaxNamed));
  }
  if (!filter.by_process) return out;
  TRY(const std::vector<ProcessRecord> found, store.FindProcesses(filter.process, kMaxProcesses));
  std::unordered_set<std::uint64_t> ids;
  for (const ProcessRecord& p : found) {
    if (!filter.ids || filter.ids->count(p.id().value()) != 0) ids.insert(p.id().value());
  }
  out.processes = std::move(ids);
  return out;
}

}  // namespace culprit
