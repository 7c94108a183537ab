// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_text.h"

#include "agent/model/observation.h"
#include "common/ascii.h"

namespace culprit {

namespace {

void AppendEscaped(std::string_view bytes, bool dots, std::string& name) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > 0x20 && byte < 0x7f && c != '\\' && (dots || c != '.');
    if (plain) {
      name += c;
    } else {
      name += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
}

}  // namespace

void AppendNameText(std::string_view bytes, bool dots, std::string& name) {
  AppendEscaped(AsciiLower(bytes), dots, name);
}

std::string UserText(std::string_view user) {
  std::string name;
  AppendEscaped(user.substr(0, kMaxNameLength), true, name);
  BoundName(name);
  return name;
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
