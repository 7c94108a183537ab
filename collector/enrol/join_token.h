// SPDX-License-Identifier: Apache-2.0
// Join tokens: secrets by which a host enrols. "culprit-join-" and 40 hexadecimal digits, 160 random
// bits: too many to guess, so a plain hash of them may be stored. Stage: enrol. Pure; the random
// bytes come from outside. Thread: any.
#ifndef CULPRIT_COLLECTOR_ENROL_JOIN_TOKEN_H_
#define CULPRIT_COLLECTOR_ENROL_JOIN_TOKEN_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace culprit {

inline constexpr std::size_t kTokenBytes = 20;

std::string MakeToken(const std::array<std::uint8_t, kTokenBytes>& random);
bool IsToken(std::string_view text);
// SHA-256, hex: all that is stored of it.
std::string TokenHash(std::string_view token);
// Names a token without telling it: the first digits of its hash.
std::string TokenId(std::string_view token_hash);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_JOIN_TOKEN_H_
