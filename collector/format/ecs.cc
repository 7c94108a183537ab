// SPDX-License-Identifier: Apache-2.0
#include "collector/format/ecs.h"

#include "collector/detect/rules.h"
#include "collector/format/finding_words.h"
#include "collector/format/message_json.h"
#include "common/net_address.h"

namespace culprit {
namespace {

// Of 100, as Elastic's own rules have it for low, medium, high and critical.
int RiskOf(v1::Severity severity) {
  switch (severity) {
    case v1::SEVERITY_LOW:
      return 21;
    case v1::SEVERITY_MEDIUM:
      return 47;
    case v1::SEVERITY_HIGH:
      return 73;
    case v1::SEVERITY_CRITICAL:
      return 99;
    default:
      return 0;
  }
}

Json EventOf(const v1::Finding& finding) {
  Json event;
  event["kind"] = "alert";
  event["category"] = Json::array({"intrusion_detection", "network"});
  event["type"] = Json::array({"info"});
  event["id"] = finding.id();
  event["action"] = finding.rule();
  event["module"] = "culprit";
  event["dataset"] = "culprit.findings";
  event["severity"] = static_cast<int>(finding.severity());
  event["risk_score"] = RiskOf(finding.severity());
  event["reason"] = finding.reason();
  event["start"] = FormatRfc3339(finding.first_ns());
  event["end"] = FormatRfc3339(finding.last_ns());
  if (finding.stored_ns() != 0) event["created"] = FormatRfc3339(finding.stored_ns());
  return event;
}

Json RuleJson(const v1::Finding& finding) {
  const Rule& rule = RuleOf(finding.rule());
  Json out;
  out["id"] = finding.rule();
  out["name"] = *rule.title == '\0' ? finding.rule() : rule.title;
  out["version"] = std::to_string(finding.rule_version());
  out["ruleset"] = "culprit";
  return out;
}

Json ThreatOf(const v1::Finding& finding) {
  Json techniques = Json::array(), parts = Json::array();
  for (const std::string& id : finding.attack_ids()) {
    techniques.push_back(TechniqueOf(id));
    if (TechniqueOf(id) != id) parts.push_back(id);
  }
  Json threat;
  threat["framework"] = "MITRE ATT&CK";
  threat["technique"]["id"] = std::move(techniques);
  if (!parts.empty()) threat["technique"]["subtechnique"]["id"] = std::move(parts);
  return threat;
}

Json ProcessOf(const v1::Finding& finding) {
  Json process;
  process["entity_id"] = finding.process_id();
  if (finding.pid() != 0) process["pid"] = finding.pid();
  SetText(&process, "executable", finding.exe());
  SetText(&process, "name", FileNameOf(finding.exe()));
  SetText(&process, "command_line", finding.command_line());
  if (!finding.user().empty()) process["user"]["name"] = finding.user();
  return process;
}

void AddRelated(const v1::Finding& finding, Json* out) {
  Json addresses = Json::array(), names = Json::array(), users = Json::array();
  for (const v1::Target& target : finding.targets()) {
    if (IpAddress::Parse(target.address())) addresses.push_back(target.address());
    if (!target.name().empty()) names.push_back(target.name());
  }
  const std::string& from = finding.session().address();
  if (IpAddress::Parse(from)) addresses.push_back(from);
  if (!finding.host().empty()) names.push_back(finding.host());
  if (!finding.user().empty()) users.push_back(finding.user());
  const std::string& login = finding.session().user();
  if (!login.empty() && login != finding.user()) users.push_back(login);
  Json related;
  if (!addresses.empty()) related["ip"] = std::move(addresses);
  if (!names.empty()) related["hosts"] = std::move(names);
  if (!users.empty()) related["user"] = std::move(users);
  if (!related.is_null()) (*out)["related"] = std::move(related);
}

// The busiest target; all of them are in `related` and below `culprit`.
void AddDestination(const v1::Finding& finding, Json* out) {
  if (finding.targets_size() == 0) return;
  const v1::Target& target = finding.targets(0);
  Json destination;
  SetText(&destination, "address", target.address().empty() ? target.name() : target.address());
  SetIp(&destination, target.address());
  SetText(&destination, "domain", target.name());
  if (target.port() != 0) destination["port"] = target.port();
  if (!destination.is_null()) (*out)["destination"] = std::move(destination);
}

Json OwnOf(const v1::Finding& finding) {
  Json own;
  own["state"] = WordOf(finding.state());
  SetText(&own, "state_by", finding.state_by());
  SetText(&own, "state_reason", finding.state_reason());
  own["severity"] = WordOf(finding.severity());
  own["confidence"] = WordOf(finding.confidence());
  own["weights"] = ListOf(finding.weights());
  own["ancestry"] = ListOf(finding.ancestry());
  own["flow_ids"] = ListOf(finding.flow_ids());
  own["measures"] = MeasuresOf(finding);
  Json targets = Json::array();
  for (const v1::Target& target : finding.targets()) {
    Json one = TargetDetails(target);
    SetText(&one, "address", target.address());
    SetText(&one, "name", target.name());
    if (target.port() != 0) one["port"] = target.port();
    targets.push_back(std::move(one));
  }
  own["targets"] = std::move(targets);
  if (finding.has_session()) {
    Json& session = own["session"];
    session["id"] = finding.session().session_id();
    SetText(&session, "user", finding.session().user());
    SetText(&session, "address", finding.session().address());
    SetText(&session, "method", finding.session().method());
    SetText(&session, "key_fingerprint", finding.session().key_fingerprint());
  }
  return own;
}

}  // namespace

std::string EcsFinding(const v1::Finding& finding) {
  Json out;
  out["@timestamp"] = FormatRfc3339(finding.trigger_ns());
  out["ecs"]["version"] = kEcsVersion;
  out["message"] = finding.reason();
  out["event"] = EventOf(finding);
  out["rule"] = RuleJson(finding);
  out["threat"] = ThreatOf(finding);
  out["agent"]["id"] = finding.agent_id();
  out["agent"]["type"] = "culprit-agent";
  SetText(&out["host"], "name", finding.host());
  out["host"]["id"] = finding.agent_id();
  out["process"] = ProcessOf(finding);
  if (!finding.user().empty()) out["user"]["name"] = finding.user();
  if (!finding.session().address().empty()) {
    out["source"]["address"] = finding.session().address();
    SetIp(&out["source"], finding.session().address());
  }
  AddDestination(finding, &out);
  AddRelated(finding, &out);
  out["culprit"] = OwnOf(finding);
  return Dump(out);
}

}  // namespace culprit
