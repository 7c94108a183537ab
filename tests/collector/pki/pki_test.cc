// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/pki.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "collector/pki/certificate_builder.h"
#include "collector/pki/peer_identity.h"

namespace culprit {
namespace {

using std::chrono::hours;
using ::testing::Contains;
using ::testing::HasSubstr;

class PkiTest : public ::testing::Test {
 protected:
  PkiTest() {
    std::string name = (std::filesystem::temp_directory_path() / "culprit-pki-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    root_ = name;
    options_.server_names = {"collector.example", "192.0.2.7"};
    options_.now = WallTime(std::chrono::seconds(1'900'000'000));
  }
  ~PkiTest() override { std::filesystem::remove_all(root_); }

  std::string Dir(const char* name) const { return root_ + "/" + name; }
  static std::string Slurp(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static unsigned Mode(const std::string& path) {
    struct stat st {};
    return stat(path.c_str(), &st) == 0 ? st.st_mode & 0777U : 0U;
  }

  std::string root_;
  PkiOptions options_;
};

TEST_F(PkiTest, InitMakesEveryFileAndKeysArePrivate) {
  const auto outcome = InitPki(Dir("pki"), options_);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->created);
  EXPECT_THAT(outcome->server_names, Contains("localhost"));
  EXPECT_THAT(outcome->server_names, Contains("127.0.0.1"));
  EXPECT_THAT(outcome->server_names, Contains("::1"));
  EXPECT_THAT(outcome->server_names, Contains("collector.example"));
  EXPECT_THAT(outcome->server_names, Contains("192.0.2.7"));
  const PkiPaths& p = outcome->paths;
  for (const auto& key : {p.ca_key, p.server.key, p.journal_key, p.operator_credentials.key}) {
    EXPECT_EQ(Mode(key), 0600U) << key;
  }
  EXPECT_TRUE(CheckCredentials(p.server, options_.now));
  EXPECT_TRUE(CheckCredentials(p.operator_credentials, options_.now));
  EXPECT_THAT(Slurp(p.journal_public_key), HasSubstr("BEGIN PUBLIC KEY"));
}

TEST_F(PkiTest, InitAgainChangesNothingAndSaysSo) {
  const auto first = InitPki(Dir("pki"), options_);
  ASSERT_TRUE(first);
  const std::string ca = Slurp(first->paths.server.ca), key = Slurp(first->paths.server.key);
  const auto second = InitPki(Dir("pki"), options_);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->created);
  EXPECT_EQ(Slurp(second->paths.server.ca), ca);
  EXPECT_EQ(Slurp(second->paths.server.key), key);
}

TEST_F(PkiTest, InitRefusesAHalfPairAndALostCa) {
  const auto made = InitPki(Dir("pki"), options_);
  ASSERT_TRUE(made);
  std::filesystem::remove(made->paths.server.key);
  auto again = InitPki(Dir("pki"), options_);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("server.key"));
  std::filesystem::remove(made->paths.server.certificate);
  std::filesystem::remove(made->paths.server.ca);
  std::filesystem::remove(made->paths.ca_key);
  again = InitPki(Dir("pki"), options_);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("not the CA that signed them"));
}

TEST_F(PkiTest, IssuedAgentIsIdentifiedByItsCertificateAlone) {
  ASSERT_TRUE(InitPki(Dir("pki"), options_));
  const auto agent = IssueAgent(Dir("pki"), "web-1", Dir("agent"), options_);
  ASSERT_TRUE(agent) << agent.error().message;
  EXPECT_EQ(Mode(agent->paths.key), 0600U);
  const auto credentials = CheckCredentials(agent->paths, options_.now);
  ASSERT_TRUE(credentials) << credentials.error().message;
  const auto peer = IdentifyPeer(credentials->certificate_pem);
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->role, PeerRole::kAgent);
  EXPECT_EQ(peer->agent_id, agent->agent_id);
  EXPECT_EQ(peer->name, "web-1");
  EXPECT_EQ(peer->cert_sha256, credentials->certificate.sha256);
}

TEST_F(PkiTest, IssuedOperatorIsNotAnAgent) {
  ASSERT_TRUE(InitPki(Dir("pki"), options_));
  const auto op = IssueOperator(Dir("pki"), "night.shift", OperatorRole::kResponder, Dir("op"), options_);
  ASSERT_TRUE(op) << op.error().message;
  const auto peer = IdentifyPeer(Slurp(op->paths.certificate));
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->role, PeerRole::kOperator);
  EXPECT_EQ(peer->operator_role, OperatorRole::kResponder);
  EXPECT_EQ(peer->agent_id, Uuid{});
  // Who sets the collector up is its first admin.
  const auto first = IdentifyPeer(Slurp(PkiPathsIn(Dir("pki")).operator_credentials.certificate));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->operator_role, OperatorRole::kAdmin);
}

