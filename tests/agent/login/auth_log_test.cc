// SPDX-License-Identifier: Apache-2.0
#include "agent/login/auth_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culprit {
namespace {

constexpr const char* kFp = "SHA256:nu5a7kptJrjd0fdW5quHqRhI1Sf89RDa00oyBl1QTR0";
constexpr const char* kCa = "SHA256:2hU0QLN9Yj0vXy2ZkO4kYkq9SeEUQKpGyVbHqKp1a9Q";

// 2026-03-01T12:00:00Z
AuthLogClock Noon() { return {WallTimeFromNs(1'772'366'400'000'000'000), {}}; }

std::optional<LoginLine> Message(const std::string& message) {
  return ParseAuthLine(message, AuthLogForm::kMessages, Noon());
}

Endpoint From(const char* text) { return Endpoint::Parse(text).value(); }

struct Case {
  std::string message;
  LoginLineKind kind;
  std::string user, method, from;  // from: empty = none
  bool invalid = false, ambiguous = false;
};

// What sshd of OpenSSH 9.2 (Debian 12) and of 9.8 and later writes; the messages are the same, the
// program is another.
std::vector<Case> Cases() {
  const std::string fp = kFp;
  return {
      {"Accepted password for bob from 192.0.2.1 port 33478 ssh2", LoginLineKind::kAccepted, "bob",
       "password", "192.0.2.1:33478"},
      {"Accepted publickey for alice from 2001:db8::1 port 50044 ssh2: ED25519 " + fp,
       LoginLineKind::kAccepted, "alice", "publickey", "[2001:db8::1]:50044"},
      {"Accepted keyboard-interactive/pam for bob from 192.0.2.1 port 33478 ssh2",
       LoginLineKind::kAccepted, "bob", "keyboard-interactive/pam", "192.0.2.1:33478"},
      {"Accepted hostbased for bob from 192.0.2.1 port 1 ssh2: RSA " + fp +
           ", client user \"bob\", client host \"a.example\"",
       LoginLineKind::kAccepted, "bob", "hostbased", "192.0.2.1:1"},
      {"Accepted gssapi-with-mic for bob from 192.0.2.1 port 22022 ssh2", LoginLineKind::kAccepted,
       "bob", "gssapi-with-mic", "192.0.2.1:22022"},
      {"Accepted publickey for alice from fe80::1%eth0 port 9 ssh2: RSA " + fp,
       LoginLineKind::kAccepted, "alice", "publickey", "[fe80::1]:9"},
      {"Failed password for root from 203.0.113.7 port 40112 ssh2", LoginLineKind::kFailed, "root",
       "password", "203.0.113.7:40112"},
      {"Failed password for invalid user admin from 203.0.113.7 port 40112 ssh2",
       LoginLineKind::kFailed, "admin", "password", "203.0.113.7:40112", true},
      {"Failed publickey for alice from 203.0.113.7 port 40112 ssh2: ED25519 " + fp,
       LoginLineKind::kFailed, "alice", "publickey", "203.0.113.7:40112"},
      {"Failed none for invalid user  from 203.0.113.7 port 40112 ssh2", LoginLineKind::kFailed, "",
       "none", "203.0.113.7:40112", true},
      {"Invalid user admin from 203.0.113.7 port 40112", LoginLineKind::kInvalidUser, "admin",
       "invalid user", "203.0.113.7:40112", true},
      {"Invalid user  from 203.0.113.7 port 40112", LoginLineKind::kInvalidUser, "", "invalid user",
       "203.0.113.7:40112", true},
      {"error: maximum authentication attempts exceeded for root from 203.0.113.7 port 40112 ssh2 "
       "[preauth]",
       LoginLineKind::kTooMany, "root", "too many", "203.0.113.7:40112"},
      {"error: maximum authentication attempts exceeded for invalid user x y from 203.0.113.7 port "
       "40112 ssh2 [preauth]",
       LoginLineKind::kTooMany, "x y", "too many", "203.0.113.7:40112", true},
      {"Connection closed by 203.0.113.7 port 40112 [preauth]", LoginLineKind::kClosed, "",
       "closed", "203.0.113.7:40112"},
      {"Connection closed by authenticating user root 203.0.113.7 port 40112 [preauth]",
       LoginLineKind::kClosed, "root", "closed", "203.0.113.7:40112"},
      {"Connection reset by invalid user admin 203.0.113.7 port 40112 [preauth]",
       LoginLineKind::kClosed, "admin", "closed", "203.0.113.7:40112", true},
      {"Disconnected from authenticating user root 203.0.113.7 port 40112 [preauth]",
       LoginLineKind::kClosed, "root", "closed", "203.0.113.7:40112"},
      // None of these lets anybody in, or tells that somebody was kept out.
      {"Postponed publickey for alice from 192.0.2.1 port 33472 ssh2 [preauth]",
       LoginLineKind::kOther, "", "", ""},
      {"Partial publickey for alice from 192.0.2.1 port 33472 ssh2: ED25519 " + fp,
       LoginLineKind::kOther, "", "", ""},
      {"Server listening on 0.0.0.0 port 22.", LoginLineKind::kOther, "", "", ""},
      {"Connection from 192.0.2.1 port 33472 on 192.0.2.2 port 22 rdomain \"\"",
       LoginLineKind::kOther, "", "", ""},
      {"User child is on pid 8924", LoginLineKind::kOther, "", "", ""},
      {"pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
       LoginLineKind::kOther, "", "", ""},
      {"Disconnected from user alice 192.0.2.1 port 33472", LoginLineKind::kOther, "", "", ""},
      {"Connection closed by 192.0.2.1 port 33478", LoginLineKind::kOther, "", "", ""},
      {"Received disconnect from 192.0.2.1 port 33472:11: disconnected by user",
       LoginLineKind::kOther, "", "", ""},
  };
}

TEST(AuthLogTest, ReadsWhatSshdWrites) {
  for (const Case& c : Cases()) {
    const auto line = Message(c.message);
    ASSERT_TRUE(line) << c.message;
    EXPECT_EQ(line->kind, c.kind) << c.message;
    if (c.kind == LoginLineKind::kOther) continue;
    EXPECT_EQ(line->user, c.user) << c.message;
    EXPECT_EQ(line->method, c.method) << c.message;
    EXPECT_EQ(line->invalid_user, c.invalid) << c.message;
    EXPECT_EQ(line->ambiguous, c.ambiguous) << c.message;
    ASSERT_EQ(line->from.has_value(), !c.from.empty()) << c.message;
    if (line->from) {
      EXPECT_EQ(*line->from, From(c.from.c_str())) << c.message;
    }
  }
}

TEST(AuthLogTest, ReadsTheKeyOfALogin) {
  const auto line = Message("Accepted publickey for alice from 192.0.2.1 port 2 ssh2: ED25519-SK " +
                            std::string(kFp));
  ASSERT_TRUE(line);
  EXPECT_EQ(line->key_type, "ED25519-SK");
  EXPECT_EQ(line->key_fingerprint, kFp);
  EXPECT_TRUE(line->ca_fingerprint.empty());
}

TEST(AuthLogTest, ReadsACertificateWhateverItsIdSays) {
  for (const std::string id :
       {"alice@laptop", "", "x (serial 9) CA RSA SHA256:AAAAAAAA", "from 192.0.2.9 port 1 ssh2"}) {
    const auto line =
        Message("Accepted publickey for alice from 192.0.2.1 port 2 ssh2: ED25519-CERT " +
                std::string(kFp) + " ID " + id + " (serial 7) CA RSA " + kCa);
    ASSERT_TRUE(line) << id;
    EXPECT_EQ(line->kind, LoginLineKind::kAccepted) << id;
    EXPECT_EQ(line->certificate_id, id);
    EXPECT_EQ(line->certificate_serial, 7U);
    EXPECT_EQ(line->ca_fingerprint, kCa);
    EXPECT_EQ(line->from, From("192.0.2.1:2")) << id;
  }
}

TEST(AuthLogTest, ReadsWhereAKeyStands) {
  const auto line = Message("Accepted key ED25519 " + std::string(kFp) +
                            " found at /home/a b/.ssh/authorized_keys:12");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->kind, LoginLineKind::kKeyFound);
  EXPECT_EQ(line->key_fingerprint, kFp);
  EXPECT_EQ(line->key_found_at, "/home/a b/.ssh/authorized_keys:12");
}

