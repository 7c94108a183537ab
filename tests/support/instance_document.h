// SPDX-License-Identifier: Apache-2.0
// An authority that signs instance identity documents as AWS does: RSA-2048, self-signed, PKCS#7
// with the document inside, base64 in lines of 64 without PEM lines.
#ifndef CULPRIT_TESTS_SUPPORT_INSTANCE_DOCUMENT_H_
#define CULPRIT_TESTS_SUPPORT_INSTANCE_DOCUMENT_H_

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "common/time.h"

namespace culprit {

class TestAws {
 public:
  // Its certificate is good from a day before `now` for ten years, or for `days`.
  explicit TestAws(WallTime now, long days = 3650)
      : key_(EVP_RSA_gen(2048), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    X509_set_version(certificate_.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_.get()), 7 + std::rand() % 1'000'000);
    X509_NAME* name = X509_get_subject_name(certificate_.get());
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("Test Web Services LLC"), -1,
                               -1, 0);
    X509_set_issuer_name(certificate_.get(), name);
    constexpr long kDay = 86'400;
    ASN1_TIME_set(X509_getm_notBefore(certificate_.get()), seconds - kDay);
    ASN1_TIME_set(X509_getm_notAfter(certificate_.get()), seconds + (days - 1) * kDay);
    X509_set_pubkey(certificate_.get(), key_.get());
    if (X509_sign(certificate_.get(), key_.get(), EVP_sha256()) == 0) std::abort();
  }

  std::string pem() const {
    return Written([this](BIO* bio) { PEM_write_bio_X509(bio, certificate_.get()); });
  }

  std::string Sign(const std::string& document) const {
    const Bio in(BIO_new_mem_buf(document.data(), static_cast<int>(document.size())), BIO_free);
    const std::unique_ptr<CMS_ContentInfo, decltype(&CMS_ContentInfo_free)> cms(
        CMS_sign(certificate_.get(), key_.get(), nullptr, in.get(), CMS_BINARY | CMS_NOSMIMECAP),
        CMS_ContentInfo_free);
    if (!cms) std::abort();
    const std::string der = Written([&](BIO* bio) { i2d_CMS_bio(bio, cms.get()); });
    std::string base64(der.size() * 2 + 4, '\0');
    const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()),
                                  reinterpret_cast<const unsigned char*>(der.data()),
                                  static_cast<int>(der.size()));
    base64.resize(static_cast<std::size_t>(n));
    for (std::size_t at = 64; at < base64.size(); at += 65) base64.insert(at, "\n");
    return base64;
  }

 private:
  using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
  template <class Write>
  static std::string Written(const Write& write) {
    const Bio bio(BIO_new(BIO_s_mem()), BIO_free);
    write(bio.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

// With all members that the real one has.
inline std::string InstanceDocument(const std::string& instance, WallTime pending,
                                    const std::string& region = "ap-south-1",
                                    const std::string& account = "123456789012") {
  return "{\n  \"accountId\" : \"" + account +
         "\",\n  \"architecture\" : \"x86_64\",\n  \"availabilityZone\" : \"" + region +
         "a\",\n  \"billingProducts\" : null,\n  \"devpayProductCodes\" : null,\n"
         "  \"marketplaceProductCodes\" : null,\n  \"imageId\" : \"ami-0123456789abcdef0\",\n"
         "  \"instanceId\" : \"" +
         instance +
         "\",\n  \"instanceType\" : \"t3.nano\",\n  \"kernelId\" : null,\n  \"pendingTime\" : \"" +
         FormatUtc(pending).substr(0, 19) +
         "Z\",\n  \"privateIp\" : \"192.0.2.10\",\n  \"ramdiskId\" : null,\n  \"region\" : \"" +
         region + "\",\n  \"version\" : \"2017-09-30\"\n}";
}

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_INSTANCE_DOCUMENT_H_
