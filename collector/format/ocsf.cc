// SPDX-License-Identifier: Apache-2.0
#include "collector/format/ocsf.h"

#include <spdlog/fmt/fmt.h>

#include "collector/detect/rules.h"
#include "collector/format/finding_words.h"
#include "collector/format/message_json.h"

namespace culprit {
namespace {

constexpr int kCategory = 2, kClass = 2004;
constexpr std::int64_t kNsPerMs = 1'000'000;

struct Label {
  int id = 0;
  const char* caption = "Unknown";
};

Label SeverityOf(const v1::Finding& finding) {
  switch (finding.severity()) {
    case v1::SEVERITY_LOW:
      return {2, "Low"};
    case v1::SEVERITY_MEDIUM:
      return {3, "Medium"};
    case v1::SEVERITY_HIGH:
      return {4, "High"};
    case v1::SEVERITY_CRITICAL:
      return {5, "Critical"};
    default:
      return {};
  }
}

Label ConfidenceOf(const v1::Finding& finding) {
  switch (finding.confidence()) {
    case v1::CONFIDENCE_LOW:
      return {1, "Low"};
    case v1::CONFIDENCE_MEDIUM:
      return {2, "Medium"};
    case v1::CONFIDENCE_HIGH:
      return {3, "High"};
    default:
      return {};
  }
}

Label StatusOf(const v1::Finding& finding) {
  switch (finding.state()) {
    case v1::FINDING_STATE_OPEN:
      return {1, "New"};
    case v1::FINDING_STATE_ACKNOWLEDGED:
      return {2, "In Progress"};
    case v1::FINDING_STATE_FALSE_POSITIVE:
      return {3, "Suppressed"};
    case v1::FINDING_STATE_CLOSED:
      return {4, "Resolved"};
    default:
      return {};
  }
}

const char* NameOf(OcsfActivity activity) {
  if (activity == OcsfActivity::kCreate) return "Create";
  return activity == OcsfActivity::kUpdate ? "Update" : "Close";
}

Json AttacksOf(const v1::Finding& finding) {
  Json attacks = Json::array();
  for (const std::string& id : finding.attack_ids()) {
    Json attack;
    attack["technique"]["uid"] = TechniqueOf(id);
    if (TechniqueOf(id) != id) attack["sub_technique"]["uid"] = id;
    attacks.push_back(std::move(attack));
  }
  return attacks;
}

Json InfoOf(const v1::Finding& finding) {
  const Rule& rule = RuleOf(finding.rule());
  Json info;
  info["uid"] = finding.id();
  info["title"] = *rule.title == '\0' ? finding.rule() : rule.title;
  info["desc"] = finding.reason();
  info["types"] = Json::array({finding.rule()});
  Json& analytic = info["analytic"];
  analytic["uid"] = finding.rule();
  analytic["name"] = info["title"];
  analytic["version"] = std::to_string(finding.rule_version());
  analytic["type_id"] = 1;
  analytic["type"] = "Rule";
  info["attacks"] = AttacksOf(finding);
  info["first_seen_time"] = finding.first_ns() / kNsPerMs;
  info["last_seen_time"] = finding.last_ns() / kNsPerMs;
  if (finding.stored_ns() != 0) info["created_time"] = finding.stored_ns() / kNsPerMs;
  if (finding.state_ns() != 0) info["modified_time"] = finding.state_ns() / kNsPerMs;
  return info;
}

Json ProcessOf(const v1::Finding& finding) {
  Json process;
  process["uid"] = finding.process_id();
  if (finding.pid() != 0) process["pid"] = finding.pid();
  SetText(&process, "cmd_line", finding.command_line());
  if (!finding.exe().empty()) {
    process["name"] = FileNameOf(finding.exe());
    Json& file = process["file"];
    file["name"] = FileNameOf(finding.exe());
    file["path"] = finding.exe();
    file["type_id"] = 1;
    file["type"] = "Regular File";
  }
  if (!finding.user().empty()) process["user"]["name"] = finding.user();
  return process;
}

Json ActorOf(const v1::Finding& finding) {
  Json actor;
  actor["process"] = ProcessOf(finding);
  if (!finding.has_session()) return actor;
  const v1::FindingSession& login = finding.session();
  if (!login.user().empty()) actor["user"]["name"] = login.user();
  Json& session = actor["session"];
  session["uid"] = login.session_id();
  session["is_remote"] = !login.address().empty();
  SetText(&session, "credential_uid", login.key_fingerprint());
  SetText(&session, "issuer", login.method());
  return actor;
}

// The process and where it logged in from, then each target.
Json EvidencesOf(const v1::Finding& finding) {
  Json evidences = Json::array();
  Json who;
  who["actor"] = ActorOf(finding);
  Json from;
  SetIp(&from, finding.session().address());
  if (!from.is_null()) who["src_endpoint"] = std::move(from);
  evidences.push_back(std::move(who));
  for (const v1::Target& target : finding.targets()) {
    Json evidence;
    Json endpoint;
    SetIp(&endpoint, target.address());
    SetText(&endpoint, "hostname", target.name());
    if (endpoint.is_null()) continue;  // a port alone is no endpoint
    if (target.port() != 0) endpoint["port"] = target.port();
    evidence["dst_endpoint"] = std::move(endpoint);
    Json details = TargetDetails(target);
    if (!details.is_null()) evidence["data"] = std::move(details);
    evidences.push_back(std::move(evidence));
  }
  return evidences;
}

Json UnmappedOf(const v1::Finding& finding) {
  Json unmapped;
  unmapped["measures"] = MeasuresOf(finding);
  unmapped["weights"] = ListOf(finding.weights());
  unmapped["ancestry"] = ListOf(finding.ancestry());
  unmapped["flow_ids"] = ListOf(finding.flow_ids());
  unmapped["journal_lsn"] = finding.last_lsn();
  SetText(&unmapped, "state_by", finding.state_by());
  return unmapped;
}

}  // namespace

OcsfActivity OcsfActivityOf(const v1::Finding& finding) {
  switch (finding.state()) {
    case v1::FINDING_STATE_CLOSED:
    case v1::FINDING_STATE_FALSE_POSITIVE:
      return OcsfActivity::kClose;
    case v1::FINDING_STATE_ACKNOWLEDGED:
      return OcsfActivity::kUpdate;
    default:
      return OcsfActivity::kCreate;
  }
}

std::string OcsfFinding(const v1::Finding& finding, OcsfActivity activity) {
  const int activity_id = static_cast<int>(activity);
  const Label severity = SeverityOf(finding), status = StatusOf(finding),
              confidence = ConfidenceOf(finding);
  Json out;
  out["class_uid"] = kClass;
  out["class_name"] = "Detection Finding";
  out["category_uid"] = kCategory;
  out["category_name"] = "Findings";
  out["activity_id"] = activity_id;
  out["activity_name"] = NameOf(activity);
  out["type_uid"] = kClass * 100 + activity_id;
  out["type_name"] = std::string("Detection Finding: ") + NameOf(activity);
  out["time"] = finding.trigger_ns() / kNsPerMs;
  out["start_time"] = finding.first_ns() / kNsPerMs;
  out["end_time"] = finding.last_ns() / kNsPerMs;
  out["severity_id"] = severity.id;
  out["severity"] = severity.caption;
  out["status_id"] = status.id;
  out["status"] = status.caption;
  SetText(&out, "comment", finding.state_reason());
  out["confidence_id"] = confidence.id;
  out["confidence"] = confidence.caption;
  out["message"] = finding.reason();
  Json& metadata = out["metadata"];
  metadata["version"] = kOcsfVersion;
  // An event of its own for each of its states: the finding has its id in finding_info.
  metadata["uid"] = fmt::format("{}-{}-{}-{}", finding.id(), activity_id, finding.last_lsn(),
                                finding.state_ns());
  metadata["correlation_uid"] = finding.id();
  metadata["profiles"] = Json::array({"host"});
  metadata["product"]["name"] = "Culprit";
  metadata["product"]["vendor_name"] = "Culprit";
  out["device"]["uid"] = finding.agent_id();
  SetText(&out["device"], "hostname", finding.host());
  out["device"]["type_id"] = 0;
  out["finding_info"] = InfoOf(finding);
  out["evidences"] = EvidencesOf(finding);
  out["unmapped"] = UnmappedOf(finding);
  return Dump(out);
}

}  // namespace culprit
