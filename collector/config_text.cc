// SPDX-License-Identifier: Apache-2.0
#include "collector/config_text.h"

#include <spdlog/fmt/fmt.h>

namespace culprit {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string QuotedList(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& item : list) out += (out.size() > 1 ? ", " : "") + Quoted(item);
  return out + "]";
}

std::string Span(std::chrono::milliseconds span) {
  if (span.count() % 1000 != 0) return fmt::format("\"{}ms\"", span.count());
  return fmt::format("\"{}s\"", span.count() / 1000);
}

}  // namespace culprit
