// SPDX-License-Identifier: Apache-2.0
// Fuzzer: snapshot bundles, in two ways by the first byte: the bytes as a file, so that tar and
// zstd are reached, or as a manifest and its signature, put into an archive that is right. Whatever
// they are, the verdict is bounded, and nothing that was not made by the key is trusted.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/bundle_report.h"
#include "common/bundle_summary.h"
#include "common/bundle_verify.h"
#include "tests/support/bundle_bytes.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

void Check(std::string_view bytes) {
  const BundleLimits limits{10'000, std::uint64_t{8} << 20};
  TrustedSigner nobody;
  nobody.fingerprint = "SHA256:nobody";
  const auto verdict = VerifyBundle(SourceOfBytes(bytes), nobody, limits);
  if (!verdict || verdict->good() || verdict->trusted) std::abort();
  if (verdict->findings.size() > 100) std::abort();
  const auto summary = SummariseBundle(SourceOfBytes(bytes), limits);
  if (!summary || summary->notable.size() > 500 || SummaryText(*summary).empty() ||
      SummaryJson(*summary).empty())
    std::abort();
  if (VerdictText(*verdict, "x").empty() || VerdictJson(*verdict, "x").empty()) std::abort();
}

void CheckManifest(std::string_view bytes) {
  ManifestChain chain;
  while (!bytes.empty()) {
    const std::string_view line = bytes.substr(0, bytes.find('\n'));
    const auto parsed = ParseManifestLine(line);
    // What is read is written so that it is read to the same.
    if (parsed) {
      const std::string written = FormatManifestLine(*parsed);
      const auto again = ParseManifestLine(written);
      if (written.size() <= kMaxManifestLine && (!again || FormatManifestLine(*again) != written))
        std::abort();
    }
    (void)chain.Next(line);
    bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    Check(bytes);
    return 0;
  }
  CheckManifest(bytes);
  const std::size_t middle = std::min(bytes.find("-----BEGIN SSH"), bytes.size());
  Check(PackBundle({{"live/processes.jsonl", std::string(bytes)},
                    {"live/hidden-1.jsonl", std::string(bytes)},
                    {"live/sockets.jsonl", std::string(bytes)},
                    {"live/executables.jsonl", std::string(bytes)},
                    {"live/ssh-posture.json", std::string(bytes)},
                    {"live/cloud.json", std::string(bytes)},
                    {"live/files.jsonl", std::string(bytes)}}));
  Check(PackBundle({{"manifest.jsonl", std::string(bytes.substr(0, middle))},
                    {"manifest.jsonl.sig", std::string(bytes.substr(middle))}}));
  return 0;
}
