// SPDX-License-Identifier: Apache-2.0
#include "common/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit {
namespace {

// Test vectors of RFC 3720, appendix B.4.
TEST(Crc32cTest, MeetsThePublishedVectors) {
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  struct Case {
    std::string bytes;
    std::uint32_t crc;
  };
  for (const Case& c : {Case{std::string(32, '\0'), 0x8a9136aaU},
                        Case{std::string(32, '\xff'), 0x62a8ab43U}, Case{ascending, 0x46dd794eU},
                        Case{"123456789", 0xe3069283U}, Case{"", 0U}}) {
    EXPECT_EQ(Crc32c(c.bytes), c.crc);
    EXPECT_EQ(Crc32cPortable(c.bytes), c.crc);
  }
}

TEST(Crc32cTest, PiecesGiveTheSameAsTheWholeInBothForms) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes.push_back(static_cast<char>(i * 37));
  const std::uint32_t whole = Crc32c(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 7) {
    EXPECT_EQ(Crc32c(bytes.substr(cut), Crc32c(bytes.substr(0, cut))), whole);
    EXPECT_EQ(Crc32cPortable(bytes.substr(cut), Crc32c(bytes.substr(0, cut))), whole);
  }
}

}  // namespace
}  // namespace culprit
