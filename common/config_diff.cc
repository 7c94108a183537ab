// SPDX-License-Identifier: Apache-2.0
#include "common/config_diff.h"

#include <algorithm>
#include <map>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kKeysToName = 12;

using Values = std::map<std::string, std::string_view>;

// The table that a line begins: "x." of "[x]", "x[N]." of the Nth "[[x]]".
std::string TableOf(std::string_view line, std::map<std::string, std::size_t>* lists) {
  if (!line.starts_with("[[")) return std::string(line.substr(1, line.find(']') - 1)) + ".";
  const std::string name(line.substr(2, line.find("]]") - 2));
  return name + "[" + std::to_string((*lists)[name]++) + "].";
}

Values ValuesOf(std::string_view text) {
  Values values;
  std::map<std::string, std::size_t> lists;
  std::string table;
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    if (line.starts_with('[')) {
      table = TableOf(line, &lists);
    } else if (const std::size_t equals = line.find(" = "); equals != std::string_view::npos) {
      values[table + std::string(line.substr(0, equals))] = line.substr(equals + 3);
    }
  }
  return values;
}

}  // namespace

std::vector<std::string> ChangedKeys(std::string_view before, std::string_view after) {
  const Values old = ValuesOf(before), now = ValuesOf(after);
  std::vector<std::string> changed;
  for (const auto& [key, value] : now) {
    const auto was = old.find(key);
    if (was == old.end() || was->second != value) changed.push_back(key);
  }
  for (const auto& [key, value] : old) {
    if (!now.contains(key)) changed.push_back(key);
  }
  std::sort(changed.begin(), changed.end());
  return changed;
}

bool IsOneOf(std::string_view key, const std::vector<std::string_view>& keys) {
  return std::any_of(keys.begin(), keys.end(), [key](std::string_view one) {
    const bool whole = !one.ends_with('.') && !one.ends_with('[');
    return whole ? key == one : key.starts_with(one);
  });
}

std::string ListKeys(const std::vector<std::string>& keys) {
  std::string out;
  for (std::size_t i = 0; i < keys.size() && i < kKeysToName; ++i)
    out += (out.empty() ? "" : ", ") + keys[i];
  return keys.size() > kKeysToName ? out + ", and others" : out;
}

}  // namespace culprit
