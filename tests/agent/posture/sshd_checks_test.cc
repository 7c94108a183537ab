// SPDX-License-Identifier: Apache-2.0
// Each check of a configuration: what sets it off, where, how bad, and that its fix ends it.
#include <gtest/gtest.h>

#include "agent/posture/drop_in.h"
#include "tests/agent/posture/posture_fixture.h"

namespace culprit {
namespace {

struct Case {
  const char* config;
  const char* id;
  Severity severity;
};

constexpr Case kCases[] = {
    {"PasswordAuthentication yes", "cfg.password_auth", Severity::kCritical},
    {"KbdInteractiveAuthentication yes\nUsePAM yes", "cfg.password_auth", Severity::kCritical},
    {"PermitEmptyPasswords yes", "cfg.empty_passwords", Severity::kCritical},
    {"PermitRootLogin yes", "cfg.root_login", Severity::kHigh},
    {"PermitRootLogin prohibit-password", "cfg.root_login", Severity::kLow},
    {"PermitRootLogin forced-commands-only", "cfg.root_forced_only", Severity::kInfo},
    {"PubkeyAuthentication no", "cfg.pubkey_off", Severity::kInfo},
    {"HostbasedAuthentication yes", "cfg.hostbased", Severity::kHigh},
    {"IgnoreRhosts no\nHostbasedAuthentication yes", "cfg.ignore_rhosts", Severity::kHigh},
    {"IgnoreRhosts shosts-only", "cfg.ignore_rhosts", Severity::kLow},
    {"PermitUserEnvironment LANG*", "cfg.permit_user_env", Severity::kHigh},
    {"StrictModes no", "cfg.strictmodes", Severity::kHigh},
    {"AllowTcpForwarding yes", "cfg.tcp_forwarding", Severity::kMedium},
    {"AllowTcpForwarding local", "cfg.tcp_forwarding", Severity::kMedium},
    {"PermitOpen any", "cfg.permitopen_any", Severity::kMedium},
    {"PermitListen any", "cfg.permitopen_any", Severity::kMedium},
    {"GatewayPorts clientspecified", "cfg.gateway_ports", Severity::kMedium},
    {"PermitTunnel point-to-point", "cfg.tunnel", Severity::kMedium},
    {"AllowAgentForwarding yes", "cfg.agent_fwd", Severity::kLow},
    {"X11Forwarding yes", "cfg.x11", Severity::kLow},
    {"AllowStreamLocalForwarding yes", "cfg.streamlocal", Severity::kLow},
    {"LogLevel INFO", "cfg.loglevel", Severity::kMedium},
    {"LogLevel QUIET", "cfg.loglevel", Severity::kHigh},
    {"MaxAuthTries 5", "cfg.maxauthtries", Severity::kLow},
    {"LoginGraceTime 0", "cfg.logingrace", Severity::kLow},
    {"LoginGraceTime 61", "cfg.logingrace", Severity::kLow},
    {"MaxStartups 11", "cfg.maxstartups", Severity::kLow},
    {"MaxSessions 11", "cfg.maxsessions", Severity::kLow},
    {"ClientAliveInterval 301", "cfg.clientalive", Severity::kLow},
    {"RequiredRSASize 2047", "cfg.rsa_min", Severity::kMedium},
    {"KexAlgorithms +diffie-hellman-group1-sha1", "cfg.kex", Severity::kHigh},
    {"KexAlgorithms curve25519-sha256", "cfg.kex_pq", Severity::kInfo},
    {"Ciphers +aes128-cbc", "cfg.ciphers", Severity::kHigh},
    {"MACs hmac-md5", "cfg.macs", Severity::kHigh},
    {"MACs hmac-sha1", "cfg.macs", Severity::kLow},
    {"HostKeyAlgorithms +ssh-rsa", "cfg.hostkeyalgs", Severity::kHigh},
    {"PubkeyAcceptedAlgorithms +ssh-dss", "cfg.pubkeyalgs", Severity::kHigh},
    {"TrustedUserCAKeys /etc/ssh/ca.pub", "cfg.trusted_ca", Severity::kMedium},
};

using SshdChecksTest = PostureTest;

TEST_F(SshdChecksTest, AWeakValueIsFoundWhereItStands) {
  for (const Case& test : kCases) {
    Config(test.config);
    const PostureReport report = Scan();
    const PostureFinding* finding = Find(report, test.id, "/etc/ssh/sshd_config:2");
    ASSERT_NE(finding, nullptr) << test.config;
    EXPECT_EQ(finding->severity, test.severity) << test.config << ": " << finding->reason;
    EXPECT_EQ(finding->evidence[0].text,
              std::string(test.config).substr(0, std::string(test.config).find('\n')));
  }
}

TEST_F(SshdChecksTest, AFixInTheDropInEndsTheFindingAndSshdWouldTakeIt) {
  for (const Case& test : kCases) {
    tree_.Remove("/etc/ssh/sshd_config.d/00-culprit.conf");
    Config(test.config);
    const PostureReport before = Scan();
    const PostureFinding* finding = Find(before, test.id, "/etc/ssh/sshd_config:2");
    ASSERT_NE(finding, nullptr) << test.config;
    if (finding->fix.text.empty()) {
      EXPECT_FALSE(finding->fix.note.empty()) << test.config;
      continue;
    }
    ASSERT_EQ(before.drop_in, "/etc/ssh/sshd_config.d/00-culprit.conf");
    EXPECT_EQ(before.drop_in_note, "");
    tree_.Write(before.drop_in, finding->fix.text + "\n");
    const PostureReport after = Scan();
    const PostureFinding* still = Find(after, test.id, "/etc/ssh/sshd_config:2");
    EXPECT_EQ(still, nullptr) << test.config;
    EXPECT_EQ(Find(after, "cfg.parse_error"), nullptr) << finding->fix.text;
  }
}

TEST_F(SshdChecksTest, AllFixesTogetherEndAllThatTheyAreFor) {
  tree_.MakeFolder("/etc/ssh");
  Config(
      "PasswordAuthentication yes\nX11Forwarding yes\nMatch User alice\nPermitTTY no\nLogLevel "
      "QUIET\n");
  const PostureReport before = Scan();
  tree_.Write(before.drop_in, AllFixes(before.findings));
  for (const PostureFinding& finding : Scan().findings) {
    if (finding.id == "cfg.shadowed" || finding.severity == Severity::kInfo) continue;
    EXPECT_TRUE(finding.fix.text.empty()) << finding.id << " by " << finding.evidence[0].text;
  }
}

TEST_F(SshdChecksTest, AMatchBlockThatWeakensIsNamedWithTheOneWhomItLetsIn) {
  Config(
      "PasswordAuthentication no\nMatch User alice Address 203.0.113.0/24\nPasswordAuthentication "
      "yes\n");
  const PostureReport report = Scan();
  const PostureFinding* finding = Find(report, "cfg.match_weaker", "/etc/ssh/sshd_config:4");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->severity, Severity::kCritical);
  EXPECT_EQ(finding->contexts, std::vector<std::string>{"alice from public (203.0.113.0)"});
  EXPECT_EQ(finding->evidence[1].origin.ToString(), "/etc/ssh/sshd_config:3");
  EXPECT_EQ(finding->fix.text,
            "Match User alice Address 203.0.113.0/24\n    PasswordAuthentication no");
  tree_.Write(report.drop_in, finding->fix.text + "\n");
  EXPECT_EQ(Find(Scan(), "cfg.match_weaker"), nullptr);
}

TEST_F(SshdChecksTest, WhoCannotLogInAnywayIsNotCounted) {
  Config(
      "PasswordAuthentication yes\nAllowUsers bob\n");  // bob's password is locked, alice has one
  const PostureReport report = Scan();
  const PostureFinding* finding = Find(report, "cfg.password_auth");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->contexts, std::vector<std::string>{"everybody"});
  Config("PasswordAuthentication yes\nDenyUsers bob\n");
  const PostureReport denied = Scan();
  EXPECT_TRUE(Concerns(*Find(denied, "cfg.password_auth"), "alice from public"));
  for (const PolicyEntry& entry : denied.policy) {
    EXPECT_EQ(entry.admitted, entry.user != "bob");
    EXPECT_EQ(entry.refused_by,
              entry.user == "bob" ? "DenyUsers bob (/etc/ssh/sshd_config:3)" : "");
  }
}

