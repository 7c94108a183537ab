// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/hyperloglog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace culprit {
namespace {

struct Count {
  std::size_t registers;
  std::uint64_t things;
  double error;  // bound on the mean relative error over the simulated sketches
};

class HyperLogLogTest : public ::testing::TestWithParam<Count> {};

// As the kernel does: some bits choose the register, the rest gives the rank.
void Add(std::uint64_t hash, std::vector<std::uint8_t>& registers) {
  const std::uint64_t index = hash % registers.size();
  const auto rank = static_cast<std::uint8_t>(std::countl_zero(hash) + 1);
  registers[index] = std::max(registers[index], rank);
}

TEST_P(HyperLogLogTest, EstimatesExactCountsWithinItsStandardError) {
  constexpr int kSketches = 64;
  std::mt19937_64 random(7);
  double squares = 0;
  double sum = 0;
  for (int i = 0; i < kSketches; ++i) {
    std::vector<std::uint8_t> registers(GetParam().registers);
    for (std::uint64_t n = 0; n < GetParam().things; ++n) {
      const std::uint64_t hash = random();
      Add(hash, registers);
      Add(hash, registers);  // seen again: counts once
    }
    const auto things = static_cast<double>(GetParam().things);
    const double off = (static_cast<double>(EstimateDistinct(registers)) - things) / things;
    squares += off * off;
    sum += off;
  }
  EXPECT_LE(std::sqrt(squares / kSketches), GetParam().error);
  EXPECT_LE(std::abs(sum / kSketches), GetParam().error / 2) << "biased";
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperLogLogTest,
                         ::testing::Values(Count{256, 1, 0.01}, Count{256, 10, 0.08},
                                           Count{256, 100, 0.08}, Count{256, 500, 0.10},
                                           Count{256, 700, 0.10}, Count{256, 10'000, 0.09},
                                           Count{256, 200'000, 0.09}, Count{64, 1, 0.01},
                                           Count{64, 20, 0.12}, Count{64, 150, 0.20},
                                           Count{64, 1'000, 0.18}, Count{64, 60'000, 0.18}));

TEST(HyperLogLogTest, AnyRegistersGiveANumber) {
  EXPECT_EQ(EstimateDistinct({}), 0U);
  EXPECT_EQ(EstimateDistinct(std::vector<std::uint8_t>(256)), 0U);
  EXPECT_GT(EstimateDistinct(std::vector<std::uint8_t>(256, 255)), 1ULL << 60);
}

}  // namespace
}  // namespace culprit
