// SPDX-License-Identifier: Apache-2.0
#include "collector/format/message_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "common/text.h"
#include "common/time.h"

namespace culprit {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::uint64_t kMaxExact = (1ULL << 53U) - 1;

// Every 64-bit "_ns" of the query service is a point in time but for this one.
bool IsTime(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 && !field.is_repeated() &&
         std::string_view(field.name()).ends_with("_ns") && field.name() != "clock_skew_ns";
}

std::string Unsigned(std::uint64_t n) {
  return n <= kMaxExact ? std::to_string(n) : "\"" + std::to_string(n) + "\"";
}

std::string Signed(std::int64_t n) {
  const std::uint64_t magnitude =
      n < 0 ? ~static_cast<std::uint64_t>(n) + 1 : static_cast<std::uint64_t>(n);
  return magnitude <= kMaxExact ? std::to_string(n) : "\"" + std::to_string(n) + "\"";
}

// `index` < 0: the field is not repeated.
std::string Number(double n) { return std::isfinite(n) ? fmt::format("{}", n) : "null"; }

std::string Value(const Message& m, const Reflection& r, const FieldDescriptor* f, int index) {
  const bool one = index < 0;
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return (one ? r.GetBool(m, f) : r.GetRepeatedBool(m, f, index)) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return Signed(one ? r.GetInt32(m, f) : r.GetRepeatedInt32(m, f, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return Signed(one ? r.GetInt64(m, f) : r.GetRepeatedInt64(m, f, index));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Unsigned(one ? r.GetUInt32(m, f) : r.GetRepeatedUInt32(m, f, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Unsigned(one ? r.GetUInt64(m, f) : r.GetRepeatedUInt64(m, f, index));
    case FieldDescriptor::CPPTYPE_STRING:
      return JsonString(one ? r.GetString(m, f) : r.GetRepeatedString(m, f, index));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(one ? r.GetMessage(m, f) : r.GetRepeatedMessage(m, f, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return JsonString(EnumWord(*(one ? r.GetEnum(m, f) : r.GetRepeatedEnum(m, f, index))));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Number(one ? r.GetDouble(m, f) : r.GetRepeatedDouble(m, f, index));
    default:
      return "null";  // no float in the services
  }
}

std::string Array(const Message& m, const Reflection& r, const FieldDescriptor* f) {
  std::string out = "[";
  for (int i = 0; i < r.FieldSize(m, f); ++i) {
    if (i > 0) out += ',';
    out += Value(m, r, f, i);
  }
  return out + "]";
}

std::uint32_t FirstCodePoint(std::string_view text, std::size_t& length) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  std::uint32_t c = lead < 0x80 ? lead : lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) c = (c << 6U) | (byte(i) & 0x3fU);
  return c;
}

}  // namespace

std::string FormatRfc3339(std::int64_t ns) {
  const WallTime time = WallTimeFromNs(ns);
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  const std::int64_t fraction = clock.subseconds().count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     fraction == 0 ? "" : fmt::format(".{:09}", fraction));
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    // EscapeText decides what is harmless: what it would change gets an escape of JSON's own.
    const auto lead = static_cast<std::uint8_t>(text.front());
    std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const std::string_view character = text.substr(0, length);
    const std::string escaped = EscapeText(character);
    if (character == "\"" || character == "\\") {
      out += '\\';
      out += character;
    } else if (escaped == character) {
      out += character;
    } else if (escaped.starts_with("\\x") && lead >= 0x80) {
      out += fmt::format("\\ufffd");  // not UTF-8
      length = 1;
    } else {
      const std::uint32_t c = FirstCodePoint(text, length);
      if (c >= 0x10000) {
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0U + (c >> 10U), 0xdc00U + (c & 0x3ffU));
      } else {
        out += fmt::format("\\u{:04x}", c);
      }
    }
    text.remove_prefix(std::min(length, text.size()));
  }
  return out + "\"";
}

std::string EnumWord(const google::protobuf::EnumValueDescriptor& value) {
  // "FindingState" -> "FINDING_STATE_", which every value's name begins with.
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  prefix += '_';
  std::string word = value.name();
  if (word.starts_with(prefix)) word.erase(0, prefix.size());
  for (char& c : word) {
    c = c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return word;
}

std::string ToJson(const Message& message) {
  const auto& descriptor = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  std::string out = "{";
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    if (i > 0) out += ',';
    std::string name = field->name();
    std::string value;
    if (IsTime(*field)) {
      name.replace(name.size() - 2, 2, "time");
      const std::int64_t ns = reflection.GetInt64(message, field);
      value = ns == 0 ? "null" : "\"" + FormatRfc3339(ns) + "\"";
    } else {
      value = field->is_repeated() ? Array(message, reflection, field)
                                   : Value(message, reflection, field, -1);
    }
    out += '"';
    out += name;
    out += "\":";
    out += value;
  }
  return out + "}";
}

}  // namespace culprit
