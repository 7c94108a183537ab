// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "collector/cli/export.h"
#include "collector/cli/time_parse.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

constexpr std::string_view kLineEnd = "\r\n";  // RFC 4180

// Every int64 of a FlowRow is a point in time.
bool IsTime(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64;
}

std::string ColumnName(const FieldDescriptor& field) {
  std::string name = field.name();
  if (IsTime(field)) name.replace(name.size() - 2, 2, "time");  // "x_ns", as in JSON
  return name;
}

// What a spreadsheet would take for a formula becomes text by the apostrophe that it knows.
std::string Text(const std::string& raw) {
  std::string text = EscapeText(raw);
  if (!text.empty() && std::string_view("=+-@").find(text.front()) != std::string_view::npos) {
    text.insert(0, 1, '\'');
  }
  if (text.find_first_of("\",\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string Value(const v1::FlowRow& flow, const FieldDescriptor* field) {
  const Reflection& r = *flow.GetReflection();
  if (field->is_repeated()) {
    std::string all;
    for (int i = 0; i < r.FieldSize(flow, field); ++i) {
      all += (i == 0 ? "" : " ") + r.GetRepeatedString(flow, field, i);
    }
    return Text(all);
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t ns = r.GetInt64(flow, field);
      return ns == 0 ? "" : FormatRfc3339(ns);
    }
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(r.GetUInt32(flow, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(r.GetUInt64(flow, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(flow, field) ? "true" : "false";
    default:
      return Text(r.GetString(flow, field));  // there are no other kinds in a FlowRow
  }
}

template <class F>
std::string Line(F&& value) {
  const auto& fields = *v1::FlowRow::descriptor();
  std::string line;
  for (int i = 0; i < fields.field_count(); ++i) {
    if (i > 0) line += ',';
    line += value(fields.field(i));
  }
  return line.append(kLineEnd);
}

}  // namespace

std::string CsvHeader() {
  return Line([](const FieldDescriptor* field) { return ColumnName(*field); });
}

std::string CsvLine(const v1::FlowRow& flow) {
  return Line([&](const FieldDescriptor* field) { return Value(flow, field); });
}

}  // namespace culprit::cli
