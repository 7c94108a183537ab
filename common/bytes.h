// SPDX-License-Identifier: Apache-2.0
// Integers at any alignment: little-endian for the fixed layouts of frames and segments, big-endian
// for what was on a network. Stage: common. Thread: pure. The caller checks the length.
#ifndef CULPRIT_COMMON_BYTES_H_
#define CULPRIT_COMMON_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace culprit {

static_assert(std::endian::native == std::endian::little,
              "the formats are stored as the host holds them");

template <class T>
void StoreLe(char* to, T value) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(to, &value, sizeof(value));
}

template <class T>
T LoadLe(const char* from) {
  static_assert(std::is_integral_v<T>);
  T value{};
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <class T>
T LoadBe(const char* from) {
  static_assert(std::is_unsigned_v<T> && sizeof(T) <= 8 && std::has_single_bit(sizeof(T)));
  T value{};
  std::memcpy(&value, from, sizeof(value));
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
  return value;
}

}  // namespace culprit

#endif  // CULPRIT_COMMON_BYTES_H_
