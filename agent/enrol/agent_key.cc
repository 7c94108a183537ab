// SPDX-License-Identifier: Apache-2.0
#include "agent/enrol/agent_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/openssl_ptr.h"

namespace culprit {
namespace {

// Ed25519 signs without a digest of its own choosing.
const EVP_MD* DigestFor(EVP_PKEY* key) {
  return EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

}  // namespace

Result<std::string> MakeAgentKey() {
  const OpensslPtr<EVP_PKEY> key(EVP_EC_gen(SN_X9_62_prime256v1));
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (!key || !bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return OpensslError("make a key");
  }
  return std::string(ContentOf(bio.get()));
}

Result<std::string> MakeSigningRequest(std::string_view key_pem, const std::string& common_name) {
  const OpensslPtr<EVP_PKEY> key = PrivateKeyOfPem(key_pem);
  if (!key) {
    ERR_clear_error();
    return InvalidArgument("no unencrypted PEM private key");
  }
  const OpensslPtr<X509_REQ> request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), 0) != 1 ||
      X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), DigestFor(key.get())) <= 0) {
    return OpensslError("make a signing request");
  }
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_REQ(request.get(), &bytes);
  if (size <= 0) return OpensslError("write a signing request");
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

}  // namespace culprit
