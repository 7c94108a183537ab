// SPDX-License-Identifier: Apache-2.0
// What a receiver checks: that a body comes from who has the secret, and that it was sent just now.
// Stage: alert. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_ALERT_SIGNATURE_H_
#define CULPRIT_COLLECTOR_ALERT_SIGNATURE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace culprit {

// "v1=" and the hexadecimal HMAC-SHA256, by `secret`, of "SECONDS.BODY". SECONDS is the Unix time
// of the attempt, as it stands in the header beside: an old one is a replay.
std::string SignBody(std::string_view secret, std::int64_t unix_seconds, std::string_view body);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_SIGNATURE_H_
