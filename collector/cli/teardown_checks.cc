// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/teardown_checks.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::int64_t kMinuteNs = 60LL * 1'000'000'000;
constexpr std::int64_t kFresh = 24 * 60 * kMinuteNs;  // a slow link needs hours

bool TooDeep(std::string_view json) {
  std::size_t depth = 0;
  for (const char c : json) {
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0) --depth;
    if (depth > kMaxDepth) return true;
  }
  return false;
}

std::optional<std::uint64_t> NewestOf(const nlohmann::json& lanes, const char* lane) {
  if (!lanes.is_object()) return std::nullopt;
  const auto found = lanes.find(lane);
  if (found == lanes.end() || !found->is_object()) return std::nullopt;
  const auto newest = found->find("newest_seq");
  if (newest == found->end() || !newest->is_number_unsigned()) return std::nullopt;
  return newest->get<std::uint64_t>();
}

TeardownCheck AgentCheck(const TeardownFacts& facts) {
  const v1::HostRow& host = facts.host;
  const bool good = host.state() == "online" && facts.head.connected();
  return {
      "agent", good,
      good ? "connected, last heard of " + FormatTime(host.last_received_ns(), Zone::kUtc)
           : fmt::format("silent ({}): last heard of {}", host.state(),
                         FormatTime(host.last_received_ns(), Zone::kUtc)),
      "what is on it may not have arrived: see `culprit hosts --health`, start the agent or its "
      "network, and run this again"};
}

TeardownCheck SnapshotCheck(const TeardownFacts& facts) {
  TeardownCheck check{"snapshot", false, "", ""};
  if (!facts.snapshot) {
    check.text = "none: " + facts.snapshot_problem;
    check.remedy = "end that and run this again";
    return check;
  }
  const v1::Snapshot& snapshot = *facts.snapshot;
  const bool whole = snapshot.state() == v1::SNAPSHOT_STATE_COMPLETE;
  check.text = fmt::format("{}, {}", snapshot.id(), whole ? "whole and verified" : "not whole");
  if (!facts.snapshot_problem.empty()) check.text += ": " + facts.snapshot_problem;
  if (!snapshot.problem().empty()) check.text += ": " + snapshot.problem();
  for (const std::string& defect : snapshot.defects()) check.text += "; " + defect;
  if (!whole) {
    check.remedy =
        snapshot.problem().find("disk") != std::string::npos
            ? "make room on the collector's disk: the transfer goes on by itself; then run "
              "this again with --snapshot " +
                  snapshot.id()
            : "run this again; `culprit snapshot list` shows what is there";
    return check;
  }
  if (snapshot.agent_id() != facts.host.agent_id()) {
    check.text += ", but of another host: " + snapshot.host();
    check.remedy = "run this again without --snapshot, or with one of this host";
    return check;
  }
  if (facts.now_ns - snapshot.asked_ns() > kFresh) {
    check.text += ", but from " + FormatAge(snapshot.asked_ns(), facts.now_ns) +
                  ": what has happened since is not in it";
    check.remedy = "run this again without --snapshot";
    return check;
  }
  if (snapshot.last_tier() < 2) {
    check.text += fmt::format(", but of tiers 0 to {} alone", snapshot.last_tier());
    check.remedy = "run this again without --snapshot";
    return check;
  }
  if (!snapshot.key_known()) {
    check.text += ", signed by a key that earlier snapshots of this host were not";
    check.remedy = "find out why: somebody else may have signed it (`culprit snapshot list`)";
    return check;
  }
  check.good = true;
  check.text += fmt::format(", {}, SHA-256 {}, key {}", FormatByteSize(snapshot.stored_bytes()),
                            snapshot.sha256(), snapshot.key_fingerprint());
  return check;
}

TeardownCheck EvidenceCheck(const TeardownFacts& facts) {
  TeardownCheck check{"evidence", false, "", "wait, and run this again"};
  if (!facts.agent) {
    check.text = "how far the agent had written is not known: " + facts.agent_problem;
    return check;
  }
  if (facts.head.stream_id().empty()) {
    check.text = "the agent has not connected since the collector was started";
    return check;
  }
  if (facts.agent->stream_id != facts.head.stream_id()) {
    check.text = "the agent has begun another stream since: " + facts.head.stream_id() + " after " +
                 facts.agent->stream_id;
    return check;
  }
  const auto missing = [](std::uint64_t written, std::uint64_t here) {
    return written > here ? written - here : 0;
  };
  const std::uint64_t evidence = missing(facts.agent->evidence_seq, facts.head.evidence_seq());
  const std::uint64_t bulk = missing(facts.agent->bulk_seq, facts.head.bulk_seq());
  check.good = evidence + bulk == 0;
  check.text = check.good
                   ? fmt::format("all that the agent had written: frames {} and {}",
                                 facts.agent->evidence_seq, facts.agent->bulk_seq)
                   : fmt::format("{} frames of evidence and {} of bulk are still on the host",
                                 evidence, bulk);
  return check;
}

