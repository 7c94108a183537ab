// SPDX-License-Identifier: Apache-2.0
// JSON as lines that the reader of reports understands.
#include <nlohmann/json.hpp>

#include "collector/answer/report.h"
#include "common/ascii.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxFlat = 2 * kMaxReportBytes;

std::string ScalarText(const Json& value) {
  return value.is_string() ? value.get_ref<const std::string&>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Flatten(const std::string& key, const Json& value, int depth, std::string* out) {
  if (depth > kMaxDepth || out->size() > kMaxFlat) return;
  if (!value.is_structured()) {
    const std::string text = ScalarText(value);
    // A description has paragraphs of its own.
    const bool prose = text.find('\n') != std::string::npos;
    *out += prose ? "\n" + text + "\n\n" : key + ": " + text + "\n";
    return;
  }
  // Plain values first: they belong together.
  for (const bool structured : {false, true}) {
    for (const auto& [name, member] : value.items()) {
      if (member.is_structured() != structured) continue;
      if (structured && value.is_object()) *out += "\n";
      Flatten(value.is_array() ? key : name, member, depth + 1, out);
    }
  }
  *out += "\n";
}

}  // namespace

std::string FlattenJson(std::string_view text) {
  text = TrimFront(text, " \t\r\n");
  if (!text.starts_with('{') && !text.starts_with('[')) return "";
  const Json root = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!root.is_structured()) return "";
  std::string out;
  Flatten("", root, 0, &out);
  return out;
}

}  // namespace culprit
