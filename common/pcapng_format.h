// SPDX-License-Identifier: Apache-2.0
// The numbers of the pcapng format, for common/pcapng.cc and common/pcapng_write.cc only.
// Stage: common. Thread: constants. common/pcapng.h says what Culprit's own are for.
#ifndef CULPRIT_COMMON_PCAPNG_FORMAT_H_
#define CULPRIT_COMMON_PCAPNG_FORMAT_H_

#include <cstdint>
#include <string_view>

namespace culprit::pcapng {

inline constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;

inline constexpr std::uint32_t kInterfaceBlock = 1, kObsoletePacketBlock = 2,
                               kSimplePacketBlock = 3, kNameBlock = 4, kStatisticsBlock = 5,
                               kEnhancedPacketBlock = 6, kCustomBlock = 0x0bad;

inline constexpr std::uint16_t kEndOfOptions = 0, kComment = 1, kCustomBinary = 2989;
inline constexpr std::uint16_t kSectionHardware = 2, kSectionOs = 3, kSectionApplication = 4;
inline constexpr std::uint16_t kInterfaceName = 2, kInterfaceResolution = 9, kInterfaceOffset = 14;
inline constexpr std::uint16_t kPacketFlags = 2, kPacketDropCount = 4;
inline constexpr std::uint16_t kStatisticsStart = 2, kStatisticsEnd = 3, kStatisticsReceived = 4,
                               kStatisticsInterfaceDrops = 5, kStatisticsOsDrops = 7;

inline constexpr std::string_view kProcessMark = "CULPROC1", kPacketMark = "CULPKT01";
inline constexpr std::uint16_t kProcessId = 1, kProcessTgid = 2, kProcessStart = 3,
                               kProcessExecId = 4, kProcessUid = 5, kProcessExe = 6,
                               kProcessArguments = 7, kProcessParent = 8;

// What fills up to the next multiple of four.
constexpr std::size_t Padding(std::size_t length) { return (4 - length % 4) % 4; }

}  // namespace culprit::pcapng

#endif  // CULPRIT_COMMON_PCAPNG_FORMAT_H_
