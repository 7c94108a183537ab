// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/key_records.h"

#include <algorithm>
#include <set>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxListed = 2'000'000;
constexpr std::string_view kPrefix = "SHA256:";
constexpr std::size_t kFingerprint = 50;  // with the prefix

bool IsFingerprint(std::string_view text) {
  return text.size() == kFingerprint && text.substr(0, kPrefix.size()) == kPrefix;
}

std::string_view NextTrimmed(std::string_view* text) {
  return TrimFront(TrimBack(NextLine(text), " \t\r"));
}

std::string Entry(const KeyRecord& key) {
  return (key.user.empty() ? "*" : key.user) + " " + key.fingerprint;
}

}  // namespace

KnownBadKeys::KnownBadKeys() {
  reasons_ = {{"SHA256:MkYY9qiVsFGBC5WkjoClCkwEFW5iSjcGQF7m4n4H7Cw",
               "the key that the Outlaw campaign (mdrfckr) leaves behind"},
              {"SHA256:1M4RzhMyWuFS/86uPY/ce2prh/dVTHW7iD2RhpquOZA",
               "Vagrant's key, whose private half is published"}};
}

Status KnownBadKeys::Add(std::string_view list) {
  for (std::size_t number = 1; !list.empty(); ++number) {
    const std::string_view line = NextTrimmed(&list);
    if (line.empty() || line[0] == '#') continue;
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    if (!IsFingerprint(line.substr(0, end)))
      return InvalidArgument("line " + std::to_string(number) + ": not \"SHA256:… WHY\"");
    if (reasons_.size() >= kMaxListed) return InvalidArgument("more than 2,000,000 keys");
    const std::string_view why = TrimFront(line.substr(end));
    reasons_.emplace(line.substr(0, end), why.empty() ? "on the list of known bad keys" : why);
  }
  return Ok();
}

const std::string* KnownBadKeys::Find(const std::string& fingerprint) const {
  const auto it = reasons_.find(fingerprint);
  return it == reasons_.end() ? nullptr : &it->second;
}

Result<KeyBaseline> KeyBaseline::Parse(std::string_view text) {
  KeyBaseline baseline;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = NextTrimmed(&text);
    if (line.empty() || line[0] == '#') continue;
    const std::size_t blank = line.rfind(' ');
    if (blank == std::string_view::npos || !IsFingerprint(line.substr(blank + 1)))
      return InvalidArgument("line " + std::to_string(number) + ": not \"USER SHA256:…\"");
    baseline.lines_.emplace(line);
  }
  return baseline;
}

std::string KeyBaseline::Format(const std::vector<KeyRecord>& keys) {
  std::set<std::string> lines;
  for (const KeyRecord& key : keys)
    if (!key.fingerprint.empty()) lines.insert(Entry(key));
  std::string text = "# Keys that may log in, by user; written by culprit-agent ssh-check.\n";
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool KeyBaseline::Holds(const KeyRecord& key) const { return lines_.count(Entry(key)) != 0; }

}  // namespace culprit
