// SPDX-License-Identifier: Apache-2.0
#include "agent/source/contact_filter.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kBytes = 512 * 1024;
constexpr std::uint64_t kBits = kBytes * 8;
const BootTime kStart = BootTimeFromNs(5'000'000'000'000);

TEST(ContactGenerationOver, IsByAgeOrByAQuarterOfItsBits) {
  EXPECT_FALSE(ContactGenerationOver(kStart, kStart, 0, kBits));
  EXPECT_FALSE(ContactGenerationOver(kStart, kStart + kContactGeneration - std::chrono::seconds(1),
                                     kBits / 8, kBits));
  EXPECT_TRUE(ContactGenerationOver(kStart, kStart + kContactGeneration, 0, kBits));
  EXPECT_TRUE(ContactGenerationOver(kStart, kStart, kBits / 8 + 1, kBits));
}

class ContactFilterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string full(2 * kBytes, '\xff');
    ASSERT_EQ(write(map_.get(), full.data(), full.size()), static_cast<ssize_t>(full.size()));
  }
  std::string Generation(std::uint32_t index) const {
    std::string bytes(kBytes, 'x');
    EXPECT_EQ(pread(map_.get(), bytes.data(), kBytes, static_cast<off_t>(index * kBytes)),
              static_cast<ssize_t>(kBytes));
    return bytes;
  }

  UniqueFd map_{memfd_create("contacts", MFD_CLOEXEC)};
  std::uint32_t generation_ = 0;
  unsigned long long inserts_ = kBits / 8;
  ContactFilter filter_{map_.get(), 2 * kBytes, generation_, inserts_, kStart};
};

TEST_F(ContactFilterTest, ClearsTheOlderGenerationAndKeepsTheYoungerAsTheOlder) {
  ASSERT_TRUE(filter_.Sweep(kStart + kContactGeneration));
  EXPECT_EQ(generation_, 1U);
  EXPECT_EQ(inserts_, 0U);
  EXPECT_EQ(Generation(0), std::string(kBytes, '\xff'));
  EXPECT_EQ(Generation(1), std::string(kBytes, '\0'));
  ASSERT_TRUE(filter_.Sweep(kStart + 2 * kContactGeneration));
  EXPECT_EQ(generation_, 0U);
  EXPECT_EQ(Generation(0), std::string(kBytes, '\0'));
}

TEST_F(ContactFilterTest, LeavesAYoungGenerationAlone) {
  ASSERT_TRUE(filter_.Sweep(kStart + std::chrono::seconds(1)));
  EXPECT_EQ(generation_, 0U);
  EXPECT_EQ(inserts_, kBits / 8);
  EXPECT_EQ(Generation(1), std::string(kBytes, '\xff'));
}

TEST_F(ContactFilterTest, AgeCountsFromTheLastRotation) {
  inserts_ += 1;
  const BootTime early = kStart + std::chrono::minutes(9);
  ASSERT_TRUE(filter_.Sweep(early));
  EXPECT_EQ(generation_, 1U);
  ASSERT_TRUE(filter_.Sweep(kStart + kContactGeneration));
  EXPECT_EQ(generation_, 1U);
  ASSERT_TRUE(filter_.Sweep(early + kContactGeneration));
  EXPECT_EQ(generation_, 0U);
}

}  // namespace
}  // namespace culprit
