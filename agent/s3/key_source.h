// SPDX-License-Identifier: Apache-2.0
// Where the keys come from: a file that was read before the process gave up its rights, or the
// instance's role by IMDSv2, asked for again before they run out.
//
// Stage: s3 (edge: files, the metadata service). Thread: one. Failure: values; keys that are still
// good are used while newer ones cannot be had.
#ifndef CULPRIT_AGENT_S3_KEY_SOURCE_H_
#define CULPRIT_AGENT_S3_KEY_SOURCE_H_

#include <chrono>
#include <optional>
#include <string>

#include "agent/s3/aws_keys.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

// Errors: not there, not a regular file, open to others than its owner (mode 0600), no keys.
Result<AwsKeys> ReadKeyFile(const std::string& path);

class KeySource {
 public:
  // Of a role: asked for anew so long before the end.
  static constexpr std::chrono::minutes kEarly{10};
  static constexpr std::chrono::seconds kLeastBetween{30};

  explicit KeySource(AwsKeys keys) : keys_(std::move(keys)) {}
  explicit KeySource(std::string imds_endpoint) : imds_endpoint_(std::move(imds_endpoint)) {}

  // Good now, as far as this clock knows. Errors: say what the operator has to do.
  Result<AwsKeys> Get(WallTime now);
  // The store says that they have run out. False: no others can be had.
  bool Refused();

 private:
  Result<AwsKeys> AskForRole() const;

  std::string imds_endpoint_;  // empty: keys of a file
  std::optional<AwsKeys> keys_;
  std::optional<WallTime> asked_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_KEY_SOURCE_H_
