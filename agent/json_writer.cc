// SPDX-License-Identifier: Apache-2.0
#include "agent/json_writer.h"

#include <algorithm>

#include "agent/model/wire.h"

namespace culprit {
namespace {

bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void JsonWriter::Quote(std::string_view value) {
  if (std::all_of(value.begin(), value.end(), IsPlain)) {
    text_.push_back('"');
    text_.append(value);
    text_.push_back('"');
    return;
  }
  QuoteEscaped(EscapeNonUtf8(value));
}

void JsonWriter::QuoteEscaped(std::string_view value) {
  constexpr std::string_view kHex = "0123456789abcdef";
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
