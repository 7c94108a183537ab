// SPDX-License-Identifier: Apache-2.0
// Fuzzer: indexes of packet segments, with their checksum made right so that the fields are
// reached, and dumps of links. An index that is read stays within its bounds and says the same when
// written.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ring/link_watch.h"
#include "agent/ring/segment_index.h"
#include "common/bytes.h"
#include "common/crc32c.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kSumAt = 8, kBodyAt = 12;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  std::vector<Link> links;
  ParseLinks(bytes, &links);
  if (links.size() > size) std::abort();
  if (bytes.size() >= kBodyAt) {
    StoreLe(bytes.data() + kSumAt, Crc32c(std::string_view(bytes).substr(kBodyAt)));
  }
  const auto index = SegmentIndex::Parse(bytes);
  if (!index) return 0;
  const std::string written = index->Encode();
  if (written.size() != index->EncodedBytes() || written.size() > kMaxIndexBytes) std::abort();
  const auto again = SegmentIndex::Parse(written);
  if (!again || again->Encode() != written) std::abort();
  return 0;
}
