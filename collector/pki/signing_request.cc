// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/signing_request.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/openssl_ptr.h"

namespace culprit {
namespace {

constexpr int kMaxNameBytes = 64;

bool IsKeyOfOurs(EVP_PKEY* key) {
  if (EVP_PKEY_get_id(key) == EVP_PKEY_ED25519) return true;
  if (EVP_PKEY_get_id(key) != EVP_PKEY_EC) return false;
  char group[64] = {};
  std::size_t length = 0;
  return EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         std::string_view(group, length) == SN_X9_62_prime256v1;
}

Result<std::string> PublicDer(EVP_PKEY* key) {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(key, &bytes);
  if (size <= 0) return InvalidArgument("no public key");
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

std::string CommonName(X509_REQ* request) {
  const X509_NAME* subject = X509_REQ_get_subject_name(request);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  if (ASN1_STRING_length(text) > kMaxNameBytes) return {};
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

}  // namespace

Result<SigningRequest> ReadSigningRequest(std::string_view der) {
  if (der.empty() || der.size() > kMaxSigningRequestBytes) {
    return InvalidArgument("a signing request has 1 to 4096 bytes");
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  const OpensslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!request || at != end) return InvalidArgument("not a signing request (PKCS#10, DER)");
  const OpensslPtr<EVP_PKEY> key(X509_REQ_get_pubkey(request.get()));
  if (!key || !IsKeyOfOurs(key.get())) {
    ERR_clear_error();
    return InvalidArgument("the key is neither ECDSA P-256 nor Ed25519");
  }
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the signing request is not signed by its own key");
  }
  SigningRequest out;
  out.common_name = CommonName(request.get());
  TRY(out.public_key_der, PublicDer(key.get()));
  out.key_sha256 = Sha256Of(out.public_key_der);
  return out;
}

Result<Sha256Digest> KeySha256(std::string_view certificate_pem) {
  const OpensslPtr<X509> certificate = CertificateOfPem(certificate_pem);
  const OpensslPtr<EVP_PKEY> key(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
  if (!key) {
    ERR_clear_error();
    return InvalidArgument("not a PEM certificate");
  }
  TRY(const std::string der, PublicDer(key.get()));
  return Sha256Of(der);
}

}  // namespace culprit
