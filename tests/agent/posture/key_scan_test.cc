// SPDX-License-Identifier: Apache-2.0
// What is found about keys; tests/e2e/85_authorized_keys.py has which lines sshd takes.
#include "agent/posture/key_scan.h"

#include <gtest/gtest.h>

#include "agent/posture/authorized_keys.h"
#include "tests/agent/posture/posture_fixture.h"
#include "tests/support/ssh_key_builder.h"

namespace culprit {
namespace {

using testing::Ed25519Blob;
using testing::Ed25519Line;
using testing::PrivateFile;
using testing::RsaLine;

class KeyScanTest : public PostureTest {
 protected:
  KeyScanTest() {
    Home("/root", 0);
    Home("/home/alice", 1001);
    Home("/home/bob", 1002);
  }
  void Home(const std::string& home, std::uint32_t uid) {
    tree_.MakeFolder(home, 0755, uid);
    tree_.MakeFolder(home + "/.ssh", 0700, uid);
  }
  void Keys(const std::string& user, const std::string& text, std::uint32_t mode = 0600) {
    const std::uint32_t uid = user == "root" ? 0 : user == "alice" ? 1001 : 1002;
    const std::string home = uid == 0 ? "/root" : "/home/" + user;
    tree_.Write(home + "/.ssh/authorized_keys", text, mode, uid);
  }
};

const std::string kAlice = "/home/alice/.ssh/authorized_keys";

TEST_F(KeyScanTest, AKeyIsTheOneThatSshKeygenNames) {
  // The public half of a pair that was made for this test and thrown away.
  const auto lines = ParseAuthorizedKeys(
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB x y \r\n",
      9);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].key->fingerprint, FingerprintOf(Ed25519Blob('A')));
  EXPECT_EQ(lines[0].key->bits, 256U);
  EXPECT_EQ(lines[0].comment, "x y");
}

TEST_F(KeyScanTest, EachLineBecomesARecordWithItsPlaceAndItsFate) {
  Keys("alice", "# c\n" + Ed25519Line('a') + " laptop\nfrom=\"10.0.0.0/8\",no-pty " +
                    Ed25519Line('b') + "\njunk\n");
  const PostureReport report = Scan();
  ASSERT_EQ(report.keys.size(), 3U);
  EXPECT_EQ(report.keys[0].line, 2U);
  EXPECT_TRUE(report.keys[0].accepted);
  EXPECT_EQ(report.keys[0].comment, "laptop");
  EXPECT_EQ(report.keys[1].options, "from=\"10.0.0.0/8\",no-pty");
  EXPECT_FALSE(report.keys[2].accepted);
  EXPECT_EQ(Find(report, "key.bad_line", kAlice + ":4")->severity, Severity::kLow);
}

TEST_F(KeyScanTest, StrictModesPassesAFileOverAndItIsSaid) {
  Keys("alice", Ed25519Line('a') + "\n", 0666);
  const PostureReport report = Scan();
  EXPECT_FALSE(report.keys.at(0).accepted);
  EXPECT_NE(Find(report, "key.perms", kAlice), nullptr);
  Config("StrictModes no\n");
  EXPECT_TRUE(Scan().keys.at(0).accepted);
}

TEST_F(KeyScanTest, AKeyThatAMatchBlockLetsInForOneAddressIsAccepted) {
  Config("PubkeyAuthentication no\nMatch Address 203.0.113.0/24\nPubkeyAuthentication yes\n");
  Keys("alice", Ed25519Line('a') + "\n");
  EXPECT_TRUE(Scan().keys.at(0).accepted);
  Config("PubkeyAuthentication no\n");
  EXPECT_FALSE(Scan().keys.at(0).accepted);
}

TEST_F(KeyScanTest, WeakAndKnownKeysAreNamed) {
  Keys("alice", RsaLine(1024, 3) + "\n" + RsaLine(2048, 3) + "\n" + RsaLine(2048, 17) + "\n" +
                    Ed25519Line('k') + "\n");
  const std::string known = FingerprintOf(Ed25519Blob('k'));
  ASSERT_TRUE(options_.known_bad.Add("# list\n" + known + " a demo key\n"));
  const PostureReport report = Scan();
  EXPECT_EQ(Find(report, "key.weak", kAlice + ":1")->severity, Severity::kHigh);
  EXPECT_EQ(Find(report, "key.weak", kAlice + ":2")->severity, Severity::kMedium);
  EXPECT_EQ(Find(report, "key.weak", kAlice + ":3"), nullptr);
  EXPECT_EQ(Find(report, "key.known_bad", kAlice + ":4")->reason, "a demo key");
  EXPECT_NE(KnownBadKeys().Find("SHA256:MkYY9qiVsFGBC5WkjoClCkwEFW5iSjcGQF7m4n4H7Cw"), nullptr);
  EXPECT_FALSE(KnownBadKeys().Add("SHA256:short x\n"));
}

