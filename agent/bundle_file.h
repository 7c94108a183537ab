// SPDX-License-Identifier: Apache-2.0
// The file that a bundle is written to, and who the host is that it is of: for the commands that
// make one. Stage: wiring (edge: files, the metadata service). Thread: one caller.
#ifndef CULPRIT_AGENT_BUNDLE_FILE_H_
#define CULPRIT_AGENT_BUNDLE_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/identity.h"
#include "common/bundle_manifest.h"
#include "common/result.h"
#include "common/sha256.h"
#include "common/unique_fd.h"

namespace culprit {

// "i-0123…_20260301T020304Z_1a2b3c4d.tar.zst", as of now.
std::string BundleName(const BundleHead& head);

// SHA-256 of /proc/self/exe in hexadecimal; empty where it cannot be read.
std::string HashOfThisProgram();

// The metadata service's answer where it is to be asked and answers, else what the host tells.
HostFacts AskWhoThisIs(const IdentityOptions& identity);

// Under a name of its own until it is whole.
class BundleFile {
 public:
  // `out`: a file, a directory, "-" for standard output; empty: `directory`, which is made.
  static Result<BundleFile> Open(const std::string& out, const std::string& directory,
                                 const BundleHead& head);

  Status Write(std::string_view bytes);
  // Durable, and under its name.
  Status Keep();

  const std::string& path() const { return path_; }  // empty: standard output
  std::uint64_t bytes() const { return bytes_; }
  std::string Sha256Hex();  // once, at the end

 private:
  std::string PartPath() const { return path_ + ".part"; }

  UniqueFd fd_;
  std::string path_;
  Sha256 hash_;
  std::uint64_t bytes_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_BUNDLE_FILE_H_
