// SPDX-License-Identifier: Apache-2.0
// Whether a snapshot bundle is what its manifest says, and the manifest what the key signed; and if
// not, which defect it has.
//
// Stage: common, pure apart from the source. Thread: one caller. Total on any bytes; memory grows
// with the manifest, which is bounded.
#ifndef CULPRIT_COMMON_BUNDLE_VERIFY_H_
#define CULPRIT_COMMON_BUNDLE_VERIFY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bundle_manifest.h"
#include "common/bundle_reader.h"
#include "common/ssh_signature.h"

namespace culprit {

enum class BundleDefect : std::uint8_t {
  kTruncated,     // ends before its end
  kDamaged,       // bytes that are neither tar nor zstd
  kEdited,        // a member, or a line of the manifest, is another than was signed
  kReordered,     // members stand in another order
  kMissing,       // a member is gone
  kAdded,         // a member, or bytes, that the manifest does not know
  kBadSignature,  // the manifest is not what was signed
  kWrongKey,      // signed, by another key than the trusted one
};
std::string_view DefectName(BundleDefect defect);

struct BundleFinding {
  BundleDefect defect;
  std::string what;
};

struct BundleVerdict {
  std::vector<BundleFinding> findings;  // empty: as signed; at most 100
  bool trusted = false;                 // the key was given and is the one
  std::optional<Ed25519PublicKey> key;  // that signed
  std::optional<BundleHead> head;
  std::optional<BundleEnd> end;
  std::vector<TierEnd> tiers;                             // whole, signed and as signed
  std::uint64_t members = 0, cut_members = 0, bytes = 0;  // read
  bool good() const { return findings.empty(); }
};

// `trusted`: the key that must have signed, or its fingerprint "SHA256:…"; neither: any.
struct TrustedSigner {
  std::optional<Ed25519PublicKey> key;
  std::string fingerprint;
};

// Errors: the source cannot be read. Everything that is wrong with the bundle is in the verdict.
Result<BundleVerdict> VerifyBundle(ByteSource source, const TrustedSigner& trusted,
                                   const BundleLimits& limits = {});

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_VERIFY_H_
