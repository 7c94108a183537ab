// SPDX-License-Identifier: Apache-2.0
#include "common/md5.h"

#include <array>

#include "common/hex.h"
#include "common/openssl_ptr.h"

namespace culprit {

struct Md5::Context {
  OpensslPtr<EVP_MD_CTX> md{EVP_MD_CTX_new()};
};

Md5::Md5() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->md.get(), EVP_md5(), nullptr) != 1) context_.reset();
}
Md5::~Md5() = default;

void Md5::Update(std::string_view bytes) {
  if (usable()) EVP_DigestUpdate(context_->md.get(), bytes.data(), bytes.size());
}

std::string Md5::FinishHex() {
  if (!usable()) return "";
  std::array<unsigned char, 16> digest{};
  EVP_DigestFinal_ex(context_->md.get(), digest.data(), nullptr);
  context_.reset();
  return HexEncode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace culprit
