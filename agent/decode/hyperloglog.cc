// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/hyperloglog.h"

#include <algorithm>
#include <cmath>

namespace culprit {
namespace {

constexpr unsigned kMaxRank = 64;     // more than a 64 bit hash can give
constexpr double kLinearBelow = 2.5;  // times the number of registers

double BiasCorrection(double m) {
  if (m <= 16) return 0.673;
  if (m <= 32) return 0.697;
  if (m <= 64) return 0.709;
  return 0.7213 / (1 + 1.079 / m);
}

}  // namespace

std::uint64_t EstimateDistinct(std::span<const std::uint8_t> registers) {
  if (registers.empty()) return 0;
  const auto m = static_cast<double>(registers.size());
  double sum = 0;
  double empty = 0;
  for (const std::uint8_t rank : registers) {
    sum += std::ldexp(1.0, -static_cast<int>(std::min<unsigned>(rank, kMaxRank)));
    if (rank == 0) empty += 1;
  }
  double estimate = BiasCorrection(m) * m * m / sum;
  if (estimate <= kLinearBelow * m && empty > 0) estimate = m * std::log(m / empty);
  // 2^64 registers' worth at the highest rank is still far below what a double turns into an
  // integer safely here.
  return static_cast<std::uint64_t>(std::min(std::round(estimate), 9e18));
}

}  // namespace culprit
