// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/client_check.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <chrono>

#include "common/credentials.h"
#include "common/openssl_ptr.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPemBytes = 65'536;

OpensslPtr<X509> Parse(std::string_view pem) {
  if (pem.empty() || pem.size() > kMaxPemBytes) return nullptr;
  return CertificateOfPem(pem);
}

CertificateRefusal Explain(int why, std::string_view pem) {
  const auto info = ReadCertificate(pem);
  const std::string whose =
      info ? "the certificate of \"" + EscapeText(info->common_name.substr(0, 64)) + "\""
           : "the certificate";
  switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {"expired", whose + " expired at " + (info ? FormatUtc(info->not_after) : "?")};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {"not_yet_valid",
              whose + " is not valid before " + (info ? FormatUtc(info->not_before) : "?") +
                  ": check both clocks"};
    case X509_V_ERR_INVALID_PURPOSE:
      return {"not_a_client", whose + " is not for clients"};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return {"other_ca", whose + " is of another CA"};
    default:
      return {"bad_certificate", whose + ": " + X509_verify_cert_error_string(why)};
  }
}

}  // namespace

CertificateRefusal CheckClientCertificate(std::string_view certificate_pem, std::string_view ca_pem,
                                          WallTime now) {
  if (certificate_pem.empty()) return {"no_certificate", "no client certificate"};
  const OpensslPtr<X509> certificate = Parse(certificate_pem), ca = Parse(ca_pem);
  const OpensslPtr<X509_STORE> store(X509_STORE_new());
  const OpensslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!certificate || !ca || !store || !context ||
      X509_STORE_add_cert(store.get(), ca.get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
    ERR_clear_error();
    return {"bad_certificate", "not a certificate"};
  }
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_time(
      X509_STORE_CTX_get0_param(context.get()),
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  const bool good = X509_verify_cert(context.get()) == 1;
  const int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (good && why == X509_V_OK) return {};
  return Explain(why, certificate_pem);
}

}  // namespace culprit
