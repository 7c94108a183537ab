// SPDX-License-Identifier: Apache-2.0
// What a snapshot's live/cloud.json says of the Auto Scaling group that would start another
// instance of the same image, and what to do about it.
//
// Stage: common, pure. Thread: values. A hostile host may have written it: fields are bounded, and
// what goes into a command line is quoted.
#ifndef CULPRIT_COMMON_CLOUD_FACTS_H_
#define CULPRIT_COMMON_CLOUD_FACTS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

inline constexpr const char* kCloudMember = "live/cloud.json";

struct CloudFacts {
  bool told = false;           // the metadata service answered
  bool tags_readable = false;  // tags of the instance are in its metadata
  std::string instance_id, image_id;
  std::string group;  // of Auto Scaling, by the instance's tag
  std::string state;  // target lifecycle state; there is one in a group alone
  std::string template_id, template_version;
};
// Errors: kDataLoss; facts then stay untold.
Result<CloudFacts> ParseCloudFacts(std::string_view json);

enum class Relaunch : std::uint8_t { kNotKnown, kNo, kYes };
struct RelaunchAdvice {
  Relaunch will = Relaunch::kNotKnown;
  std::string text, remedy;  // for people; remedy empty where nothing is to be done
};
// Whether a group would start the same image again once this instance is terminated.
RelaunchAdvice AdviseRelaunch(const CloudFacts& facts);

}  // namespace culprit

#endif  // CULPRIT_COMMON_CLOUD_FACTS_H_
