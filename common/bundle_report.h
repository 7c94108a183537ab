// SPDX-License-Identifier: Apache-2.0
// What `verify` says of a snapshot bundle, in words and as JSON; one for all programs that have the
// command. Stage: common (edge: the file). Thread: any.
#ifndef CULPRIT_COMMON_BUNDLE_REPORT_H_
#define CULPRIT_COMMON_BUNDLE_REPORT_H_

#include <string>

#include "common/bundle_verify.h"
#include "common/result.h"

namespace culprit {

struct BundleReport {
  bool good = false;
  std::string text;
};

// `key`: a fingerprint "SHA256:…", a file with a public key, or empty. Errors: kInvalidArgument
// (the key), or the file cannot be read; a bad bundle is no error.
Result<BundleReport> VerifyBundleFile(const std::string& path, const std::string& key, bool json);

std::string VerdictText(const BundleVerdict& verdict, const std::string& path);
std::string VerdictJson(const BundleVerdict& verdict, const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_REPORT_H_
