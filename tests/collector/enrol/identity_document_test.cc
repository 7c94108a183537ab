// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/identity_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/enrol/join_token.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/hex.h"
#include "tests/support/instance_document.h"

namespace culprit {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

const WallTime kNow(std::chrono::seconds(1'800'000'000));
const std::string kInstance = "i-0123456789abcdef0";

// Keys cost time: one set for all tests.
struct Signers {
  const TestAws aws{kNow}, other_region{kNow}, forger{kNow}, replaced{kNow};
};

class DocumentTest : public ::testing::Test {
 protected:
  static const Signers& All() {
    static const Signers signers;
    return signers;
  }
  const TestAws &aws_ = All().aws, &other_region_ = All().other_region, &forger_ = All().forger;
  const std::string document_ = InstanceDocument(kInstance, kNow - hours(1));
  const RegionCertificates certificates_ = {
      {"ap-south-1", {All().replaced.pem(), aws_.pem()}},  // the older one is still listed
      {"me-south-1", {other_region_.pem()}}};
};

TEST_F(DocumentTest, SignedDocumentSaysWhatItSays) {
  const auto read = VerifyIdentityDocument(document_, aws_.Sign(document_), certificates_, kNow);
  ASSERT_TRUE(read) << read.error().error.message;
  EXPECT_EQ(read->account, "123456789012");
  EXPECT_EQ(read->region, "ap-south-1");
  EXPECT_EQ(read->instance_id, kInstance);
  EXPECT_EQ(read->private_address, "192.0.2.10");
  EXPECT_EQ(read->pending, kNow - hours(1));
}

TEST_F(DocumentTest, PemLinesAroundTheSignatureAreFine) {
  const std::string signature =
      "-----BEGIN PKCS7-----\r\n" + aws_.Sign(document_) + "\n-----END PKCS7-----\n";
  EXPECT_TRUE(VerifyIdentityDocument(document_, signature, certificates_, kNow));
}

TEST_F(DocumentTest, EachForgeryIsRefusedWithItsOwnWord) {
  const std::string good = aws_.Sign(document_);
  const std::string another = InstanceDocument("i-0fedcba9876543210", kNow - hours(1));
  const std::string elsewhere = InstanceDocument(kInstance, kNow - hours(1), "eu-west-9");
  std::string flipped = good;
  char& last = flipped[flipped.size() - 60];  // of the signature itself
  last = last == 'A' ? 'B' : 'A';
  const TestAws gone(kNow - hours(24 * 100), 30);
  const RegionCertificates old = {{"ap-south-1", {gone.pem()}}};
  struct Case {
    const char* name;
    std::string document, signature, reason;
    const RegionCertificates& certificates;
  };
  const Case cases[] = {
      {"signed by nobody we know", document_, forger_.Sign(document_), "document_signature",
       certificates_},
      {"signed by another region's certificate", document_, other_region_.Sign(document_),
       "document_signature", certificates_},
      {"signature of another document", another, good, "document_content", certificates_},
      {"one blank more", document_ + " ", good, "document_content", certificates_},
      {"region without a certificate", elsewhere, aws_.Sign(elsewhere), "unknown_region",
       certificates_},
      {"certificate that has expired", document_, gone.Sign(document_),
       "region_certificate_expired", old},
      {"no base64", document_, "!!!!", "document_format", certificates_},
      {"no signature", document_, "", "document_format", certificates_},
      {"no PKCS#7", document_, "AAAA", "document_format", certificates_},
      {"no document", "", good, "document_format", certificates_},
      {"no JSON", "i-0123", good, "document_format", certificates_},
      {"a list", "[]", good, "document_format", certificates_},
      {"no instance", "{\"accountId\":\"123456789012\",\"region\":\"ap-south-1\"}", good,
       "document_format", certificates_},
      {"deep", std::string(5000, '['), good, "document_format", certificates_},
  };
  for (const Case& c : cases) {
    const auto read = VerifyIdentityDocument(c.document, c.signature, c.certificates, kNow);
    ASSERT_FALSE(read) << c.name;
    EXPECT_EQ(read.error().reason, c.reason) << c.name << ": " << read.error().error.message;
    EXPECT_FALSE(read.error().error.message.empty());
  }
  const auto read = VerifyIdentityDocument(document_, flipped, certificates_, kNow);
  EXPECT_FALSE(read);
}

TEST_F(DocumentTest, OnlyAccountsRegionsAndAgesThatAreAllowedGetIn) {
  const auto document = ReadIdentityDocument(document_);
  ASSERT_TRUE(document);
  struct Case {
    DocumentPolicy policy;
    WallTime now;
    std::string reason;  // empty = in
  };
  const std::vector<std::string> mine = {"123456789012"};
  const Case cases[] = {
      {{mine, {}, hours(24)}, kNow, ""},
      {{mine, {"ap-south-1"}, hours(0)}, kNow + hours(10'000), ""},
      {{{}, {}, hours(24)}, kNow, "account"},
      {{{"210987654321"}, {}, hours(24)}, kNow, "account"},
      {{mine, {"me-south-1"}, hours(24)}, kNow, "region"},
      {{mine, {}, hours(24)}, kNow + hours(24), "document_age"},
      {{mine, {}, hours(24)}, kNow - hours(2), "document_age"},
  };
  for (const Case& c : cases) {
    const auto fits = CheckDocumentPolicy(*document, c.policy, c.now);
    EXPECT_EQ(fits ? "" : fits.error().reason, c.reason);
  }
}

TEST_F(DocumentTest, TimesThatAreNoneAreRefused) {
  for (const char* time : {"2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01 00:00:00Z",
                           "2026-01-01T00:00:00", "1026-01-01T00:00:00Z", ""}) {
    std::string text = document_;
    const std::size_t at = text.find("pendingTime\" : \"") + 16;
    text.replace(at, text.find('"', at) - at, time);
    EXPECT_FALSE(ReadIdentityDocument(text)) << time;
  }
}

TEST(RegionCertificatesTest, AFileGivesEachRegionItsCertificates) {
  const TestAws a(kNow), b(kNow);
  const auto read = ParseRegionCertificates("# two regions\nregion ap-south-1 ap-south-2\n" +
                                            a.pem() + "\nregion me-south-1\r\n" + b.pem() + a.pem());
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ(read->at("ap-south-2"), std::vector<std::string>{a.pem()});
  EXPECT_EQ(read->at("me-south-1").size(), 2U);
  EXPECT_TRUE(ParseRegionCertificates(""));
}

TEST(RegionCertificatesTest, WhatIsWrongIsNamedWithItsLine) {
  const TestAws a(kNow);
  const std::pair<std::string, const char*> cases[] = {
      {a.pem(), "line 1"},
      {"region\n", "line 1"},
      {"region ap-south-1\nregion Aa\n", "line 2"},
      {"region ap-south-1\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
       "not a certificate"},
      {"region ap-south-1\n-----BEGIN CERTIFICATE-----\nAAAA\n", "END"},
      {"region ap-south-1\nsomething\n", "line 2"},
  };
  for (const auto& [text, words] : cases) {
    const auto read = ParseRegionCertificates(text);
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().message, HasSubstr(words)) << text;
  }
}

TEST(RegionCertificatesTest, TheFileThatIsShippedIsWhole) {
  const auto text = ReadWholeFile(CULPRIT_SOURCE_DIR "/deploy/aws-certificates.pem", 1 << 20);
  ASSERT_TRUE(text);
  const auto read = ParseRegionCertificates(*text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_GE(read->size(), 39U);
  for (const auto& [region, certificates] : *read) {
    const auto info = ReadCertificate(certificates[0]);
    ASSERT_TRUE(info);
    const std::string hash = HexEncode(AsBytes(info->sha256));
    EXPECT_NE(text->find("# SHA-256 " + hash + "\nregion " + region + "\n"), text->npos) << region;
    EXPECT_GT(info->not_after, kNow) << region;
  }
}

TEST(JoinTokenTest, ATokenIsKnownByItsHashAlone) {
  const std::string a = MakeToken({1, 2, 3}), b = MakeToken({1, 2, 4});
  EXPECT_TRUE(IsToken(a));
  EXPECT_NE(TokenHash(a), TokenHash(b));
  EXPECT_EQ(TokenHash(a).find(a.substr(13)), std::string::npos);
  EXPECT_TRUE(TokenHash(a).starts_with(TokenId(TokenHash(a))));
  for (const std::string& text : {std::string(), a + "0", a.substr(1), std::string("culprit-join-"),
                                  "culprit-join-" + std::string(40, 'G')}) {
    EXPECT_FALSE(IsToken(text)) << text;
  }
}

}  // namespace
}  // namespace culprit
