// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_text.h"

#include "agent/model/observation.h"

namespace culprit {

void AppendNameText(std::string_view bytes, bool dots, std::string& name) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && c != '\\' && (dots || c != '.');
    if (name.size() + (plain ? 1 : 4) > kMaxNameLength) return;
    if (plain) {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      name += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
}

std::string NameText(std::string_view host) {
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  std::string name;
  AppendNameText(host, true, name);
  return name;
}

}  // namespace culprit
