// SPDX-License-Identifier: Apache-2.0
// EscapeNonUtf8: see agent/model/wire.h. Well-formed UTF-8 as in RFC 3629: no overlong forms, no surrogates.
#include <cctype>
#include <cstdint>

#include "agent/model/wire.h"

namespace culprit {
namespace {

std::uint8_t ByteAt(std::string_view bytes, std::size_t i) {
  return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0;
}

bool IsContinuation(std::uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Length of the well-formed sequence at `i`; 0 if there is none.
std::size_t SequenceAt(std::string_view bytes, std::size_t i) {
  const std::uint8_t a = ByteAt(bytes, i);
  if (a < 0x80) return 1;
  const std::uint8_t b = ByteAt(bytes, i + 1);
  if (a < 0xc2 || a > 0xf4 || !IsContinuation(b)) return 0;
  if (a < 0xe0) return 2;
  if (!IsContinuation(ByteAt(bytes, i + 2))) return 0;
  if (a < 0xf0) {
    const bool overlong = a == 0xe0 && b < 0xa0;
    const bool surrogate = a == 0xed && b >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (!IsContinuation(ByteAt(bytes, i + 3))) return 0;
  const bool overlong = a == 0xf0 && b < 0x90;
  const bool beyond = a == 0xf4 && b >= 0x90;
  return overlong || beyond ? 0 : 4;
}

bool LooksEscaped(std::string_view bytes, std::size_t i) {
  return ByteAt(bytes, i) == '\\' && ByteAt(bytes, i + 1) == 'x' &&
         std::isxdigit(ByteAt(bytes, i + 2)) != 0 && std::isxdigit(ByteAt(bytes, i + 3)) != 0;
}

void AppendEscape(std::string& out, std::uint8_t byte) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

std::string EscapeNonUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = SequenceAt(bytes, i);
    if (length == 0 || LooksEscaped(bytes, i)) {
      AppendEscape(out, ByteAt(bytes, i));
      ++i;
      continue;
    }
    out.append(bytes.substr(i, length));
    i += length;
  }
  return out;
}

}  // namespace culprit
