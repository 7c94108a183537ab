// SPDX-License-Identifier: Apache-2.0
// What the forms of a finding have in common, as JSON.
// Stage: format. Pure. Thread: any. Internal to the forms: it brings nlohmann/json.
#ifndef CULPRIT_COLLECTOR_FORMAT_FINDING_WORDS_H_
#define CULPRIT_COLLECTOR_FORMAT_FINDING_WORDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "culprit/v1/findings.pb.h"

namespace culprit {

using Json = nlohmann::ordered_json;

// Sets `value` unless it is empty: schemas want an unknown attribute to be absent.
void SetText(Json* object, const char* name, const std::string& value);
// Sets "ip" where `text` is an address: a host may claim anything, and an index would refuse the
// whole document.
void SetIp(Json* object, const std::string& text);
// One line of ASCII; bytes that are not UTF-8 become U+FFFD.
std::string Dump(const Json& document);
// "/usr/sbin/sshd" -> "sshd"
std::string FileNameOf(const std::string& path);
// Counters at the trigger as {name: {value, threshold, unit}}.
Json MeasuresOf(const v1::Finding& finding);
// What AWS says of a target and what went there, where it is known; null otherwise.
Json TargetDetails(const v1::Target& target);
Json ListOf(const google::protobuf::RepeatedPtrField<std::string>& words);
// "T1498.001" -> "T1498"
std::string TechniqueOf(const std::string& attack_id);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_FORMAT_FINDING_WORDS_H_
