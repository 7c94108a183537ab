// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/signing_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/enrol/agent_key.h"
#include "collector/pki/certificate_builder.h"
#include "collector/pki/client_check.h"

namespace culprit {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

const WallTime kNow(std::chrono::seconds(1'800'000'000));

CertificateRequest For(const std::string& name, CertificateUsage usage) {
  CertificateRequest request;
  request.common_name = name;
  request.usage = usage;
  request.not_before = kNow - hours(1);
  request.not_after = kNow + hours(24);
  return request;
}

TEST(SigningRequestTest, ARequestGivesACertificateForTheSameKey) {
  for (const std::string& key : {*MakeAgentKey(), MakeSigningKey()->private_pem}) {
    const auto der = MakeSigningRequest(key, "i-0123");
    ASSERT_TRUE(der) << der.error().message;
    const auto request = ReadSigningRequest(*der);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->common_name, "i-0123");
    const auto ca = MakeCertificate(For("CA", CertificateUsage::kCa), nullptr);
    ASSERT_TRUE(ca);
    const Issuer issuer{ca->certificate_pem, ca->key_pem};
    const auto issued =
        IssueCertificate(For("i-0123", CertificateUsage::kClient), request->public_key_der, issuer);
    ASSERT_TRUE(issued) << issued.error().message;
    EXPECT_EQ(*KeySha256(*issued), request->key_sha256);
    EXPECT_EQ(CheckClientCertificate(*issued, ca->certificate_pem, kNow).reason, "");
  }
}

TEST(SigningRequestTest, WithoutTheKeyThereIsNoRequest) {
  std::string der = *MakeSigningRequest(*MakeAgentKey(), "i-0123");
  EXPECT_FALSE(ReadSigningRequest(der + "x")) << "nothing may follow";
  EXPECT_FALSE(ReadSigningRequest(der.substr(1)));
  EXPECT_FALSE(ReadSigningRequest(""));
  EXPECT_FALSE(ReadSigningRequest(std::string(5000, '\x30')));
  der.back() ^= 1;
  EXPECT_FALSE(ReadSigningRequest(der)) << "the signature proves that the asker has the key";
  EXPECT_FALSE(MakeSigningRequest("no key", "i-0123"));
}

TEST(ClientCheckTest, EachBadCertificateHasItsOwnWord) {
  const auto ca = MakeCertificate(For("CA", CertificateUsage::kCa), nullptr);
  const auto other = MakeCertificate(For("Other", CertificateUsage::kCa), nullptr);
  ASSERT_TRUE(ca && other);
  const Issuer ours{ca->certificate_pem, ca->key_pem}, theirs{other->certificate_pem, other->key_pem};
  const auto made = [](const CertificateRequest& request, const Issuer* issuer) {
    return MakeCertificate(request, issuer)->certificate_pem;
  };
  const std::string good = made(For("i-1", CertificateUsage::kClient), &ours);
  struct Case {
    const char* name;
    std::string pem;
    const char* reason;
  };
  const Case cases[] = {
      {"good", good, ""},
      {"none", "", "no_certificate"},
      {"garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
       "bad_certificate"},
      {"other CA", made(For("i-1", CertificateUsage::kClient), &theirs), "other_ca"},
      {"self-signed", made(For("i-1", CertificateUsage::kClient), nullptr), "other_ca"},
      {"a server's", made(For("s", CertificateUsage::kServer), &ours), "not_a_client"},
  };
  for (const Case& c : cases) {
    const auto refusal = CheckClientCertificate(c.pem, ca->certificate_pem, kNow);
    EXPECT_EQ(refusal.reason, c.reason) << c.name << ": " << refusal.message;
  }
}

TEST(ClientCheckTest, TimeIsSaidInWords) {
  CertificateRequest root = For("CA", CertificateUsage::kCa);
  root.not_before = kNow - hours(1000);
  root.not_after = kNow + hours(1000);
  const auto ca = MakeCertificate(root, nullptr);
  ASSERT_TRUE(ca);
  const Issuer issuer{ca->certificate_pem, ca->key_pem};
  const auto leaf = MakeCertificate(For("i-1", CertificateUsage::kClient), &issuer);
  ASSERT_TRUE(leaf);
  const auto late = CheckClientCertificate(leaf->certificate_pem, ca->certificate_pem, kNow + hours(25));
  EXPECT_EQ(late.reason, "expired");
  EXPECT_THAT(late.message, HasSubstr("\"i-1\" expired at"));
  const auto early = CheckClientCertificate(leaf->certificate_pem, ca->certificate_pem, kNow - hours(2));
  EXPECT_EQ(early.reason, "not_yet_valid");
}

}  // namespace
}  // namespace culprit
