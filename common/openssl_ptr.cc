// SPDX-License-Identifier: Apache-2.0
#include "common/openssl_ptr.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <string>

namespace culprit {

OpensslPtr<BIO> MemoryBio(std::string_view bytes) {
  return OpensslPtr<BIO>(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string_view ContentOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(std::max(size, 0L))};
}

OpensslPtr<X509> CertificateOfPem(std::string_view pem) {
  return OpensslPtr<X509>(PEM_read_bio_X509(MemoryBio(pem).get(), nullptr, nullptr, nullptr));
}

OpensslPtr<EVP_PKEY> PrivateKeyOfPem(std::string_view pem) {
  std::string no_pass_phrase;
  return OpensslPtr<EVP_PKEY>(
      PEM_read_bio_PrivateKey(MemoryBio(pem).get(), nullptr, nullptr, no_pass_phrase.data()));
}

Error OpensslError(std::string_view what) {
  char text[256] = "unknown";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return Internal(std::string(what) + ": " + text);
}

}  // namespace culprit
