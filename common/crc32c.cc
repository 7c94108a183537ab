// SPDX-License-Identifier: Apache-2.0
#include "common/crc32c.h"

#include <array>

#include "common/bytes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace culprit {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78U;  // 0x1edc6f41, bits reversed

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

// table[k][b]: the CRC of byte b followed by k zero bytes ("slicing by 8").
constexpr Table MakeTable() {
  Table table{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    table[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xffU];
    }
  }
  return table;
}

constexpr Table kTable = MakeTable();

#if defined(__x86_64__)
#define CULPRIT_CRC32C_HARDWARE 1
bool HasInstruction() { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) std::uint32_t Crc32cHardware(std::string_view bytes,
                                                               std::uint32_t crc) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = ~crc;
  for (; left >= 8; p += 8, left -= 8) wide = _mm_crc32_u64(wide, LoadLe<std::uint64_t>(p));
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; left > 0; ++p, --left) narrow = _mm_crc32_u8(narrow, LoadLe<std::uint8_t>(p));
  return ~narrow;
}
#elif defined(__aarch64__)
#define CULPRIT_CRC32C_HARDWARE 1
bool HasInstruction() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

__attribute__((target("+crc"))) std::uint32_t Crc32cHardware(std::string_view bytes,
                                                             std::uint32_t crc) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint32_t state = ~crc;
  for (; left >= 8; p += 8, left -= 8) state = __crc32cd(state, LoadLe<std::uint64_t>(p));
  for (; left > 0; ++p, --left) state = __crc32cb(state, LoadLe<std::uint8_t>(p));
  return ~state;
}
#endif

}  // namespace

std::uint32_t Crc32cPortable(std::string_view bytes, std::uint32_t crc) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint32_t state = ~crc;
  for (; left >= 8; p += 8, left -= 8) {
    const std::uint64_t word = LoadLe<std::uint64_t>(p) ^ state;
    state = 0;
    for (std::size_t k = 0; k < 8; ++k) state ^= kTable[7 - k][(word >> (8 * k)) & 0xffU];
  }
  for (; left > 0; ++p, --left) {
    state = (state >> 8) ^ kTable[0][(state ^ LoadLe<std::uint8_t>(p)) & 0xffU];
  }
  return ~state;
}

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t crc) {
#ifdef CULPRIT_CRC32C_HARDWARE
  static const bool has_instruction = HasInstruction();
  if (has_instruction) return Crc32cHardware(bytes, crc);
#endif
  return Crc32cPortable(bytes, crc);
}

}  // namespace culprit
