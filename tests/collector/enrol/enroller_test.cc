// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/enroller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/enrol/agent_key.h"
#include "collector/enrol/join_token.h"
#include "collector/pki/pki.h"
#include "collector/pki/signing_request.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/hex.h"
#include "tests/support/instance_document.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

WallTime clock_now{std::chrono::seconds(1'800'000'000)};
WallTime Clock() { return clock_now; }

struct Host {
  std::string id = "machine-0123456789abcdef", key = *MakeAgentKey();
  EnrolAsk Ask(const std::string& token = "") const {
    EnrolAsk ask;
    ask.csr = *MakeSigningRequest(key, id);
    ask.host_id = id;
    ask.token = token;
    ask.peer = "ipv4:192.0.2.10:5000";
    return ask;
  }
};

class EnrollerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    clock_now = WallTime(std::chrono::seconds(1'800'000'000));
    PkiOptions pki;
    pki.now = clock_now;
    ASSERT_TRUE(InitPki(directory_ / "pki", pki));
    auto audit = AuditLog::Open({directory_ / "audit"});
    auto store = EnrolStore::Open(directory_ / "enrol.db");
    ASSERT_TRUE(audit && store);
    audit_ = std::move(*audit);
    store_ = std::move(*store);
    EnrollerDeps deps;
    deps.store = store_.get();
    deps.audit = audit_.get();
    deps.issuer = [this] { return LoadIssuer(directory_ / "pki"); };
    deps.region_certificates = [this]() -> Result<RegionCertificates> {
      return RegionCertificates{{"ap-south-1", {aws_.pem()}}};
    };
    deps.on_second = [this](const SecondEnrolment& second) { seconds_.push_back(second); };
    deps.clock = Clock;
    EnrolPolicy policy;
    policy.validity = hours(24);
    policy.document = {{"123456789012"}, {}, hours(24)};
    enroller_ = std::make_unique<Enroller>(deps, policy);
  }

  std::string Token(std::uint32_t uses = 1, std::string host = "") {
    const std::string token = MakeToken({static_cast<std::uint8_t>(++tokens_)});
    TokenRecord record;
    record.hash = TokenHash(token);
    record.max_uses = uses;
    record.host = std::move(host);
    record.created = clock_now;
    record.expires = clock_now + hours(1);
    EXPECT_TRUE(store_->AddToken(record));
    return token;
  }
  EnrolAsk ByDocument(const Host& host, const TestAws& signer) const {
    EnrolAsk ask = host.Ask();
    ask.document = InstanceDocument(host.id, clock_now - minutes(5));
    ask.signature = signer.Sign(ask.document);
    return ask;
  }
  std::vector<std::string> Results() {
    std::vector<std::string> out;
    const auto read = ReadAudit(directory_ / "audit", [&](const AuditEntry& entry) {
      out.push_back(entry.event.action + " " + entry.event.result);
    });
    EXPECT_TRUE(read && read->damage.empty());
    return out;
  }
  Result<EnrolGrant> Renew(const Host& host, const EnrolGrant& grant) {
    const auto peer = IdentifyPeer(grant.certificate_pem);
    EXPECT_TRUE(peer);
    return enroller_->Renew(*peer, grant.certificate_pem, *MakeSigningRequest(host.key, host.id),
                            "ipv4:192.0.2.10:5001");
  }

  TempDir directory_;
  TestAws aws_{WallTime(std::chrono::seconds(1'800'000'000))};
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<EnrolStore> store_;
  std::unique_ptr<Enroller> enroller_;
  std::vector<SecondEnrolment> seconds_;
  int tokens_ = 0;
};

TEST_F(EnrollerTest, ATokenGivesACertificateForTheHostsOwnKey) {
  const Host host;
  const auto grant = enroller_->Enrol(host.Ask(Token()));
  ASSERT_TRUE(grant) << grant.error().message;
  const auto info = ReadCertificate(grant->certificate_pem);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->common_name, host.id);
  EXPECT_THAT(info->uri_names,
              ElementsAre("spiffe://culprit/agent/" + grant->agent_id.ToString(),
                          "spiffe://culprit/host/claimed/" + host.id));
  EXPECT_EQ(info->not_after, clock_now + hours(24));
  const Credentials credentials{grant->ca_pem, grant->certificate_pem, host.key, *info};
  EXPECT_TRUE(CheckCredentials(credentials, clock_now));
  EXPECT_EQ(*KeySha256(grant->certificate_pem), ReadSigningRequest(host.Ask().csr)->key_sha256);
  EXPECT_THAT(Results(), ElementsAre("enrol ok"));
  EXPECT_TRUE(seconds_.empty());
}

TEST_F(EnrollerTest, ATokenCountsAsOftenAsItSaysAndNoLongerThanItSays) {
  const std::string twice = Token(2), once = Token(), late = Token(), gone = Token();
  const std::string bound = Token(1, "machine-x");
  Host a{"machine-a"}, b{"machine-b"}, c{"machine-c"}, x{"machine-x"};
  EXPECT_TRUE(enroller_->Enrol(a.Ask(twice)));
  EXPECT_TRUE(enroller_->Enrol(b.Ask(twice)));
  EXPECT_THAT(enroller_->Enrol(c.Ask(twice)).error().message, HasSubstr("used 2 of 2"));
  ASSERT_TRUE(store_->RevokeToken(TokenId(TokenHash(gone)), clock_now));
  EXPECT_THAT(enroller_->Enrol(c.Ask(gone)).error().message, HasSubstr("was revoked"));
  EXPECT_THAT(enroller_->Enrol(c.Ask(bound)).error().message, HasSubstr("is for host machine-x"));
  EXPECT_TRUE(enroller_->Enrol(x.Ask(bound)));
  clock_now += hours(1) + minutes(1);
  EXPECT_THAT(enroller_->Enrol(c.Ask(late)).error().message, HasSubstr("expired"));
  EXPECT_THAT(enroller_->Enrol(c.Ask(MakeToken({9, 9}))).error().message,
              HasSubstr("not one of this collector's"));
  EXPECT_THAT(enroller_->Enrol(c.Ask("x")).error().message, HasSubstr("not a join token"));
  EXPECT_THAT(enroller_->Enrol(c.Ask()).error().message, HasSubstr("neither a join token"));
  EXPECT_THAT(Results(), ElementsAre("enrol ok", "enrol ok", "enrol token_used_up",
                                     "enrol token_revoked", "enrol token_host", "enrol ok",
                                     "enrol token_expired", "enrol token_unknown",
                                     "enrol token_format", "enrol no_proof"));
}

TEST_F(EnrollerTest, TheSameKeyMayAskAgainWithoutAProofAndUsesNothingUp) {
  const Host host;
  const std::string token = Token();
  const auto first = enroller_->Enrol(host.Ask(token));
  ASSERT_TRUE(first);
  clock_now += hours(24 * 30);  // the host was off meanwhile
  const auto again = enroller_->Enrol(host.Ask());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->agent_id, first->agent_id);
  EXPECT_EQ(again->not_after, clock_now + hours(24));
  EXPECT_EQ((*store_->FindToken(TokenHash(token)))->uses, 1U);
  EXPECT_TRUE(seconds_.empty());
}

TEST_F(EnrollerTest, ASecondEnrolmentIsReportedAndRefusedUnlessAllowed) {
  const Host host, impostor;
  ASSERT_EQ(host.id, impostor.id);
  const auto first = enroller_->Enrol(host.Ask(Token()));
  ASSERT_TRUE(first);
  const std::string token = Token();
  const auto refused = enroller_->Enrol(impostor.Ask(token));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
  EXPECT_THAT(refused.error().message, HasSubstr("culprit-collector allow " + host.id));
  ASSERT_EQ(seconds_.size(), 1U);
  EXPECT_FALSE(seconds_[0].accepted);
  EXPECT_EQ((*store_->FindToken(TokenHash(token)))->uses, 0U) << "a refusal uses nothing up";

  ASSERT_TRUE(store_->AllowAgain(host.id));
  const auto second = enroller_->Enrol(impostor.Ask(token));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(seconds_.back().accepted);
  EXPECT_EQ(second->agent_id, first->agent_id) << "the host goes on under its id";
  const auto old_key = HexEncode(AsBytes(*KeySha256(first->certificate_pem)));
  EXPECT_THAT(store_->WhyNotWelcome(first->agent_id, old_key, ""), HasSubstr("another key"));
  EXPECT_FALSE(enroller_->Enrol(host.Ask(Token()))) << "allowed once";
  EXPECT_THAT(Results(), ElementsAre("enrol ok", "enrol second_enrolment", "enrol ok",
                                     "enrol second_enrolment"));
}

TEST_F(EnrollerTest, ADocumentCountsOnceAndOnlyForItsInstance) {
  const Host host{"i-0123456789abcdef0"}, other{"i-0fedcba9876543210"};
  const EnrolAsk ask = ByDocument(host, aws_);
  const auto grant = enroller_->Enrol(ask);
  ASSERT_TRUE(grant) << grant.error().message;
  EXPECT_THAT(ReadCertificate(grant->certificate_pem)->uri_names[1],
              HasSubstr("/host/aws/123456789012/ap-south-1/" + host.id));
  // Read by another process of the instance, and shown with a key of its own.
  const Host thief{host.id};
  EnrolAsk replay = thief.Ask();
  replay.document = ask.document;
  replay.signature = ask.signature;
  EXPECT_EQ(enroller_->Enrol(replay).error().code, Code::kAlreadyExists);
  EnrolAsk wrong = other.Ask();
  wrong.document = ask.document;
  wrong.signature = ask.signature;
  EXPECT_THAT(enroller_->Enrol(wrong).error().message,
              HasSubstr("of instance i-0123456789abcdef0"));
  EXPECT_FALSE(enroller_->Enrol(ByDocument(other, TestAws(clock_now))));
  EXPECT_EQ(seconds_.size(), 1U);
  EXPECT_THAT(Results(), ElementsAre("enrol ok", "enrol second_enrolment", "enrol other_instance",
                                     "enrol document_signature"));
}

TEST_F(EnrollerTest, ARevokedHostGetsNothingMoreUntilItIsAllowed) {
  const Host host, fresh;
  const auto grant = enroller_->Enrol(host.Ask(Token()));
  ASSERT_TRUE(grant);
  const std::string key = HexEncode(AsBytes(*KeySha256(grant->certificate_pem)));
  EXPECT_EQ(store_->WhyNotWelcome(grant->agent_id, key, ""), "");
  ASSERT_TRUE(store_->Revoke(host.id, "taken over", clock_now));
  EXPECT_THAT(store_->WhyNotWelcome(grant->agent_id, key, ""), HasSubstr("taken over"));
  clock_now += hours(12);
  EXPECT_THAT(Renew(host, *grant).error().message, HasSubstr("taken over"));
  EXPECT_THAT(enroller_->Enrol(host.Ask()).error().message, HasSubstr("taken over"));
  EXPECT_THAT(enroller_->Enrol(fresh.Ask(Token())).error().message, HasSubstr("taken over"));
  ASSERT_TRUE(store_->AllowAgain(host.id));
  EXPECT_FALSE(enroller_->Enrol(host.Ask(Token()))) << "the old key stays out";
  EXPECT_TRUE(enroller_->Enrol(fresh.Ask(Token())));
  EXPECT_THAT(store_->WhyNotWelcome(grant->agent_id, key, ""), HasSubstr("another key"));
}

TEST_F(EnrollerTest, ACertificateIsRenewedForItsOwnKeyAlone) {
  const Host host, other;
  const auto grant = enroller_->Enrol(host.Ask(Token()));
  ASSERT_TRUE(grant);
  EXPECT_THAT(Renew(host, *grant).error().message, HasSubstr("just now"));
  clock_now += hours(12);
  EXPECT_THAT(Renew(other, *grant).error().message, HasSubstr("for the key that it is for"));
  const auto renewed = Renew(host, *grant);
  ASSERT_TRUE(renewed) << renewed.error().message;
  EXPECT_EQ(renewed->agent_id, grant->agent_id);
  EXPECT_EQ(renewed->not_after, clock_now + hours(24));
  // One made by hand has no host behind it.
  PkiOptions pki;
  pki.now = clock_now;
  const auto by_hand = IssueAgent(directory_ / "pki", host.id, directory_ / "hand", pki);
  ASSERT_TRUE(by_hand);
  const auto hand = LoadCredentials(by_hand->paths);
  ASSERT_TRUE(hand);
  EXPECT_THAT(enroller_
                  ->Renew(*IdentifyPeer(hand->certificate_pem), hand->certificate_pem,
                          *MakeSigningRequest(hand->key_pem, host.id), "")
                  .error()
                  .message,
              HasSubstr("made by hand"));
}

TEST_F(EnrollerTest, MalformedRequestsAreRefused) {
  const Host host;
  EnrolAsk ask = host.Ask(Token());
  ask.host_id = "../x";
  EXPECT_EQ(enroller_->Enrol(ask).error().code, Code::kInvalidArgument);
  ask = host.Ask(Token());
  ask.host_id = "machine-other";
  EXPECT_THAT(enroller_->Enrol(ask).error().message, HasSubstr("for another host"));
  ask.csr[40] ^= 1;
  EXPECT_FALSE(enroller_->Enrol(ask));
  ask.csr.clear();
  EXPECT_FALSE(enroller_->Enrol(ask));
}

TEST_F(EnrollerTest, NothingIsGrantedWithoutItsLineInTheAuditLog) {
  const Host host;
  const std::string token = Token();
  // A folder in the place of the first file: this stops root, too.
  ASSERT_TRUE(MakeDirectories(directory_ / "audit/audit-000000000001.jsonl", 0700));
  const auto refused = enroller_->Enrol(host.Ask(token));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
}

TEST_F(EnrollerTest, AnotherProcessSeesWhatWasRevokedAfterRefresh) {
  const Host host;
  const auto grant = enroller_->Enrol(host.Ask(Token()));
  ASSERT_TRUE(grant);
  auto command = EnrolStore::Open(directory_ / "enrol.db");
  ASSERT_TRUE(command);
  ASSERT_TRUE((*command)->Revoke(grant->agent_id.ToString(), "why", clock_now));
  const auto changed = store_->Refresh();
  ASSERT_TRUE(changed && *changed);
  EXPECT_NE(store_->WhyNotWelcome(grant->agent_id, "", ""), "");
  EXPECT_FALSE(*store_->Refresh());
  EXPECT_EQ((*command)->Revoke("nobody", "", clock_now).error().code, Code::kNotFound);
  const std::string fingerprint(64, 'a');
  ASSERT_TRUE((*command)->Revoke(fingerprint, "", clock_now));
  ASSERT_TRUE(*store_->Refresh());
  EXPECT_NE(store_->WhyNotWelcome(Uuid{}, "", fingerprint), "");
}

}  // namespace
}  // namespace culprit
