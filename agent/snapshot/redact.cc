// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/redact.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::string_view kHidden = "[redacted]";
constexpr std::size_t kMaxVariables = 512;
constexpr std::size_t kMaxName = 128, kMaxValue = 1024;

constexpr std::array<std::string_view, 25> kShown = {"SSH_CONNECTION",
                                                     "SSH_CLIENT",
                                                     "SSH_TTY",
                                                     "SSH_ORIGINAL_COMMAND",
                                                     "SSH_AUTH_SOCK",
                                                     "LD_PRELOAD",
                                                     "LD_LIBRARY_PATH",
                                                     "LD_AUDIT",
                                                     "PATH",
                                                     "HOME",
                                                     "USER",
                                                     "LOGNAME",
                                                     "SHELL",
                                                     "PWD",
                                                     "OLDPWD",
                                                     "TERM",
                                                     "SUDO_USER",
                                                     "SUDO_UID",
                                                     "XDG_SESSION_ID",
                                                     "INVOCATION_ID",
                                                     "JOURNAL_STREAM",
                                                     "HISTFILE",
                                                     "container",
                                                     "TMPDIR",
                                                     "_"};

// A word that ends in one of these, followed by "=" or ":", is followed by a secret.
constexpr std::array<std::string_view, 9> kSecretWords = {
    "secret_access_key", "secretaccesskey", "session_token", "secret_key", "password", "passwd",
    "api_key",           "auth_token",      "access_token"};

char Lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool Word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}
bool Value(char c) {
  return static_cast<unsigned char>(c) > 0x20 && c != '"' && c != '\'' && c != ',' && c != ';';
}

bool IsSecretWord(std::string_view word) {
  std::string lower;
  for (const char c : word) lower.push_back(c == '-' ? '_' : Lower(c));
  return std::any_of(kSecretWords.begin(), kSecretWords.end(),
                     [&](std::string_view s) { return lower.ends_with(s); });
}

// Behind blanks, quotes and one "=" or ":"; npos if there is none.
std::size_t ValueAfter(std::string_view text, std::size_t at) {
  bool separated = false;
  while (at < text.size()) {
    const char c = text[at];
    if ((c == '=' || c == ':') && !separated) {
      separated = true;
    } else if (c != ' ' && c != '\t' && c != '"' && c != '\'') {
      break;
    }
    ++at;
  }
  return separated && at < text.size() && Value(text[at]) ? at : std::string_view::npos;
}

}  // namespace

bool HoldsPrivateKey(std::string_view bytes) {
  for (std::size_t at = bytes.find("PRIVATE KEY"); at != std::string_view::npos;
       at = bytes.find("PRIVATE KEY", at + 1)) {
    const std::size_t line = bytes.rfind('\n', at);
    const std::string_view before = bytes.substr(line == std::string_view::npos ? 0 : line + 1);
    if (before.find("-----BEGIN") < 64) return true;
  }
  return bytes.starts_with("PuTTY-User-Key-File") ||
         bytes.starts_with("SSH PRIVATE KEY FILE FORMAT");
}

Redacted RedactSecrets(std::string_view text) {
  Redacted out;
  out.text.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && Word(text[end])) ++end;
    if (end == at) {
      out.text.push_back(text[at++]);
      continue;
    }
    const std::string_view word = text.substr(at, end - at);
    out.text.append(word);
    at = end;
    const std::size_t value = IsSecretWord(word) ? ValueAfter(text, at) : std::string_view::npos;
    if (value == std::string_view::npos) continue;
    out.text.append(text.substr(at, value - at));
    out.text.append(kHidden);
    ++out.places;
    at = value;
    while (at < text.size() && Value(text[at])) ++at;
  }
  return out;
}

Redacted RedactShadow(std::string_view text) {
  Redacted out;
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      // Not a line of a shadow file: it may be anything, a hash too.
      if (!line.empty()) ++out.places;
      out.text += line.empty() ? "" : std::string(kHidden);
    } else {
      std::string_view hash = line.substr(first + 1, second - first - 1);
      out.text += line.substr(0, first + 1);
      while (hash.starts_with('!') || hash.starts_with('*')) {
        out.text.push_back(hash.front());
        hash.remove_prefix(1);
      }
      if (!hash.empty()) {
        const std::size_t method =
            hash.starts_with('$') ? hash.find('$', 1) : std::string_view::npos;
        if (method != std::string_view::npos) out.text += hash.substr(0, method + 1);
        out.text += kHidden;
        ++out.places;
      }
      out.text += line.substr(second);
    }
    out.text.push_back('\n');
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> EnvironmentNames(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> variables;
  while (!text.empty() && variables.size() < kMaxVariables) {
    const std::string_view entry = NextUntil(&text, '\0');
    const std::size_t equals = entry.find('=');
    if (entry.empty() || equals == 0 || equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, std::min(equals, kMaxName));
    const bool shown = std::find(kShown.begin(), kShown.end(), name) != kShown.end();
    variables.emplace_back(std::string(name), shown
                                                  ? std::string(entry.substr(equals + 1, kMaxValue))
                                                  : std::string());
  }
  return variables;
}

}  // namespace culprit