TEST_F(PkiTest, IssueNeverOverwritesAndNeedsACa) {
  auto issued = IssueAgent(Dir("none"), "a", Dir("out"), options_);
  ASSERT_FALSE(issued);
  EXPECT_EQ(issued.error().code, Code::kNotFound);
  ASSERT_TRUE(InitPki(Dir("pki"), options_));
  ASSERT_TRUE(IssueAgent(Dir("pki"), "a", Dir("out"), options_));
  const std::string before = Slurp(Dir("out/agent.key"));
  issued = IssueAgent(Dir("pki"), "a", Dir("out"), options_);
  ASSERT_FALSE(issued);
  EXPECT_EQ(issued.error().code, Code::kAlreadyExists);
  EXPECT_EQ(Slurp(Dir("out/agent.key")), before);
  for (const char* name : {"", "a b", "a/b", "a,URI:spiffe://culprit/operator/x", "\n"}) {
    EXPECT_FALSE(IssueAgent(Dir("pki"), name, Dir("out2"), options_)) << name;
  }
}

TEST_F(PkiTest, CredentialsThatCanNotWorkAreRefusedEachWithItsOwnWords) {
  ASSERT_TRUE(InitPki(Dir("pki"), options_));
  ASSERT_TRUE(InitPki(Dir("other"), options_));
  const auto agent = IssueAgent(Dir("pki"), "a", Dir("a"), options_);
  const auto second = IssueAgent(Dir("pki"), "b", Dir("b"), options_);
  ASSERT_TRUE(agent && second);
  std::ofstream(Dir("garbage")) << "not PEM";
  const CredentialPaths good = agent->paths;
  struct Case {
    const char* name;
    CredentialPaths paths;
    WallTime now;
    Code code;
    const char* words;
  };
  const WallTime now = options_.now;
  const Case cases[] = {
      {"expired", good, now + hours(24 * 900), Code::kFailedPrecondition, "expired at"},
      {"early", good, now - hours(48), Code::kFailedPrecondition, "clock"},
      {"other CA",
       {PkiPathsIn(Dir("other")).server.ca, good.certificate, good.key},
       now,
       Code::kInvalidArgument,
       "not signed by this CA"},
      {"other key",
       {good.ca, good.certificate, second->paths.key},
       now,
       Code::kInvalidArgument,
       "is not the key of"},
      {"missing", {good.ca, good.certificate, Dir("nowhere")}, now, Code::kNotFound, "nowhere"},
      {"garbage certificate",
       {good.ca, Dir("garbage"), good.key},
       now,
       Code::kInvalidArgument,
       "garbage"},
      {"garbage key",
       {good.ca, good.certificate, Dir("garbage")},
       now,
       Code::kInvalidArgument,
       "private key"},
      {"garbage CA",
       {Dir("garbage"), good.certificate, good.key},
       now,
       Code::kInvalidArgument,
       "garbage"},
  };
  for (const Case& c : cases) {
    const auto result = CheckCredentials(c.paths, c.now);
    ASSERT_FALSE(result) << c.name;
    EXPECT_EQ(result.error().code, c.code) << c.name << ": " << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr(c.words)) << c.name;
  }
}

TEST(PeerIdentityTest, OnlyExactlyOneIdentityOfOursIsAccepted) {
  CertificateRequest request;
  request.common_name = "x";
  request.not_before = WallTime(std::chrono::seconds(1));
  request.not_after = WallTime(std::chrono::seconds(2'000'000'000));
  const auto made = MakeCertificate(request, nullptr);
  ASSERT_TRUE(made);
  const std::string agent = "spiffe://culprit/agent/01020304-0506-4708-890a-0b0c0d0e0f10";
  struct Case {
    std::vector<std::string> uris;
    bool ok;
  };
  const Case cases[] = {
      {{agent}, true},
      {{"https://example.org", agent}, true},
      {{"spiffe://culprit/operator/night"}, true},
      {{"spiffe://culprit/operator/night", "spiffe://culprit/role/admin"}, true},
      {{"spiffe://culprit/operator/night", "spiffe://culprit/role/root"}, false},
      {{"spiffe://culprit/operator/night", "spiffe://culprit/role/viewer",
        "spiffe://culprit/role/admin"},
       false},
      {{agent, "spiffe://culprit/role/admin"}, false},
      {{agent, "spiffe://culprit/host/claimed/machine-1"}, true},
      {{}, false},
      {{agent, agent}, false},
      {{agent, "spiffe://culprit/operator/night"}, false},
      {{"spiffe://culprit/operator/"}, false},
      {{"spiffe://culprit/operator/a/b"}, false},
      {{"spiffe://culprit/agent/"}, false},
      {{"spiffe://culprit/agent/00000000-0000-0000-0000-000000000000"}, false},
      {{agent + "/x"}, false},
      {{"spiffe://evil/agent/01020304-0506-4708-890a-0b0c0d0e0f10"}, false},
      {{" " + agent}, false},
  };
  for (const Case& c : cases) {
    const auto peer = IdentifyPeer(c.uris, made->certificate_pem);
    EXPECT_EQ(peer.has_value(), c.ok) << ::testing::PrintToString(c.uris);
    if (!peer) {
      EXPECT_EQ(peer.error().code, Code::kPermissionDenied);
    }
  }
  EXPECT_EQ(IdentifyPeer({agent}, "").error().code, Code::kUnauthenticated);
  EXPECT_FALSE(IdentifyPeer({agent}, "-----BEGIN CERTIFICATE-----\nAAAA\n"));
}

}  // namespace
}  // namespace culprit
