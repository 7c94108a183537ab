// SPDX-License-Identifier: Apache-2.0
#include "common/hex.h"

#include <spdlog/fmt/fmt.h>

#include <charconv>

namespace culprit {

std::string HexEncode(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 0x0f]);
  }
  return out;
}

std::string HexId(std::uint64_t id) { return fmt::format("{:016x}", id); }

Result<std::string> HexDecode(std::string_view text) {
  if (text.size() % 2 != 0) return InvalidArgument("odd number of hexadecimal digits");
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, ec] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (ec != std::errc{} || end != text.data() + i + 2) {
      return InvalidArgument("not a hexadecimal digit");
    }
    out.push_back(static_cast<char>(value));
  }
  return out;
}

}  // namespace culprit
