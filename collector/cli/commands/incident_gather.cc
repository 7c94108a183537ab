// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/incident_gather.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/answer/reply.h"
#include "collector/cli/commands/bundle_source.h"
#include "collector/cli/json.h"

namespace culprit::cli {
namespace {

constexpr std::int64_t kHour = 3'600LL * 1'000'000'000, kDay = 24 * kHour;
constexpr std::int64_t kMinute = 60LL * 1'000'000'000;
constexpr std::size_t kMaxCulprits = 6, kMaxSessions = 6;
constexpr std::int64_t kBuckets = 48;
constexpr std::uint32_t kFindings = 200, kDestinations = 200, kLogins = 200, kReplyFlows = 5;
constexpr std::uint32_t kChanges = 100, kKeys = 500, kSnapshots = 20;

class Gatherer {
 public:
  Gatherer(Session& session, Client& client, const IncidentQuestion& question)
      : session_(session), client_(client), question_(question) {}

  Result<report::Incident> Run() {
    incident_.tool = "culprit " CULPRIT_VERSION;
    incident_.made_ns = session_.view().now_ns;
    TRY_VOID(Subject());
    Span();
    TRY_VOID(Culprits());
    TRY_VOID(Destinations());
    TRY_VOID(Series());
    Logins();
    Posture();
    Snapshots();
    TRY_VOID(Reply());
    return std::move(incident_);
  }

 private:
  void Gap(const char* what, const Error& error) {
    incident_.gaps.push_back(fmt::format("{}: {}", what, error.message));
  }
  void SetRange(v1::TimeRange* range) const {
    range->set_from_ns(incident_.from_ns);
    range->set_to_ns(incident_.to_ns);
  }

  Status Subject() {
    v1::ListHostsRequest by_name;
    by_name.set_host(question_.subject);
    by_name.set_health(true);
    auto named = client_.ListHosts(by_name);
    if (!named && named.error().code != Code::kNotFound) return std::move(named).error();
    const v1::ListHostsResponse hosts = named ? std::move(*named) : v1::ListHostsResponse();
    if (hosts.hosts_size() > 1) {
      return InvalidArgument("several hosts are called " + question_.subject +
                             ": give the agent id of one (culprit hosts --json)");
    }
    v1::ListFindingsRequest request;
    if (hosts.hosts_size() == 1) {
      incident_.host = hosts.hosts(0);
      request.set_host(incident_.host.agent_id());
      request.set_limit(kFindings);
      if (question_.since_ns) request.set_since_ns(*question_.since_ns);
    } else {
      request.set_id(question_.subject);
      request.set_limit(2);
    }
    auto findings = client_.ListFindings(request);
    // What is no id is no finding.
    if (!findings && hosts.hosts_size() == 0 && findings.error().code == Code::kInvalidArgument)
      findings = v1::ListFindingsResponse();
    if (!findings) return std::move(findings).error();
    if (hosts.hosts_size() == 0) TRY_VOID(OneFinding(*findings));
    Keep(*findings);
    return Ok();
  }

  Status OneFinding(const v1::ListFindingsResponse& findings) {
    if (findings.findings_size() == 0)
      return NotFound("there is no host and no finding called " + question_.subject +
                      ": see `culprit hosts` and `culprit findings`");
    if (findings.findings_size() > 1)
      return InvalidArgument("several findings begin with " + question_.subject +
                             ": give more digits");
    one_ = true;
    v1::ListHostsRequest request;
    request.set_host(findings.findings(0).agent_id());
    request.set_health(true);
    TRY(const v1::ListHostsResponse hosts, client_.ListHosts(request));
    if (hosts.hosts_size() > 0) incident_.host = hosts.hosts(0);
    return Ok();
  }

  // What an operator called a false positive is left out, and that is said.
  void Keep(const v1::ListFindingsResponse& findings) {
    std::size_t left_out = 0;
    for (const v1::Finding& finding : findings.findings()) {
      if (!one_ && finding.state() == v1::FINDING_STATE_FALSE_POSITIVE) {
        ++left_out;
      } else {
        incident_.findings.push_back(finding);
      }
    }
    if (left_out > 0)
      incident_.gaps.push_back(fmt::format(
          "{} findings that an operator called false positives are left out", left_out));
    std::ranges::stable_sort(incident_.findings, [](const auto& a, const auto& b) {
      return a.severity() != b.severity() ? a.severity() > b.severity() : a.last_ns() > b.last_ns();
    });
  }

