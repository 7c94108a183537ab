// SPDX-License-Identifier: Apache-2.0
// Lower-case hexadecimal. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_HEX_H_
#define CULPRIT_COMMON_HEX_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

std::string HexEncode(std::string_view bytes);
// Of a flow, a process or a session, as people read and write it: 16 digits.
std::string HexId(std::uint64_t id);
// Errors: odd length or a character that is not a hexadecimal digit.
Result<std::string> HexDecode(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_COMMON_HEX_H_
