// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol_finding.h"

#include <spdlog/fmt/fmt.h>

#include "common/hex.h"
#include "common/log.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kIdDigits = 16;

}  // namespace

v1::Finding FindingOf(const SecondEnrolment& second) {
  const EnrolledHost& host = second.before;
  v1::Finding finding;
  const std::string seed = "re-enrolment " + host.host_id + " " + host.key;
  finding.set_id(HexEncode(AsBytes(Sha256Of(seed))).substr(0, kIdDigits));
  finding.set_rule("re-enrolment");
  finding.set_rule_version(1);
  const bool revoked = ToNs(host.revoked) != 0;
  finding.set_severity(second.accepted ? v1::SEVERITY_LOW
                       : revoked       ? v1::SEVERITY_HIGH
                                       : v1::SEVERITY_MEDIUM);
  finding.set_confidence(v1::CONFIDENCE_MEDIUM);
  finding.set_agent_id(host.agent_id.ToString());
  finding.set_host(host.name);
  finding.set_process_id(std::string(16, '0'));
  finding.set_subject("enrolment");
  finding.set_reason(fmt::format(
      "{} asked to enrol as {}, which had enrolled at {}, with another key and the proof {}: {}. "
      "Either the host was reinstalled, or somebody plays it.",
      second.peer, host.host_id, FormatUtc(host.enrolled), second.proof,
      second.accepted ? "let in, as an operator had allowed"
      : revoked       ? "refused, the host was revoked"
                      : "refused"));
  finding.add_attack_ids("T1078");
  finding.set_first_ns(ToNs(second.at));
  finding.set_last_ns(ToNs(second.at));
  finding.set_trigger_ns(ToNs(second.at));
  finding.set_state(v1::FINDING_STATE_OPEN);
  return finding;
}

void ReportSecondEnrolment(const SecondEnrolment& second, FindingStore* findings) {
  Status kept = findings->Put(FindingOf(second), second.at);
  if (kept) kept = findings->Commit(findings->committed());
  if (!kept) {
    spdlog::error("finding not stored host={} why=\"{}\"", second.before.host_id,
                  kept.error().message);
  }
}

}  // namespace culprit