  // From an hour before the first evidence on, or the last day.
  void Span() {
    std::int64_t from = 0, to = 0;
    for (const v1::Finding& finding : incident_.findings) {
      from = from == 0 ? finding.first_ns() : std::min(from, finding.first_ns());
      to = std::max(to, finding.last_ns());
    }
    from = from == 0 ? incident_.made_ns - kDay : from - kHour;
    incident_.from_ns = std::max<std::int64_t>(question_.since_ns.value_or(from), 1);
    incident_.to_ns = one_ ? std::min(to + kHour, incident_.made_ns) : incident_.made_ns;
    incident_.to_ns = std::max(incident_.to_ns, incident_.from_ns + kMinute);
  }

  Status Culprits() {
    for (const v1::Finding& finding : incident_.findings) {
      AddProcess(finding.process_id());
      if (finding.has_session()) AddSession(finding.session().session_id());
    }
    if (processes_.empty()) {
      TRY(const std::string most, SentMost());
      AddProcess(most);
    }
    for (const std::string& id : processes_) {
      v1::GetProcessRequest request;
      request.set_process(id);
      request.set_host(incident_.host.agent_id());
      request.set_flow_limit(1);
      auto process = client_.GetProcess(request);
      if (!process) {
        Gap(("process " + id).c_str(), process.error());
        continue;
      }
      AddSession(process->process().login_session_id());
      incident_.processes.push_back(std::move(*process));
    }
    for (const std::string& id : sessions_) {
      v1::GetSessionRequest request;
      request.set_session(id);
      request.set_host(incident_.host.agent_id());
      request.set_flow_limit(1);
      auto session = client_.GetSession(request);
      if (session) {
        incident_.sessions.push_back(std::move(*session));
      } else {
        Gap(("session " + id).c_str(), session.error());
      }
    }
    return Ok();
  }

  void AddProcess(const std::string& id) {
    const bool none = id.find_first_not_of('0') == std::string::npos;
    if (none || processes_.size() == kMaxCulprits) return;
    if (std::ranges::find(processes_, id) == processes_.end()) processes_.push_back(id);
  }
  void AddSession(const std::string& id) {
    if (id.empty() || sessions_.size() == kMaxSessions) return;
    if (std::ranges::find(sessions_, id) == sessions_.end()) sessions_.push_back(id);
  }

  Result<std::string> SentMost() {
    v1::ListFlowsRequest request;
    request.mutable_filter()->set_host(incident_.host.agent_id());
    SetRange(request.mutable_filter()->mutable_time());
    request.set_group_by("process");
    request.set_order_by("tx");
    request.set_limit(1);
    TRY(const v1::ListFlowsResponse answer, client_.ListFlows(request));
    return answer.groups_size() == 0 ? std::string() : answer.groups(0).key();
  }

  // Of the culprits in the reported time.
  v1::ListFlowsRequest Flows(const std::string& group_by) const {
    v1::ListFlowsRequest request;
    request.mutable_filter()->set_host(incident_.host.agent_id());
    for (const std::string& id : processes_) request.mutable_filter()->add_process_ids(id);
    SetRange(request.mutable_filter()->mutable_time());
    request.set_group_by(group_by);
    request.set_order_by("tx");
    return request;
  }

  Status Destinations() {
    if (processes_.empty()) return Ok();
    v1::ListFlowsRequest request = Flows("destination");
    request.set_limit(kDestinations);
    request.set_with_cost(true);
    TRY(incident_.destinations, client_.ListFlows(request));
    if (!incident_.destinations.next_page_token().empty())
      incident_.gaps.push_back(fmt::format(
          "destinations and cost are of the {} that were sent most alone", kDestinations));
    return Ok();
  }

  // Whole minutes at least: sums over a range are prorated from rows of ten seconds.
  Status Series() {
    if (processes_.empty()) return Ok();
    std::int64_t first = incident_.to_ns, last = incident_.from_ns;
    for (const v1::FlowGroup& group : incident_.destinations.groups()) {
      first = std::min(first, group.first_ns());
      last = std::max(last, group.last_ns());
    }
    first = std::max(first, incident_.from_ns) / kMinute * kMinute;
    last = std::min(last, incident_.to_ns);
    if (last <= first) return Ok();
    const std::int64_t width =
        std::max((last - first + kBuckets - 1) / kBuckets, kMinute) / kMinute * kMinute;
    for (std::int64_t at = first; at < last; at += width) {
      v1::ListFlowsRequest request = Flows("host");
      request.mutable_filter()->mutable_time()->set_from_ns(at);
      request.mutable_filter()->mutable_time()->set_to_ns(at + width);
      request.set_limit(1);
      TRY(const v1::ListFlowsResponse answer, client_.ListFlows(request));
      report::Bucket bucket{at, at + width, 0, 0};
      for (const v1::FlowGroup& group : answer.groups()) {
        bucket.tx_bytes += group.tx_wire_bytes();
        bucket.rx_bytes += group.rx_wire_bytes();
      }
      incident_.series.push_back(bucket);
    }
    return Ok();
  }

