// SPDX-License-Identifier: Apache-2.0
// Answers as JSON for machines: one document a line.
//
// Stage: cli. Pure. Thread: any. Every field of the message is there, also with its default, under
// its name in proto/culprit/v1/query.proto, with two rules: a point in time "x_ns" becomes
// "x_time", an RFC 3339 string or null; and an integer over 2^53 - 1, which readers would round,
// becomes a string. Values of enums are words. Characters that could steer a terminal are \uXXXX.
#ifndef CULPRIT_COLLECTOR_CLI_JSON_H_
#define CULPRIT_COLLECTOR_CLI_JSON_H_

#include <string>
#include <string_view>

namespace google::protobuf {
class EnumValueDescriptor;
class Message;
}  // namespace google::protobuf

namespace culprit::cli {

// "FINDING_STATE_FALSE_POSITIVE" -> "false positive", as it is shown to people too.
std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);
// One line without its end.
std::string ToJson(const google::protobuf::Message& message);
std::string JsonString(std::string_view text);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_JSON_H_
