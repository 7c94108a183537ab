// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli), the checksum of framed logs. Finds accidents, not forgers: those meet the SHA-256 chain.
// Debian 12 packages no library for it. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_CRC32C_H_
#define CULPRIT_COMMON_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace culprit {

// CRC-32C of what `crc` was computed over, followed by `bytes`. Starts with 0. Uses the CPU's instruction if it has one.
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t crc = 0);

// The table-driven form that Crc32c() falls back to; public so that a test can compare the two.
std::uint32_t Crc32cPortable(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace culprit

#endif  // CULPRIT_COMMON_CRC32C_H_
