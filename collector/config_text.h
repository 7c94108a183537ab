// SPDX-License-Identifier: Apache-2.0
// Values as TOML has them. Stage: wiring. Thread: values.
#ifndef CULPRIT_COLLECTOR_CONFIG_TEXT_H_
#define CULPRIT_COLLECTOR_CONFIG_TEXT_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

// A string in quotes, an array of strings, and "10s" or "1500ms".
std::string Quoted(std::string_view text);
std::string QuotedList(const std::vector<std::string>& list);
std::string Span(std::chrono::milliseconds span);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_CONFIG_TEXT_H_