  void Logins() {
    v1::ListLoginsRequest request;
    request.set_host(incident_.host.agent_id());
    SetRange(request.mutable_time());
    request.mutable_time()->set_from_ns(std::max<std::int64_t>(incident_.from_ns - kDay, 1));
    request.set_limit(kLogins);
    auto logins = client_.ListLogins(request);
    if (logins) {
      incident_.logins = std::move(*logins);
    } else {
      Gap("logins", logins.error());
    }
    request.set_failed(true);
    auto failed = client_.ListLogins(request);
    if (failed) {
      incident_.failed = std::move(*failed);
    } else {
      Gap("failed logins", failed.error());
    }
  }

  void Posture() {
    v1::GetPostureRequest request;
    request.set_host(incident_.host.agent_id());
    SetRange(request.mutable_time());
    request.set_change_limit(kChanges);
    auto posture = client_.GetPosture(request);
    if (!posture) {
      Gap("the SSH of the host", posture.error());
    } else if (posture->hosts_size() > 0) {
      incident_.posture = posture->hosts(0);
      incident_.posture.clear_posture();
    }
    v1::ListKeysRequest ask;
    ask.set_host(incident_.host.agent_id());
    ask.set_limit(kKeys);
    auto keys = client_.ListKeys(ask);
    if (!keys) return Gap("keys", keys.error());
    incident_.keys.assign(keys->keys().begin(), keys->keys().end());
    if (keys->cut()) incident_.gaps.push_back(fmt::format("keys: the first {} alone", kKeys));
  }

  void Snapshots() {
    v1::ListSnapshotsRequest request;
    request.set_host(incident_.host.agent_id());
    request.set_limit(kSnapshots);
    const auto snapshots = client_.ListSnapshots(request);
    if (!snapshots) return Gap("snapshots", snapshots.error());
    std::string whole;
    for (const v1::Snapshot& snapshot : snapshots->snapshots()) {
      incident_.snapshots.push_back(
          {snapshot.id(), WordOf(snapshot.state()), snapshot.sha256(), snapshot.key_fingerprint(),
           snapshot.problem(), snapshot.asked_ns(), snapshot.stored_bytes(), snapshot.skipped()});
      if (whole.empty() && snapshot.state() == v1::SNAPSHOT_STATE_COMPLETE) whole = snapshot.id();
    }
    if (!whole.empty()) Notables(whole);
  }

  // What stands out in it. A viewer may not read bundles: the report then goes without.
  void Notables(const std::string& id) {
    int exit_code = kExitOk;
    auto source = OpenBundle(session_, id, &exit_code);
    if (!source) return Gap("what stands out in the snapshot", source.error());
    auto summary = SummariseBundle(std::move(*source));
    if (!summary) return Gap("what stands out in the snapshot", summary.error());
    incident_.notable = std::move(summary->notable);
    incident_.cloud = std::move(summary->cloud);
  }

  // As for a report that names no more than this instance.
  Status Reply() {
    if (incident_.processes.empty()) return Ok();
    Culprit culprit;
    culprit.process = incident_.processes.front();
    culprit.host = incident_.host;
    culprit.match.host = incident_.host.hostname();
    culprit.match.agent_id = incident_.host.agent_id();
    culprit.match.process_id = culprit.process.process().process_id();
    v1::ListFlowsRequest request = Flows("");
    request.mutable_filter()->clear_process_ids();
    request.mutable_filter()->add_process_ids(culprit.match.process_id);
    request.set_limit(kReplyFlows);
    TRY(const v1::ListFlowsResponse flows, client_.ListFlows(request));
    for (const v1::FlowRow& flow : flows.flows()) {
      FlowMatch match;
      match.flow = flow;
      culprit.match.best.push_back(std::move(match));
    }
    culprit.match.flows =
        std::max<std::uint64_t>(culprit.match.best.size(), culprit.process.totals().flows());
    culprit.findings = incident_.findings;
    incident_.reply = DraftReply({}, culprit);
    return Ok();
  }

  Session& session_;
  Client& client_;
  const IncidentQuestion& question_;
  report::Incident incident_;
  std::vector<std::string> processes_, sessions_;
  bool one_ = false;  // one finding, not a host
};

}  // namespace

Result<report::Incident> GatherIncident(Session& session, Client& client,
                                        const IncidentQuestion& question) {
  return Gatherer(session, client, question).Run();
}

}  // namespace culprit::cli
