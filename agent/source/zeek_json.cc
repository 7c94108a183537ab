// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "agent/source/zeek_row.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

// A number as it stood in the line: the shortest form of a double is what Zeek wrote.
std::string TextOf(const Json& value) {
  if (const auto* text = value.get_ptr<const std::string*>()) return *text;
  return value.is_number() || value.is_boolean() ? value.dump() : std::string();
}

void TakeValue(const std::string& name, const Json& value, ZeekRow* row) {
  const auto column = FindZeekColumn(name);
  if (!column || value.is_null()) return;
  auto* list = row->List(*column);
  if (!value.is_array()) {
    if (list == nullptr) row->Set(*column) = TextOf(value);
    return;
  }
  if (list != nullptr) list->clear();
  std::string joined;
  for (const Json& part : value) {
    if (list != nullptr) {
      list->push_back(TextOf(part));
    } else {
      joined += (joined.empty() ? "" : ",") + TextOf(part);
    }
  }
  if (list == nullptr) row->Set(*column) = joined;
}

}  // namespace

std::string ReadZeekJson(std::string_view line, ZeekRow* row) {
  const Json object = Json::parse(line, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return "not a JSON object";
  for (const auto& [name, value] : object.items()) {
    TakeValue(name, value, row);
    if (name != "id" || !value.is_object()) continue;
    // Some shippers nest the endpoints.
    for (const auto& [inner, part] : value.items()) TakeValue("id." + inner, part, row);
  }
  return "";
}

}  // namespace culprit
