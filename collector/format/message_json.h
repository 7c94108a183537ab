// SPDX-License-Identifier: Apache-2.0
// Messages as JSON for machines: one document a line.
//
// Stage: format. Pure. Thread: any. Every field of the message is there, also with its default,
// under its name in proto/culprit/v1, with two rules: a point in time "x_ns" becomes "x_time", an
// RFC 3339 string or null; and an integer over 2^53 - 1, which readers would round, becomes a
// string. Values of enums are words. Characters that could steer a terminal are \uXXXX.
#ifndef CULPRIT_COLLECTOR_FORMAT_MESSAGE_JSON_H_
#define CULPRIT_COLLECTOR_FORMAT_MESSAGE_JSON_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace culprit {

// "FINDING_STATE_FALSE_POSITIVE" -> "false positive", as it is shown to people too.
std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);
// The same of a value; empty where the number has no name.
template <class Enum>
std::string WordOf(Enum value) {
  const auto* found = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  return found == nullptr ? "" : EnumWord(*found);
}
// One line without its end.
std::string ToJson(const google::protobuf::Message& message);
std::string JsonString(std::string_view text);
// RFC 3339 in UTC with nanoseconds where there are any.
std::string FormatRfc3339(std::int64_t ns);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_FORMAT_MESSAGE_JSON_H_
