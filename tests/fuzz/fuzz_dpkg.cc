// SPDX-License-Identifier: Apache-2.0
// Any bytes as dpkg's lists of files, of digests and of diversions.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/dpkg_text.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace culprit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool merged : {true, false}) {
    ForEachListed(text, [&](std::string_view path) {
      Require(path.starts_with('/') && path.find('\n') == std::string_view::npos);
      Require(path.ends_with(PlainPath(path, merged)));
    });
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string_view digest = DigestOf(text, line, merged);
    Require(digest.empty() || digest.size() == kMd5HexBytes);
  }
  for (const Diversion& one : ParseDiversions(text)) {
    Require(one.from.starts_with('/') && one.to.starts_with('/') && !one.by.empty());
  }
  return 0;
}
