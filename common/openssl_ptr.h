// SPDX-License-Identifier: Apache-2.0
// OpensslPtr: owns an object of OpenSSL; and how keys and certificates in PEM become one.
// Stage: common. Thread: one owner. Failure: null, with the reason in OpenSSL's queue of errors.
#ifndef CULPRIT_COMMON_OPENSSL_PTR_H_
#define CULPRIT_COMMON_OPENSSL_PTR_H_

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

#include "common/result.h"

namespace culprit {

struct OpensslFree {
  void operator()(BIGNUM* p) const { BN_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(CMS_ContentInfo* p) const { CMS_ContentInfo_free(p); }
  void operator()(EC_GROUP* p) const { EC_GROUP_free(p); }
  void operator()(EC_POINT* p) const { EC_POINT_free(p); }
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }  // not the certificates in it
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
  void operator()(X509_REQ* p) const { X509_REQ_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
};
template <class T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

// To read `bytes` from, which have to outlive it.
OpensslPtr<BIO> MemoryBio(std::string_view bytes);
// What was written into a BIO of memory, which has to outlive it.
std::string_view ContentOf(BIO* bio);
OpensslPtr<X509> CertificateOfPem(std::string_view pem);
// Null for an encrypted key, too: nobody is asked for a pass phrase on the terminal.
OpensslPtr<EVP_PKEY> PrivateKeyOfPem(std::string_view pem);
// The oldest of what OpenSSL remembers, and the rest is forgotten.
Error OpensslError(std::string_view what);

}  // namespace culprit

#endif  // CULPRIT_COMMON_OPENSSL_PTR_H_
