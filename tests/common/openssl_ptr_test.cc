// SPDX-License-Identifier: Apache-2.0
#include "common/openssl_ptr.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <string>

namespace culprit {
namespace {

std::string KeyPem(EVP_PKEY* key, const char* pass_phrase) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  const EVP_CIPHER* cipher = pass_phrase == nullptr ? nullptr : EVP_aes_256_cbc();
  EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, cipher, pass_phrase,
                                          pass_phrase == nullptr ? 0 : 4, nullptr, nullptr),
            1);
  return std::string(ContentOf(bio.get()));
}

TEST(OpensslPtr, AKeyComesBackFromItsPem) {
  const OpensslPtr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const auto again = PrivateKeyOfPem(KeyPem(key.get(), nullptr));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(EVP_PKEY_eq(key.get(), again.get()), 1);
}

TEST(OpensslPtr, AnEncryptedKeyIsNoneAndNobodyIsAsked) {
  const OpensslPtr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  EXPECT_EQ(PrivateKeyOfPem(KeyPem(key.get(), "pass")), nullptr);
  const Error error = OpensslError("read it");
  EXPECT_TRUE(error.message.starts_with("read it: error:")) << error.message;
  EXPECT_TRUE(OpensslError("again").message.starts_with("again: error:00000000"));
}

TEST(OpensslPtr, WhatIsNoPemIsNull) {
  for (const char* text :
       {"", "text", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"}) {
    EXPECT_EQ(CertificateOfPem(text), nullptr);
    EXPECT_EQ(PrivateKeyOfPem(text), nullptr);
  }
  EXPECT_EQ(ContentOf(OpensslPtr<BIO>(BIO_new(BIO_s_mem())).get()), "");
}

}  // namespace
}  // namespace culprit
