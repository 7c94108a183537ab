// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/authorized_keys.h"

#include <algorithm>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::string_view kBlanks = " \t";

struct ReadKey {
  std::optional<SshPublicKey> key;
  std::string_view rest;  // the comment
  bool named = false;     // it begins with the name of a type
  std::string refused;
};

ReadKey Read(std::string_view text) {
  ReadKey read;
  const std::size_t space = text.find_first_of(kBlanks);
  if (space == std::string_view::npos) return read;
  const auto type = KeyTypeOf(text.substr(0, space));
  if (!type) return read;
  read.named = true;
  text = TrimFront(text.substr(space));
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const auto blob = DecodeBase64(text.substr(0, end));
  if (!blob) {
    read.refused = "the key is not base64";
    return read;
  }
  auto key = ParseKeyBlob(*blob);
  if (!key) {
    read.refused = key.error().message;
    return read;
  }
  const bool other_curve =
      type->kind == SshPublicKey::Kind::kEcdsa && KeyTypeOf(key->type)->curve != type->curve;
  if (key->kind != type->kind || key->certificate != type->certificate || other_curve) {
    read.refused = "the line says another type than the key";
    return read;
  }
  read.key = std::move(*key);
  read.rest = TrimFront(text.substr(end));
  return read;
}

// Behind the options, as far as sshd goes over them; nullopt: a quote does not end.
std::optional<std::string_view> PastOptions(std::string_view text) {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < text.size() && (quoted || kBlanks.find(text[at]) == std::string_view::npos); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == '"')
      ++at;
    else if (text[at] == '"')
      quoted = !quoted;
  }
  if (at >= text.size() && quoted) return std::nullopt;
  return text.substr(std::min(at, text.size()));
}

KeyLine Line(std::string_view text, std::uint32_t number) {
  KeyLine line;
  line.line = number;
  ReadKey read = Read(text);
  if (!read.key) {
    const std::string first = read.refused;
    const auto behind = PastOptions(text);
    if (!behind) {
      line.refused = "a quote does not end";
      return line;
    }
    const bool named = read.named;
    read = Read(TrimFront(*behind));
    if (!read.key) {
      line.refused = named                   ? first
                     : !read.refused.empty() ? read.refused
                                             : "there is no key where one should be";
      return line;
    }
    auto options = ParseKeyOptions(text);
    if (options) {
      line.options = std::move(*options);
    } else {
      line.options.text = std::string(text.substr(0, text.size() - behind->size()));
      line.refused = "bad key options: " + options.error().message;
    }
  }
  line.comment = TrimBack(read.rest, " \t\r\n");
  line.key = std::move(read.key);
  if (!line.refused.empty()) return line;
  if (line.key->certificate) line.refused = "a certificate in this file lets nobody in";
  if (line.options.principals && !line.options.cert_authority)
    line.refused = "principals= without cert-authority";
  return line;
}

}  // namespace

std::vector<KeyLine> ParseAuthorizedKeys(std::string_view text, std::size_t limit) {
  std::vector<KeyLine> lines;
  for (std::uint32_t number = 1; !text.empty() && lines.size() < limit; ++number) {
    std::string_view line = NextLine(&text);
    line = TrimFront(NextUntil(&line, '\0'));
    if (line.empty() || line[0] == '#' || line == "\r") continue;
    lines.push_back(Line(line, number));
  }
  return lines;
}

}  // namespace culprit
