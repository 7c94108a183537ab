// SPDX-License-Identifier: Apache-2.0
// Findings, alerts and targets of tests.
#ifndef CULPRIT_TESTS_COLLECTOR_ALERT_ALERT_BUILDER_H_
#define CULPRIT_TESTS_COLLECTOR_ALERT_ALERT_BUILDER_H_

#include <string>

#include "collector/alert/alert_target.h"

namespace culprit::testing {

constexpr std::int64_t kStart = 1'772'323'200'000'000'000;  // 2026-03-01T00:00:00Z
constexpr std::int64_t kSecond = 1'000'000'000;

inline v1::Finding MakeFinding(const std::string& id = "4f1c09a2b7d3e865",
                               v1::Severity severity = v1::SEVERITY_HIGH) {
  v1::Finding finding;
  finding.set_id(id);
  finding.set_rule("ssh-relay");
  finding.set_rule_version(1);
  finding.set_severity(severity);
  finding.set_confidence(v1::CONFIDENCE_HIGH);
  finding.set_state(v1::FINDING_STATE_OPEN);
  finding.set_agent_id("7b0f5f4e-0000-4000-8000-000000000001");
  finding.set_host("web-1");
  finding.set_process_id("9f86d081884c7d65");
  finding.set_pid(815);
  finding.set_exe("/usr/sbin/sshd");
  finding.set_command_line("sshd: alice");
  finding.set_user("alice");
  finding.add_ancestry("700 /usr/sbin/sshd -D");
  finding.set_reason("the sshd of a login connects to 3 destinations by itself");
  finding.set_first_ns(kStart);
  finding.set_last_ns(kStart + 60 * kSecond);
  finding.set_trigger_ns(kStart + 2 * kSecond);
  finding.set_stored_ns(kStart + 3 * kSecond);
  finding.set_last_lsn(77);
  finding.set_subject(id);
  finding.add_flow_ids("00000000000000ff");
  finding.add_weights("its executable is deleted");
  finding.add_attack_ids("T1572");
  finding.add_attack_ids("T1090.002");
  v1::FindingSession& session = *finding.mutable_session();
  session.set_session_id("9f86d081884c7d66");
  session.set_user("alice");
  session.set_address("203.0.113.5");
  session.set_method("publickey");
  session.set_key_fingerprint("SHA256:abc");
  v1::Measure& measure = *finding.add_measures();
  measure.set_name("relayed");
  measure.set_value(2.5e9);
  measure.set_threshold(1e7);
  measure.set_unit("B");
  v1::Target& target = *finding.add_targets();
  target.set_address("2001:db8::9");
  target.set_port(443);
  target.set_name("files.example");
  target.set_region("me-south-1");
  target.set_service("EC2");
  target.set_tx_bytes(2'500'000'000);
  return finding;
}

inline v1::Alert MakeAlert(const v1::Finding& finding,
                           v1::AlertEvent event = v1::ALERT_EVENT_OPENED) {
  v1::Alert alert;
  alert.set_event(event);
  alert.set_key(finding.id() + "-key");
  alert.set_queued_ns(kStart + 4 * kSecond + 123'456'789);
  *alert.mutable_finding() = finding;
  return alert;
}

// What a host may write: quotes, lines, an escape sequence, names of channels, markup.
inline v1::Finding MakeHostileFinding() {
  v1::Finding finding = MakeFinding();
  const std::string evil = "a\"b\\c\n<!channel> @channel `x` ]\x1b[2J\xe2\x80\xae&\x7f";
  finding.set_host(evil);
  finding.set_exe("/tmp/" + evil);
  finding.set_command_line(evil);
  finding.set_reason(evil);
  finding.set_user(evil);
  finding.mutable_session()->set_user(evil);
  finding.mutable_session()->set_address(evil);
  finding.mutable_targets(0)->set_name(evil);
  finding.mutable_targets(0)->set_address(evil);
  return finding;
}

inline AlertTarget MakeTarget(const std::string& name, const std::string& kind = "webhook") {
  AlertTarget target;
  target.name = name;
  target.kind = kind;
  target.timeout = std::chrono::milliseconds(2000);
  return target;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_ALERT_ALERT_BUILDER_H_
