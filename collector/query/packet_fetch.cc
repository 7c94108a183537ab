// SPDX-License-Identifier: Apache-2.0
#include "collector/query/packet_fetch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "collector/query/filter.h"
#include "collector/query/render.h"
#include "common/crc32c.h"
#include "common/hex.h"
#include "common/net_address.h"

namespace culprit {
namespace {

constexpr int kMaxIds = 64;
constexpr std::uint32_t kWindow = 1U << 20;
constexpr std::uint64_t kLeastMaxBytes = 4096;
constexpr std::chrono::milliseconds kLook{200};

Result<std::set<std::uint64_t>> ParseIds(const google::protobuf::RepeatedPtrField<std::string>& ids,
                                         const char* what) {
  std::set<std::uint64_t> out;
  if (ids.size() > kMaxIds) return InvalidArgument(fmt::format("{}: at most {}", what, kMaxIds));
  for (const std::string& text : ids) {
    TRY(const std::uint64_t id, ParseHexId(text, what));
    out.insert(id);
  }
  return out;
}

Status SetEnds(const v1::FetchPacketsRequest& request, v1::PacketSelection* selection) {
  if (!request.remote().empty()) {
    const auto address = IpAddress::Parse(request.remote());
    if (!address) return InvalidArgument("remote: expected one address");
    selection->set_address(std::string(address->AsBytes()));
  }
  if (request.remote_port() > 65'535) return InvalidArgument("remote_port: at most 65535");
  selection->set_port(request.remote_port());
  if (request.max_bytes() != 0 && request.max_bytes() < kLeastMaxBytes) {
    return InvalidArgument(fmt::format("max_bytes: at least {}", kLeastMaxBytes));
  }
  selection->set_max_bytes(request.max_bytes());
  return Ok();
}

// Counts while it lives.
class Place {
 public:
  explicit Place(std::atomic<int>* running) : running_(running), number_(++*running) {}
  ~Place() { --*running_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  int number() const { return number_; }

 private:
  std::atomic<int>* running_;
  int number_;
};

}  // namespace

Result<HostRecord> PacketFetcher::FindHost(const v1::FetchPacketsRequest& request) const {
  if (!request.host().empty()) return ResolveHost(deps_.store, request.host());
  const std::vector<HostRecord> hosts = deps_.store.Hosts();
  if (hosts.size() == 1) return hosts[0];
  std::optional<std::uint32_t> ref;
  if (request.process_ids_size() > 0) {
    ProcessPredicate where;
    TRY(where.id, ParseHexId(request.process_ids(0), "process"));
    TRY(const auto found, deps_.store.FindProcesses(where, kMaxIds));
    if (found.empty()) {
      return NotFound(fmt::format("process '{}' is not known here", request.process_ids(0)));
    }
    ref = found[0].host;
  } else if (request.flow_ids_size() > 0) {
    AggregatePlan plan;
    TRY(const std::uint64_t id, ParseHexId(request.flow_ids(0), "flow"));
    plan.where.flows.emplace().insert(id);
    plan.limit = 1;
    TRY(const AggregateResult found, deps_.store.Aggregate(plan, {}));
    if (found.flows.empty()) {
      return NotFound(fmt::format("flow '{}' is not known here", request.flow_ids(0)));
    }
    ref = found.flows[0].host;
  }
  for (const HostRecord& host : hosts) {
    if (ref && host.ref == *ref) return host;
  }
  return InvalidArgument("host: say whose packets (`culprit hosts` lists them)");
}

Status PacketFetcher::AddProcesses(const v1::FetchPacketsRequest& request, const HostRecord& host,
                                   v1::PacketSelection* selection) const {
  TRY(std::set<std::uint64_t> ids, ParseIds(request.process_ids(), "process"));
  for (const std::uint64_t id : ids) {
    TRY(const auto known, deps_.store.FindProcess(host.ref, ProcessId{id}));
    if (!known) {
      return NotFound(fmt::format("process '{}' is not known on {}", HexId(id), HostLabel(&host)));
    }
  }
  if (request.pid() != 0) {
    ProcessPredicate where;
    where.host = host.ref;
    where.tgid = request.pid();
    if (request.from_ns() != 0) where.from = WallTimeFromNs(request.from_ns());
    if (request.to_ns() != 0) where.to = WallTimeFromNs(request.to_ns());
    TRY(const auto found, deps_.store.FindProcesses(where, kMaxIds));
    if (found.empty()) {
      return NotFound(fmt::format("no process with pid {} is known on {} for that time",
                                  request.pid(), HostLabel(&host)));
    }
    for (const ProcessRecord& process : found) ids.insert(process.id().value());
  }
  if (ids.size() > kMaxIds) return InvalidArgument("process: too many; narrow the time");
  for (const std::uint64_t id : ids) selection->add_process_ids(id);
  return Ok();
}

Result<PacketFetcher::Plan> PacketFetcher::MakePlan(const v1::FetchPacketsRequest& request) const {
  if (request.from_ns() < 0 || request.to_ns() < 0 ||
      (request.to_ns() != 0 && request.to_ns() < request.from_ns())) {
    return InvalidArgument("time: ends before it begins");
  }
  TRY(const HostRecord host, FindHost(request));
  Plan plan;
  plan.agent_id = host.agent_id;
  plan.host = HostLabel(&host);
  v1::PacketSelection* selection = plan.request.mutable_selection();
  TRY_VOID(AddProcesses(request, host, selection));
  TRY(const std::set<std::uint64_t> flows, ParseIds(request.flow_ids(), "flow"));
  for (const std::uint64_t id : flows) selection->add_flow_ids(id);
  TRY_VOID(SetEnds(request, selection));
  selection->set_from_ns(request.from_ns());
  selection->set_to_ns(request.to_ns());
  if (request.to_ns() == 0) {
    // Packets have the agent's time.
    std::int64_t skew = 0;
    const IngestStats live = deps_.activity != nullptr ? deps_.activity->Read() : IngestStats{};
    for (const AgentIngestStats& agent : live.agents) {
      if (agent.agent_id == plan.agent_id) skew = agent.skew_ns;
    }
    selection->set_to_ns(std::max(ToNs(deps_.now()) + skew + 1'000'000'000, selection->from_ns()));
  }
  if (request.fetch_id().empty()) {
    plan.request.set_fetch_id(std::string(Uuid::Random().AsBytes()));
  } else if (request.fetch_id().size() == sizeof(Uuid)) {
    plan.request.set_fetch_id(request.fetch_id());
    plan.request.set_offset(request.offset());
    plan.request.set_prefix_crc32c(request.prefix_crc32c());
  } else {
    return InvalidArgument("fetch_id: 16 bytes");
  }
  plan.request.set_window_bytes(kWindow);
  plan.resume = request;
  plan.resume.set_host(plan.agent_id.ToString());
  plan.resume.set_fetch_id(plan.request.fetch_id());
  plan.resume.set_to_ns(selection->to_ns());
  plan.resume.clear_pid();
  plan.resume.clear_process_ids();
  for (const std::uint64_t id : selection->process_ids()) plan.resume.add_process_ids(HexId(id));
  plan.resume.clear_offset();
  plan.resume.clear_prefix_crc32c();
  return plan;
}

Status PacketFetcher::Fetch(const v1::FetchPacketsRequest& request,
                            const std::string& operator_name, const Cancelled& cancelled,
                            const Send& send) {
  if (deps_.control == nullptr) return Unavailable("this collector takes no agents");
  const Place place(&running_);
  if (place.number() > kMaxFetches) {
    return MakeError(
        Code::kResourceExhausted,
        fmt::format("{} fetches of packets are running; wait for one to end", kMaxFetches));
  }
  TRY(Plan plan, MakePlan(request));
  if (request.fetch_id().empty() && !deps_.control->IsConnected(plan.agent_id)) {
    return FailedPrecondition(
        fmt::format("the agent of {} is not connected: its packets are on that host and nowhere "
                    "else; `culprit hosts` shows when it was heard last",
                    plan.host));
  }
  spdlog::info("packets asked for operator={} host={} fetch={} offset={}", operator_name, plan.host,
               Uuid::FromBytes(plan.request.fetch_id())->ToString(), plan.request.offset());
  Status done = Run(&plan, cancelled, send);
  spdlog::info("packets given operator={} host={} bytes_up_to={} end=\"{}\"", operator_name,
               plan.host, plan.request.offset(), done ? "whole" : done.error().message);
  return done;
}

Status PacketFetcher::Run(Plan* plan, const Cancelled& cancelled, const Send& send) {
  v1::FetchPacketsResponse message;
  message.mutable_start()->set_agent_id(plan->agent_id.ToString());
  message.mutable_start()->set_host(plan->host);
  *message.mutable_start()->mutable_resume() = plan->resume;
  if (!send(message)) return MakeError(Code::kCancelled, "the operator is gone");
  std::optional<v1::PacketTotals> totals;
  const auto take = [&](v1::PacketPart&& part) {
    v1::PacketRequest& at = plan->request;
    if (part.has_totals()) totals = part.totals();
    if (part.data().empty()) return true;
    v1::FetchPacketsChunk* chunk = message.mutable_chunk();
    chunk->set_offset(part.offset());
    chunk->set_crc32c(part.crc32c());
    chunk->set_data(std::move(*part.mutable_data()));
    at.set_offset(at.offset() + chunk->data().size());
    at.set_prefix_crc32c(Crc32c(chunk->data(), at.prefix_crc32c()));
    return send(message);
  };
  while (!totals) {
    const Status asked =
        deps_.control->AskForPackets(plan->agent_id, plan->request, take, cancelled);
    if (!asked && asked.error().code == Code::kUnavailable) {
      TRY_VOID(WaitForAgent(*plan, asked.error().message, cancelled, send));
    } else if (!asked && asked.error().code == Code::kDeadlineExceeded) {
      return FailedPrecondition(fmt::format(
          "the agent of {} does not answer: it is older than this collector, or hangs (`culprit "
          "hosts` shows its version; `culprit-agent status` on that host)",
          plan->host));
    } else {
      TRY_VOID(asked);
    }
  }
  deps_.control->ReleasePackets(plan->agent_id, plan->request.fetch_id());
  v1::FetchPacketsEnd* end = message.mutable_end();
  end->set_packets(totals->packets());
  end->set_wire_bytes(totals->wire_bytes());
  end->set_kept_bytes(totals->kept_bytes());
  end->set_cut_off(totals->cut_off());
  end->set_damaged_segments(totals->damaged_segments());
  end->set_unfrozen_segments(totals->unfrozen_segments());
  return send(message) ? Ok() : Status(MakeError(Code::kCancelled, "the operator is gone"));
}

Status PacketFetcher::WaitForAgent(const Plan& plan, const std::string& why,
                                   const Cancelled& cancelled, const Send& send) const {
  v1::FetchPacketsResponse message;
  message.mutable_waiting()->set_reason(why);
  if (!send(message)) return MakeError(Code::kCancelled, "the operator is gone");
  const auto deadline = std::chrono::steady_clock::now() + deps_.patience;
  do {
    if (cancelled && cancelled()) return MakeError(Code::kCancelled, "cancelled");
    if (std::chrono::steady_clock::now() >= deadline) {
      return FailedPrecondition(
          fmt::format("the agent of {} went away and did not come back: --resume goes on from here",
                      plan.host));
    }
    std::this_thread::sleep_for(kLook);
  } while (!deps_.control->IsConnected(plan.agent_id));
  return Ok();
}

}  // namespace culprit
