// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/certificate_builder.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "common/net_address.h"
#include "common/openssl_ptr.h"

namespace culprit {
namespace {

Result<OpensslPtr<EVP_PKEY>> MakeKey(int type) {
  const OpensslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(type, nullptr));
  if (!context || EVP_PKEY_keygen_init(context.get()) != 1) return OpensslError("make a key");
  if (type == EVP_PKEY_EC &&
      EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context.get(), NID_X9_62_prime256v1) != 1) {
    return OpensslError("choose the curve");
  }
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen(context.get(), &key) != 1) return OpensslError("make a key");
  return OpensslPtr<EVP_PKEY>(key);
}

template <class Writer>
Result<std::string> ToPem(Writer&& writer) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || writer(bio.get()) != 1) return OpensslError("write PEM");
  return std::string(ContentOf(bio.get()));
}

Result<std::string> PrivatePem(EVP_PKEY* key) {
  return ToPem([key](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Status AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const OpensslPtr<X509_EXTENSION> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(cert, extension.get(), -1) != 1) {
    return OpensslError("certificate extension");
  }
  return Ok();
}

// OpenSSL's extension text has its own syntax: only characters of host names and of our URIs may
// get into it.
Result<std::string> AlternativeNames(const CertificateRequest& request) {
  std::string out;
  for (const std::string& uri : {request.uri, request.second_uri}) {
    if (uri.empty()) continue;
    const bool clean = std::ranges::all_of(uri, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == ':' || c == '/' || c == '.' || c == '-' || c == '_';
    });
    if (!clean) return InvalidArgument("\"" + uri + "\" can not stand in a certificate");
    out += (out.empty() ? "URI:" : ",URI:") + uri;
  }
  for (const std::string& name : request.host_names) {
    const bool is_address = IpAddress::Parse(name).has_value();
    const bool clean = std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '*';
    });
    if (!is_address && (name.empty() || name.size() > 253 || !clean)) {
      return InvalidArgument("\"" + name + "\" is neither a host name nor an address");
    }
    out += (out.empty() ? "" : ",") + std::string(is_address ? "IP:" : "DNS:") + name;
  }
  return out;
}

Status AddExtensions(const CertificateRequest& request, X509* cert, X509* issuer) {
  const bool is_ca = request.usage == CertificateUsage::kCa;
  TRY_VOID(AddExtension(cert, issuer, NID_basic_constraints,
                        is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE"));
  TRY_VOID(AddExtension(cert, issuer, NID_key_usage,
                        is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
  TRY_VOID(AddExtension(cert, issuer, NID_subject_key_identifier, "hash"));
  if (is_ca) return Ok();
  TRY_VOID(AddExtension(cert, issuer, NID_authority_key_identifier, "keyid"));
  TRY_VOID(AddExtension(cert, issuer, NID_ext_key_usage,
                        request.usage == CertificateUsage::kServer ? "serverAuth" : "clientAuth"));
  TRY(const std::string names, AlternativeNames(request));
  return names.empty() ? Ok() : AddExtension(cert, issuer, NID_subject_alt_name, names);
}

Status SetSubject(X509* cert, const std::string& common_name) {
  X509_NAME* name = X509_get_subject_name(cert);
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1) {
    return OpensslError("certificate subject");
  }
  return Ok();
}

Status SetSerial(X509* cert) {
  const OpensslPtr<BIGNUM> serial(BN_new());
  if (!serial || BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(cert)) == nullptr) {
    return OpensslError("certificate serial number");
  }
  return Ok();
}

std::time_t ToTimeT(WallTime t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}

struct LoadedIssuer {
  OpensslPtr<X509> certificate;
  OpensslPtr<EVP_PKEY> key;
};

Result<LoadedIssuer> Load(const Issuer& issuer) {
  LoadedIssuer out{CertificateOfPem(issuer.certificate_pem), PrivateKeyOfPem(issuer.key_pem)};
  if (!out.certificate || !out.key) return OpensslError("read the CA");
  return out;
}

// `key` is the subject's; without an issuer it signs, too.
Result<std::string> Build(const CertificateRequest& request, EVP_PKEY* key, const Issuer* issuer) {
  LoadedIssuer ca;
  if (issuer != nullptr) {
    TRY(ca, Load(*issuer));
  }
  const OpensslPtr<X509> cert(X509_new());
  if (!cert || X509_set_version(cert.get(), 2) != 1) return OpensslError("make a certificate");
  TRY_VOID(SetSerial(cert.get()));
  TRY_VOID(SetSubject(cert.get(), request.common_name));
  X509* signer = issuer != nullptr ? ca.certificate.get() : cert.get();
  if (X509_set_issuer_name(cert.get(), X509_get_subject_name(signer)) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(cert.get()), ToTimeT(request.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(cert.get()), ToTimeT(request.not_after)) == nullptr ||
      X509_set_pubkey(cert.get(), key) != 1) {
    return OpensslError("fill in the certificate");
  }
  TRY_VOID(AddExtensions(request, cert.get(), signer));
  if (X509_sign(cert.get(), issuer != nullptr ? ca.key.get() : key, EVP_sha256()) == 0) {
    return OpensslError("sign");
  }
  return ToPem([&cert](BIO* bio) { return PEM_write_bio_X509(bio, cert.get()); });
}

}  // namespace

Result<KeyAndCertificate> MakeCertificate(const CertificateRequest& request, const Issuer* issuer) {
  TRY(const OpensslPtr<EVP_PKEY> key, MakeKey(EVP_PKEY_EC));
  KeyAndCertificate out;
  TRY(out.certificate_pem, Build(request, key.get(), issuer));
  TRY(out.key_pem, PrivatePem(key.get()));
  return out;
}

Result<std::string> IssueCertificate(const CertificateRequest& request,
                                     std::string_view public_key_der, const Issuer& issuer) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(public_key_der.data());
  const OpensslPtr<EVP_PKEY> key(
      d2i_PUBKEY(nullptr, &bytes, static_cast<long>(public_key_der.size())));
  if (!key) return InvalidArgument("not a public key");
  return Build(request, key.get(), &issuer);
}

Result<SigningKey> MakeSigningKey() {
  TRY(const OpensslPtr<EVP_PKEY> key, MakeKey(EVP_PKEY_ED25519));
  SigningKey out;
  TRY(out.private_pem, PrivatePem(key.get()));
  TRY(out.public_pem, ToPem([&key](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key.get()); }));
  return out;
}

}  // namespace culprit
