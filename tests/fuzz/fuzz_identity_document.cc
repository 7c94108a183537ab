// SPDX-License-Identifier: Apache-2.0
// Fuzzer: an instance identity document with its PKCS#7 signature, and a file of regions'
// certificates, from any bytes. First byte: 0 = a file of certificates; else a document, a newline
// with two dashes, and a signature. What is let in was signed; nobody here has a key, so nothing is.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "collector/enrol/identity_document.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::string_view kSplit = "\n--\n";
const WallTime kNow(std::chrono::seconds(1'800'000'000));

// Of RSA-2048, self-signed; its key was thrown away.
constexpr const char* kCertificate =
#include "tests/fuzz/thrown_away.inc"
    ;

void Check(bool holds) {
  if (!holds) std::abort();
}

void TryDocument(std::string_view text) {
  const std::size_t at = text.find(kSplit);
  const std::string_view document = text.substr(0, at);
  const std::string_view signature =
      at == std::string_view::npos ? std::string_view() : text.substr(at + kSplit.size());
  const auto read = ReadIdentityDocument(document);
  if (read) {
    Check(read->account.size() == 12 && read->instance_id.starts_with("i-"));
    CheckDocumentPolicy(*read, {{read->account}, {}, std::chrono::hours(1)}, kNow);
  }
  RegionCertificates certificates;
  if (read) certificates[read->region] = {kCertificate};
  Check(!VerifyIdentityDocument(document, signature, certificates, kNow));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != 0) {
    TryDocument(text);
  } else if (const auto read = ParseRegionCertificates(text); read) {
    for (const auto& [region, list] : *read) Check(!region.empty() && !list.empty());
  }
  return 0;
}