TeardownCheck SequenceCheck(const TeardownFacts& facts) {
  const v1::HostRow& host = facts.host;
  std::string broken;
  const auto count = [&broken](std::uint64_t n, const char* what) {
    if (n > 0) broken += fmt::format("{}{} {}", broken.empty() ? "" : ", ", n, what);
  };
  count(host.gaps(), "gaps");
  count(host.forks(), "forks");
  count(host.rollbacks(), "rollbacks");
  count(host.lost_frames(), "frames lost");
  if (broken.empty()) return {"sequence", true, "without a gap", ""};
  if (!facts.accepted_gaps.empty())
    return {"sequence", true, broken + "; accepted: " + facts.accepted_gaps, ""};
  return {"sequence", false, broken,
          "what is missing does not come back: --accept-gaps WHY goes on without it"};
}

// What keeps evidence from being taken or shown; that an alert was not sent does not.
bool KeepsEvidence(const std::string& problem) {
  return problem.starts_with("journal") || problem.starts_with("disk:") ||
         problem.starts_with("index");
}

TeardownCheck CollectorCheck(const TeardownFacts& facts) {
  std::string text;
  for (const std::string& problem : facts.collector_degraded)
    if (KeepsEvidence(problem)) text += (text.empty() ? "" : "; ") + problem;
  if (text.empty()) return {"collector", true, "takes and shows evidence", ""};
  return {"collector", false, text, "end that first: `culprit status`"};
}

TeardownCheck DiskCheck(const TeardownFacts& facts) {
  if (!facts.disk_snapshot.empty())
    return {"disk", true, "preserved as " + facts.disk_snapshot + ", as the operator says", ""};
  if (facts.disk_not_preserved) return {"disk", true, "not preserved, as the operator decided", ""};
  return {"disk", false, "nobody said whether it is preserved: it goes with the instance",
          "aws ec2 create-snapshot, then --disk-snapshot snap-…; or --disk-not-preserved"};
}

// Terminating is safe for the evidence all the same.
TeardownCheck ScalingCheck(const TeardownFacts& facts) {
  CloudFacts cloud = facts.cloud;
  if (cloud.instance_id.empty()) cloud.instance_id = facts.host.instance_id();
  if (!cloud.told && !cloud.instance_id.starts_with("i-"))
    return {"scaling", true, "not on EC2, as far as is known", ""};
  RelaunchAdvice advice = AdviseRelaunch(cloud);
  return {"scaling", true, std::move(advice.text), std::move(advice.remedy),
          advice.will != Relaunch::kNo};
}

}  // namespace

Result<AgentPosition> ParseAgentPosition(std::string_view text) {
  const nlohmann::json json = TooDeep(text)
                                  ? nlohmann::json()
                                  : nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return DataLoss("the agent's status in the bundle is not readable");
  const auto spool = json.find("spool");
  const nlohmann::json& where = spool != json.end() && spool->is_object() ? *spool : json;
  const auto stream = where.find("stream_id");
  const auto lanes = where.find("lanes");
  if (stream == where.end() || !stream->is_string() || lanes == where.end())
    return DataLoss("the agent's status in the bundle says nothing of its spool");
  const auto evidence = NewestOf(*lanes, "evidence"), bulk = NewestOf(*lanes, "bulk");
  if (!evidence || !bulk) return DataLoss("the agent's status in the bundle names no lane");
  return AgentPosition{stream->get<std::string>(), *evidence, *bulk};
}

bool HasArrived(const AgentPosition& agent, const v1::EvidenceHead& head) {
  return agent.stream_id == head.stream_id() && agent.evidence_seq <= head.evidence_seq() &&
         agent.bulk_seq <= head.bulk_seq();
}

std::vector<TeardownCheck> CheckTeardown(const TeardownFacts& facts) {
  return {AgentCheck(facts),     SnapshotCheck(facts), EvidenceCheck(facts), SequenceCheck(facts),
          CollectorCheck(facts), DiskCheck(facts),     ScalingCheck(facts)};
}

std::string RenderTeardown(const std::vector<TeardownCheck>& checks, const View& view) {
  std::string out;
  for (const TeardownCheck& check : checks) {
    const Style style = !check.good ? Style::kBad : check.warning ? Style::kWarning : Style::kGood;
    const char* word = !check.good ? "MISSING " : check.warning ? "WARNING " : "ok      ";
    out += Styled(word, style, view.colour) +
           FitLine(fmt::format("{:<10}{}", check.name, check.text), {.width = 0}) + "\n";
    if (!check.good || check.warning)
      out += FitLine(fmt::format("{:<18}{}", "", check.remedy), {.width = 0}) + "\n";
  }
  return out;
}

}  // namespace culprit::cli
