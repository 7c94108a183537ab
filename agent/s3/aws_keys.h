// SPDX-License-Identifier: Apache-2.0
// Keys that sign requests to S3: as the instance metadata service tells those of a role, and as
// AWS's own tools keep them in a file.
//
// Stage: s3. Pure: total on any bytes (fuzzed). Thread: values. Failure: errors never hold a key.
#ifndef CULPRIT_AGENT_S3_AWS_KEYS_H_
#define CULPRIT_AGENT_S3_AWS_KEYS_H_

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct AwsKeys {
  std::string access_key_id, secret_access_key;
  std::string session_token;        // empty: keys that last
  std::optional<WallTime> expires;  // nullopt: never
};

// The answer about a role. Errors: not JSON, a Code other than Success, a part that is missing.
Result<AwsKeys> ParseRoleKeys(std::string_view json);
// The section [default] of a credentials file: aws_access_key_id, aws_secret_access_key and, where
// there is one, aws_session_token. Errors: a part that is missing, or that is no key.
Result<AwsKeys> ParseKeyFile(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_AWS_KEYS_H_
