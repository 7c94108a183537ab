// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_text.h"

#include "agent/model/observation.h"

namespace culprit {

void AppendNameText(std::string_view bytes, bool dots, std::string& name) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > 0x20 && byte < 0x7f && c != '\\' && (dots || c != '.');
    if (plain) {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      name += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
}

void BoundName(std::string& name) {
  std::size_t at = 0;
  while (name.size() - at > kMaxNameLength) at += name[at] == '\\' ? 4 : 1;
  name.erase(0, at);
}

std::string NameText(std::string_view host) {
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  std::string name;
  AppendNameText(host, true, name);
  BoundName(name);
  return name;
}

}  // namespace culprit
