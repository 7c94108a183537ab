// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "tests/collector/cli/golden.h"

namespace culprit::cli {
namespace {

constexpr std::int64_t kStart = 1'772'323'200'000'000'000;  // 2026-03-01T00:00:00Z

v1::Finding Relay() {
  v1::Finding finding;
  finding.set_id("4f1c09a2b7d3e865");
  finding.set_rule("ssh-relay");
  finding.set_rule_version(1);
  finding.set_severity(v1::SEVERITY_HIGH);
  finding.set_confidence(v1::CONFIDENCE_HIGH);
  finding.set_state(v1::FINDING_STATE_FALSE_POSITIVE);
  finding.set_state_by("operator");
  finding.set_state_reason("our jump host\x1b[2J");
  finding.set_host("web-1");
  finding.set_process_id("9f86d081884c7d65");
  finding.set_pid(815);
  finding.set_exe("/usr/sbin/sshd");
  finding.set_command_line("sshd: alice");
  finding.add_ancestry("700 /usr/sbin/sshd -D");
  finding.set_reason("the sshd of a login connects to 3 destinations by itself");
  finding.set_first_ns(kStart);
  finding.set_last_ns(kStart + 60'000'000'000);
  finding.add_weights("its executable is deleted (+2)");
  finding.set_base_severity(v1::SEVERITY_MEDIUM);
  finding.set_exe_sha256(std::string(64, 'a'));
  v1::FindingCost& cost = *finding.mutable_cost();
  cost.set_micro_usd(1'530'000);
  cost.set_micro_usd_per_hour(2'200'000);
  cost.set_prices_date("2026-01-31");
  cost.set_unknown_bytes(2000);
  v1::CostShare& share = *cost.add_shares();
  share.set_way(v1::COST_WAY_INTER_REGION);
  share.set_from("ap-south-1");
  share.set_to("me-south-1");
  share.set_tx_bytes(17'800'000'000);
  share.set_rx_bytes(1'000'000);
  share.set_micro_usd(1'530'000);
  share.set_price_known(true);
  v1::CostShare& unknown = *cost.add_shares();
  unknown.set_to("private address of no host with an agent");
  unknown.set_tx_bytes(2000);
  finding.add_attack_ids("T1572");
  v1::FindingSession& session = *finding.mutable_session();
  session.set_session_id("9f86d081884c7d65");
  session.set_user("alice");
  session.set_address("203.0.113.5");
  session.set_method("publickey");
  session.set_key_fingerprint("SHA256:abc");
  session.set_failures_before(3);
  v1::Measure& measure = *finding.add_measures();
  measure.set_name("relayed");
  measure.set_value(2.5e9);
  measure.set_threshold(1e7);
  measure.set_unit("B");
  v1::Target& target = *finding.add_targets();
  target.set_address("2001:db8::9");
  target.set_port(443);
  target.set_region("me-south-1");
  target.set_service("EC2");
  target.set_tx_bytes(1000);
  return finding;
}

TEST(FindingViewTest, OneFindingIsTheWholeStory) {
  testing::ExpectGolden("finding", RenderFinding(Relay(), testing::Wide()));
}

TEST(FindingViewTest, ManyFindingsAreALineEach) {
  testing::ExpectGolden("findings_100", RenderFindings({Relay(), Relay()}, testing::Terminal(100)));
}

TEST(FindingViewTest, JsonSaysEnumsAsWordsAndNumbersAsNumbers) {
  const std::string json = ToJson(Relay());
  for (const char* part : {R"("severity":"high")", R"("state":"false positive")",
                           R"("value":2500000000)", R"("first_time":"2026-03-01T00:00:00Z")"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << " in " << json;
  }
  EXPECT_EQ(json.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace culprit::cli