TEST_F(KeyScanTest, AKeyThatTheBaselineDoesNotHaveIsNew) {
  Keys("alice", Ed25519Line('a') + "\n");
  const auto before = KeyBaseline::Parse(KeyBaseline::Format(Scan().keys));
  ASSERT_TRUE(before) << before.error().message;
  options_.baseline = *before;
  EXPECT_EQ(Find(Scan(), "key.new"), nullptr);
  Keys("alice", Ed25519Line('a') + "\n" + Ed25519Line('b') + "\n");
  Keys("bob", Ed25519Line('a') + "\n");  // known, but not as bob's
  const PostureReport report = Scan();
  EXPECT_NE(Find(report, "key.new", kAlice + ":2"), nullptr);
  EXPECT_EQ(Find(report, "key.new", kAlice + ":1"), nullptr);
  EXPECT_NE(Find(report, "key.new", "/home/bob/.ssh/authorized_keys:1"), nullptr);
}

TEST_F(KeyScanTest, LockedSharedAndUnboundKeysAreNamed) {
  Keys("alice", Ed25519Line('a') + "\n");
  Keys("root", Ed25519Line('a') + "\nrestrict " + Ed25519Line('r') +
                   "\nenvironment=\"LD_PRELOAD=/x\" " + Ed25519Line('e') + "\n");
  tree_.InfoOf("/home/alice/.ssh").immutable = true;
  const PostureReport report = Scan();
  EXPECT_EQ(Find(report, "key.immutable", kAlice)->severity, Severity::kCritical);
  EXPECT_EQ(Find(report, "key.duplicate")->contexts, (std::vector<std::string>{"root", "alice"}));
  const std::string root = "/root/.ssh/authorized_keys";
  EXPECT_NE(Find(report, "key.unrestricted_root", root + ":1"), nullptr);
  EXPECT_EQ(Find(report, "key.unrestricted_root", root + ":2"), nullptr);
  EXPECT_NE(Find(report, "key.environment", root + ":3"), nullptr);
}

TEST_F(KeyScanTest, AccountsOfTheSystemShouldHaveNoKeys) {
  tree_.Write("/etc/passwd",
              "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n");
  tree_.MakeFolder("/var/www", 0755, 33);
  tree_.Write("/var/www/.ssh/authorized_keys", Ed25519Line('w') + "\n", 0600, 33);
  tree_.Write("/root/.ssh/authorized_keys2", Ed25519Line('x') + "\n", 0600);
  const PostureReport report = Scan();
  EXPECT_NE(Find(report, "key.system_account", "/var/www/.ssh/authorized_keys"), nullptr);
  EXPECT_NE(Find(report, "key.system_account", "/root/.ssh/authorized_keys2"), nullptr);
}

TEST_F(KeyScanTest, PrivateKeysLieAboutByPathAndFingerprintAlone) {
  tree_.Write("/root/.ssh/id_ed25519", PrivateFile("none", Ed25519Blob('p')), 0600);
  tree_.Write("/root/.ssh/id_locked", PrivateFile("aes256-ctr", Ed25519Blob('q')), 0600);
  tree_.Write("/home/alice/old.pem",
              "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n", 0600, 1001);
  tree_.Write("/home/alice/old.pem.pub", RsaLine(2048, 17) + "\n", 0600, 1001);
  tree_.Write("/home/alice/known_hosts.key", "not a key", 0600, 1001);
  const PostureReport report = Scan();
  ASSERT_EQ(report.private_keys.size(), 3U);
  EXPECT_EQ(Find(report, "key.private_on_host", "/root/.ssh/id_ed25519")->severity,
            Severity::kMedium);
  EXPECT_EQ(Find(report, "key.private_on_host", "/root/.ssh/id_locked"), nullptr);
  EXPECT_NE(Find(report, "key.private_on_host", "/home/alice/old.pem"), nullptr);
  for (const PrivateKeyRecord& key : report.private_keys)
    EXPECT_EQ(key.fingerprint.size(), 50U) << key.path;
}

TEST_F(KeyScanTest, AnAuthorityIsListedWithWhomItMayVouchFor) {
  Config("TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile /etc/ssh/principals/%u\n");
  tree_.Write("/etc/ssh/ca.pub", Ed25519Line('c') + " the CA\n");
  Keys("alice", "cert-authority,principals=\"ops\" " + Ed25519Line('d') + "\n");
  const PostureReport report = Scan();
  ASSERT_EQ(report.keys.size(), 2U);
  EXPECT_EQ(report.keys[0].kind, KeyRecord::Kind::kAuthority);
  EXPECT_EQ(report.keys[0].principals, "/etc/ssh/principals/%u");
  EXPECT_EQ(report.keys[1].kind, KeyRecord::Kind::kUserAuthority);
  EXPECT_TRUE(report.keys[1].accepted);
}

TEST_F(KeyScanTest, AnEndlessFileIsReadInPartAndItIsSaid) {
  Keys("alice", Ed25519Line('a') + "\n" + std::string(std::size_t{2} << 20, 'x'));
  const PostureReport report = Scan();
  EXPECT_TRUE(report.keys.at(0).accepted);
  ASSERT_EQ(report.limits.size(), 1U);
  EXPECT_NE(report.limits[0].find("longer than 1 MiB"), std::string::npos);
}

}  // namespace
}  // namespace culprit
