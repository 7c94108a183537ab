// SPDX-License-Identifier: Apache-2.0
// Fuzzer: signing requests (PKCS#10) and client certificates from any bytes. First byte: 0 = a
// request, else a certificate in PEM. A request that is taken can be made a certificate of.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "collector/audit/audit_chain.h"
#include "collector/pki/certificate_builder.h"
#include "collector/pki/client_check.h"
#include "collector/pki/peer_identity.h"
#include "collector/pki/signing_request.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

const WallTime kNow(std::chrono::seconds(1'800'000'000));

void Check(bool holds) {
  if (!holds) std::abort();
}

const Issuer& Ca() {
  static const Issuer issuer = [] {
    CertificateRequest request;
    request.common_name = "CA";
    request.usage = CertificateUsage::kCa;
    request.not_before = kNow - std::chrono::hours(1);
    request.not_after = kNow + std::chrono::hours(1);
    const auto made = MakeCertificate(request, nullptr);
    Check(made.has_value());
    return Issuer{made->certificate_pem, made->key_pem};
  }();
  return issuer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0) {
    if (const auto request = ReadSigningRequest(rest); request) {
      Check(request->common_name.size() <= 64);
      CertificateRequest wanted;
      wanted.common_name = "i-1";
      wanted.not_before = kNow - std::chrono::hours(1);
      wanted.not_after = kNow + std::chrono::hours(1);
      const auto issued = IssueCertificate(wanted, request->public_key_der, Ca());
      Check(issued.has_value() && *KeySha256(*issued) == request->key_sha256);
    }
  } else if (data[0] == 1) {
    Check(!CheckClientCertificate(rest, Ca().certificate_pem, kNow).reason.empty());
    static_cast<void>(IdentifyPeer(rest));
    static_cast<void>(KeySha256(rest));
  } else {
    static_cast<void>(ReadAuditLine(rest));
  }
  return 0;
}