// A name that was only tried may be anything, and may say where it comes from.
TEST(AuthLogTest, TakesNoAddressFromALineThatCanBeReadTwice) {
  const auto line = Message(
      "Failed password for invalid user x from 198.51.100.9 port 7 ssh2 from 203.0.113.7 port "
      "40112 "
      "ssh2");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->kind, LoginLineKind::kFailed);
  // The one reading whose end is the end of the line.
  ASSERT_TRUE(line->from);
  EXPECT_EQ(*line->from, From("203.0.113.7:40112"));
  EXPECT_EQ(line->user, "x from 198.51.100.9 port 7 ssh2");
  const auto twice =
      Message("Failed publickey for x from 198.51.100.9 port 7 ssh2: RSA-CERT " + std::string(kFp) +
              " ID a from 203.0.113.7 port 40112 ssh2: RSA-CERT " + std::string(kFp) +
              " ID b (serial 1) CA RSA " + kCa);
  ASSERT_TRUE(twice);
  EXPECT_TRUE(twice->ambiguous);
  EXPECT_FALSE(twice->from);
}

TEST(AuthLogTest, CountsRepeatedMessages) {
  const auto line = Message(
      "message repeated 5 times: [ Failed password for root from 203.0.113.7 port 40112 ssh2]");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->kind, LoginLineKind::kFailed);
  EXPECT_EQ(line->times, 5U);
  EXPECT_EQ(line->from, From("203.0.113.7:40112"));
}

