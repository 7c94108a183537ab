// SPDX-License-Identifier: Apache-2.0
// What to do next, in the order of AWS's own playbooks, with the names that this incident has.
#include <fmt/format.h>

#include <set>

#include "collector/report/outline.h"

namespace culprit::report {
namespace {

std::set<std::string> SessionKeys(const Incident& incident) {
  std::set<std::string> keys;
  for (const v1::GetSessionResponse& session : incident.sessions)
    if (!session.login().key_fingerprint().empty()) keys.insert(session.login().key_fingerprint());
  return keys;
}

std::string KeyStep(const Incident& incident) {
  const std::set<std::string> used = SessionKeys(incident);
  std::string text = "Revoke the keys that opened the door";
  std::string places;
  std::uint32_t hosts = 0;
  for (const v1::KeyRow& row : incident.keys) {
    if (!used.contains(row.key().fingerprint())) continue;
    places += fmt::format("{}{} in {}:{}", places.empty() ? ": " : "; ", row.key().fingerprint(),
                          row.key().path(), row.key().line());
    hosts = std::max(hosts, row.hosts());
  }
  if (places.empty())
    for (const std::string& key : used) places += (places.empty() ? ": " : "; ") + key;
  text += places + ".";
  if (hosts > 1)
    text += fmt::format(" They open accounts on {} hosts: `culprit keys` names them.", hosts);
  return text + " Delete the EC2 key pair, and change passwords that were guessed.";
}

std::string ReplaceStep(const Incident& incident) {
  std::string text = "Replace the host from an image that is new or older than the first login";
  CloudFacts cloud = incident.cloud;
  if (cloud.instance_id.empty()) cloud.instance_id = incident.host.instance_id();
  if (!cloud.told && !cloud.instance_id.starts_with("i-")) return text + ".";
  const RelaunchAdvice advice = AdviseRelaunch(cloud);
  text += "; " + advice.text;
  if (!advice.remedy.empty()) text += ". To do: " + advice.remedy;
  return text + ".";
}

}  // namespace

Section StepsSection(const Incident& incident) {
  const std::string host =
      incident.host.instance_id().empty() ? incident.host.hostname() : incident.host.instance_id();
  Items steps{{}, true};
  steps.items.push_back(
      "Isolate: put a security group on " + host +
      " that admits nothing and lets out nothing but the collector. Do not stop it yet: memory and "
      "connections go with it.");
  steps.items.push_back(
      "Preserve: make an EBS snapshot of every volume, then run `culprit teardown " + host +
      " --disk-snapshot snap-…`, which says when it is safe to terminate.");
  steps.items.push_back(KeyStep(incident));
  steps.items.emplace_back(
      "Rotate what the host could read: revoke the sessions of its instance role, replace access "
      "keys, database passwords and tokens on it; look in CloudTrail for calls by its role since "
      "the "
      "first login above.");
  steps.items.emplace_back(
      "Close the way in: no SSH from 0.0.0.0/0 in any security group, SSM Session Manager or "
      "Instance Connect instead, no passwords; `culprit ssh` has the lines for sshd.");
  steps.items.emplace_back(
      "Look for the same elsewhere: the indicators above in `culprit who ADDRESS`, `culprit keys`, "
      "`culprit flows` over all hosts, and in VPC flow logs (`culprit join vpcflow`).");
  steps.items.push_back(ReplaceStep(incident));
  steps.items.emplace_back(
      "Answer AWS within 24 hours (`culprit answer REPORT` matches its report with the evidence), "
      "and "
      "ask Support about the transfer charges.");
  return {"What to do next", {std::move(steps)}};
}

}  // namespace culprit::report
