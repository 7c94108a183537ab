// SPDX-License-Identifier: Apache-2.0
// Fuzzer: Zeek logs in either form from any bytes. Every line is a record, bad, or a header.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/zeek_log.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kMaxLines = 1U << 16;  // a packed file can have billions
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto reader = ZeekReader::FromStream(OpenMemoryStream(bytes));
  if (!reader) return 0;
  const ZeekStats& stats = (*reader)->stats();
  ZeekRecord record;
  std::uint64_t records = 0;
  while (stats.lines < kMaxLines && (*reader)->Next(record).value_or(false)) ++records;
  if (records != stats.records || records + stats.bad_lines > stats.lines) std::abort();
  if (stats.bad.size() > kMaxBadLinesKept) std::abort();
  return 0;
}
