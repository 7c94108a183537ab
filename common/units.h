// SPDX-License-Identifier: Apache-2.0
// Sizes, spans of time and amounts as people write them. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_UNITS_H_
#define CULPRIT_COMMON_UNITS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

// "256 MiB", "64KiB", "1.5 GB" (decimal: 10^9), "512 B", "512". Units: B, KB..PB and KiB..PiB, any
// case; without a unit: bytes. Errors: anything else, negative, over 2^63.
Result<std::uint64_t> ParseByteSize(std::string_view text);

// "10s", "500ms", "90 days", "1h30m". Units: ns, us, ms, s, m (min), h, d, w and their words. A
// number without a unit is an error, except 0.
Result<std::chrono::nanoseconds> ParseDuration(std::string_view text);

// "1.5 KiB", "209.0 GiB", "17 B": IEC units, one decimal.
std::string FormatByteSize(std::uint64_t bytes);
// "450ms", "12s", "3m12s", "5h03m", "12d4h": two units at most, rounded down. Negative spans get a
// minus.
std::string FormatDuration(std::chrono::nanoseconds span);

// Micro-dollars as "$17.97", "$0.0042": cents, and below ten cents four digits, all rounded half up.
std::string FormatUsd(std::uint64_t micro_usd);

}  // namespace culprit

#endif  // CULPRIT_COMMON_UNITS_H_
