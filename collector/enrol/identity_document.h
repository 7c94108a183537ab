// SPDX-License-Identifier: Apache-2.0
// The EC2 instance identity document and its signature, as IMDS gives them: what they say, whether
// AWS signed it, and whether an owner's rules let that instance in.
//
// The document carries no nonce, and every process on its instance can read it: it proves which
// instance, not which process and not when. That is why it counts once (enroller.h).
// Stage: enrol. Pure; the time arrives from outside. Thread: any. Total on any bytes: documents up
// to 16 KiB, signatures up to 16 KiB.
#ifndef CULPRIT_COLLECTOR_ENROL_IDENTITY_DOCUMENT_H_
#define CULPRIT_COLLECTOR_ENROL_IDENTITY_DOCUMENT_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "collector/enrol/region_certificates.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct IdentityDocument {
  std::string account, region, instance_id, private_address, image_id;
  WallTime pending;  // when the instance was last started
};

// Why not, in one word for the audit log and in a sentence for people.
struct EnrolRefusal {
  std::string reason;
  Error error;
};
template <class T>
using Checked = tl::expected<T, EnrolRefusal>;

inline constexpr std::size_t kMaxDocumentBytes = 16'384, kMaxSignatureBytes = 16'384;

// Only what it says: nothing is proved by it. Refusals: "document_format".
Checked<IdentityDocument> ReadIdentityDocument(std::string_view json);

// That `signature` (PKCS#7, base64 as IMDS gives it at .../instance-identity/rsa2048, with or without
// PEM lines) is AWS's for the document's region, over exactly the bytes of `json`.
// Refusals: "document_format", "unknown_region" (no certificate for it), "region_certificate_expired",
// "document_signature" (of nobody whom we know, or of another region), "document_content" (of another
// document).
Checked<IdentityDocument> VerifyIdentityDocument(std::string_view json, std::string_view signature,
                                                 const RegionCertificates& certificates,
                                                 WallTime now);

struct DocumentPolicy {
  std::vector<std::string> accounts;  // none = nobody gets in by a document
  std::vector<std::string> regions;   // none = all that there is a certificate for
  std::chrono::seconds max_age{0};    // since `pending`; 0 = any
};
// Refusals: "account", "region", "document_age".
Checked<void> CheckDocumentPolicy(const IdentityDocument& document, const DocumentPolicy& policy,
                                  WallTime now);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_IDENTITY_DOCUMENT_H_