TEST_F(SshdChecksTest, APasswordBesideAKeyIsNotAPasswordAlone) {
  Config("PasswordAuthentication yes\nAuthenticationMethods publickey,password\n");
  EXPECT_EQ(Find(Scan(), "cfg.password_auth"), nullptr);
  Config("PasswordAuthentication yes\nAuthenticationMethods publickey password\n");
  EXPECT_NE(Find(Scan(), "cfg.password_auth"), nullptr);
}

TEST_F(SshdChecksTest, AMatchBlockThatNobodyMeetsIsNamed) {
  const std::pair<const char*, bool> kTable[] = {
      {"Match User !alice", true},         {"Match User *,!alice", false},
      {"Match User carol", true},          {"Match User carol,alice", false},
      {"Match Group wheel", true},         {"Match Group staff", false},
      {"Match Address !10.0.0.0/8", true}, {"Match all", false}};
  for (const auto& [match, never] : kTable) {
    Config(std::string(match) + "\nPermitTTY no\n");
    EXPECT_EQ(Find(Scan(), "cfg.match_never", "/etc/ssh/sshd_config:2") != nullptr, never) << match;
  }
}

TEST_F(SshdChecksTest, HardeningThatStandsTooLateIsDeadAndALateWeaknessIsNoMatter) {
  tree_.Write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication yes\n");
  Config("PasswordAuthentication no\nPermitRootLogin no\nPermitRootLogin yes\n");
  const PostureReport report = Scan();
  const PostureFinding* dead = Find(report, "cfg.shadowed", "/etc/ssh/sshd_config:2");
  ASSERT_NE(dead, nullptr);
  EXPECT_EQ(dead->severity, Severity::kMedium);
  EXPECT_EQ(dead->evidence[1].origin.ToString(), "/etc/ssh/sshd_config.d/50-cloud-init.conf:1");
  EXPECT_EQ(Find(report, "cfg.shadowed", "/etc/ssh/sshd_config:4")->severity, Severity::kInfo);
}

TEST_F(SshdChecksTest, WhatSshdWouldRefuseIsFoundBeforeTheRestart) {
  Config("PasswordAuthentication no yes\n");
  const PostureReport report = Scan();
  ASSERT_NE(Find(report, "cfg.parse_error", "/etc/ssh/sshd_config:2"), nullptr);
}

TEST_F(SshdChecksTest, ADropInThatIsNotReadFirstSaysWhatItNeeds) {
  tree_.Write("/etc/ssh/sshd_config", "X11Forwarding yes\n");
  EXPECT_EQ(
      Scan().drop_in_note,
      "make \"Include /etc/ssh/sshd_config.d/*.conf\" the first line of /etc/ssh/sshd_config");
  Config("");
  tree_.Write("/etc/ssh/sshd_config.d/00-a.conf", "X11Forwarding yes\n");
  const PostureReport report = Scan();
  EXPECT_LT(report.drop_in, "/etc/ssh/sshd_config.d/00-a.conf");
  tree_.Write(report.drop_in, Find(report, "cfg.x11")->fix.text + "\n");
  EXPECT_EQ(Find(Scan(), "cfg.x11"), nullptr);
}

}  // namespace
}  // namespace culprit
