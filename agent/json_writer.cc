// SPDX-License-Identifier: Apache-2.0
#include "agent/json_writer.h"

#include <algorithm>
#include <array>

#include "agent/model/wire.h"

namespace culprit {
namespace {

constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return kPlain[static_cast<unsigned char>(c)]; });
}

}  // namespace

void JsonWriter::QuotePlain(std::string_view value) {
  text_.push_back('"');
  text_.append(value).push_back('"');
}

void JsonWriter::Quote(std::string_view value) {
  if (IsPlain(value)) return QuotePlain(value);
  QuoteEscaped(EscapeNonUtf8(value));
}

void JsonWriter::QuoteEscaped(std::string_view value) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (IsPlain(value)) return QuotePlain(value);
  text_.push_back('"');
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text_.push_back('\\');
      text_.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      text_.append("\\u00");
      text_.push_back(kHex[byte >> 4]);
      text_.push_back(kHex[byte & 15]);
    } else {
      text_.push_back(c);
    }
  }
  text_.push_back('"');
}

}  // namespace culprit
