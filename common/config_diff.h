// SPDX-License-Identifier: Apache-2.0
// What is different between two configurations, by their effective form as a daemon prints it.
// Stage: common. Pure. Thread: any.
#ifndef CULPRIT_COMMON_CONFIG_DIFF_H_
#define CULPRIT_COMMON_CONFIG_DIFF_H_

#include <string>
#include <string_view>
#include <vector>

namespace culprit {

// Keys whose value differs or that one of the two alone has: "log_level", "journal.max_bytes",
// "alert[0].url". Sorted. `before` and `after`: lines "key = value" below "[table]" and "[[list]]",
// one value a line.
std::vector<std::string> ChangedKeys(std::string_view before, std::string_view after);

// True for a key that is one of `keys` or lies below one of them, which then ends in a dot
// ("detect.") or stands for a list ("alert[").
bool IsOneOf(std::string_view key, const std::vector<std::string_view>& keys);

// "journal.max_bytes, log_level", the first of many.
std::string ListKeys(const std::vector<std::string>& keys);

}  // namespace culprit

#endif  // CULPRIT_COMMON_CONFIG_DIFF_H_
