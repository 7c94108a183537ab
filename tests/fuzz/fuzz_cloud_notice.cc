// SPDX-License-Identifier: Apache-2.0
// Fuzzer: answers of the metadata service. The first byte chooses the question. Whatever comes, it
// is a bounded number of notices, each of one printable line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/cloud_notice.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto kind = static_cast<culprit::NoticeKind>(data[0] % culprit::kNoticeKinds);
  const auto notices = culprit::ReadNotices(kind, body);
  if (notices.size() > culprit::kMaxNotices) std::abort();
  for (const culprit::CloudNotice& notice : notices) {
    for (const auto& text : {notice.key, notice.trigger}) {
      const bool line =
          !text.empty() && text.size() <= 256 &&
          std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 127; });
      if (!line) std::abort();
    }
  }
  return 0;
}