TEST(AuthLogTest, KnowsTheProgramsThatTellOfLogins) {
  const std::string accepted = "Accepted password for bob from 192.0.2.1 port 33478 ssh2";
  for (const char* program : {"sshd", "sshd-session", "sshd-auth"}) {
    const auto line =
        ParseAuthLine("Mar  1 11:59:58 web-1 " + std::string(program) + "[812]: " + accepted,
                      AuthLogForm::kSyslog, Noon());
    ASSERT_TRUE(line) << program;
    EXPECT_EQ(line->kind, LoginLineKind::kAccepted) << program;
    EXPECT_EQ(line->pid, 812U);
  }
  EXPECT_FALSE(
      ParseAuthLine("Mar  1 11:59:58 web-1 sshdx[812]: " + accepted, AuthLogForm::kSyslog, Noon()));
  EXPECT_FALSE(
      ParseAuthLine("Mar  1 11:59:58 web-1 bob[812]: " + accepted, AuthLogForm::kSyslog, Noon()));
}

TEST(AuthLogTest, ReadsALoginAtTheConsole) {
  const auto line = ParseAuthLine(
      "Mar  1 11:59:58 web-1 login[77]: pam_unix(login:session): session opened for user "
      "bob(uid=1001) by "
      "LOGIN(uid=0)",
      AuthLogForm::kSyslog, Noon());
  ASSERT_TRUE(line);
  EXPECT_EQ(line->kind, LoginLineKind::kConsole);
  EXPECT_EQ(line->user, "bob");
  EXPECT_EQ(line->pid, 77U);
}

TEST(AuthLogTest, ReadsForWhomInstanceConnectHandedAKeyOut) {
  const auto line = ParseAuthLine(
      "2026-03-01T11:59:58.123456+00:00 ip-192-0-2-5 ec2-instance-connect[901]: Providing ssh key "
      "from "
      "EC2 Instance Connect with fingerprint: " +
          std::string(kFp) +
          ", request-id: 1-2-3, for IAM principal: "
          "arn:aws:sts::123456789012:assumed-role/ops/alice",
      AuthLogForm::kSyslog, Noon());
  ASSERT_TRUE(line);
  EXPECT_EQ(line->kind, LoginLineKind::kKeyHandedOut);
  EXPECT_EQ(line->key_fingerprint, kFp);
  EXPECT_EQ(line->principal, "arn:aws:sts::123456789012:assumed-role/ops/alice");
}

TEST(AuthLogTest, AKeyHandedOutNamesItsPrincipalBehindTheKey) {
  const std::string head = "Mar  1 11:59:58 web-1 ec2-instance-connect[901]: ";
  for (const std::string text :
       {"principal: a with fingerprint: SHA256:abcd",
        "fingerprint: principal: ", "fingerprint: SHA256:abcd", "principal: "}) {
    const auto line = ParseAuthLine(head + text, AuthLogForm::kSyslog, Noon());
    ASSERT_TRUE(line) << text;
    EXPECT_EQ(line->kind, LoginLineKind::kOther) << text;
  }
}

TEST(AuthLogTest, IsTotalOnBrokenLines) {
  const std::string whole =
      "Accepted publickey for alice from 192.0.2.1 port 2 ssh2: ED25519-CERT " + std::string(kFp) +
      " ID a (serial 7) CA RSA " + kCa;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto line = Message(whole.substr(0, n));
    ASSERT_TRUE(line);
    if (line->kind == LoginLineKind::kAccepted) {
      EXPECT_EQ(line->user, "alice") << n;
      EXPECT_EQ(line->from, From("192.0.2.1:2")) << n;
    }
  }
  std::string nuls(100, '\0');
  EXPECT_TRUE(Message("Accepted password for " + nuls + " from 192.0.2.1 port 2 ssh2"));
  EXPECT_TRUE(Message("Invalid user " + std::string(100'000, 'x') + " from 192.0.2.1 port 2"));
}

}  // namespace
}  // namespace culprit
