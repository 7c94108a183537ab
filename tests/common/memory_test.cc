// SPDX-License-Identifier: Apache-2.0
// What a start took is given back, and the program is none the worse for it.
#include "common/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>

namespace culprit {
namespace {

// KiB of this program's file that are mapped read-only and resident.
std::uint64_t ResidentCodeKib() {
  std::array<char, 4096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  const std::string own(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  std::ifstream maps("/proc/self/smaps");
  std::uint64_t sum = 0;
  bool counts = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (first.find('-') != std::string::npos && first.back() != ':') {
      counts = line.ends_with(own) && second[1] == '-';
    } else if (counts && first == "Rss:") {
      sum += std::stoull(second);
    }
  }
  return sum;
}

TEST(MemoryTest, CodeOfTheStartIsUnmappedAndRunsAgain) {
  const std::uint64_t before = ResidentCodeKib();
  ASSERT_GT(before, 0U);
  GiveBackStartup();
  EXPECT_LT(ResidentCodeKib(), before);
  const std::string text = std::to_string(before) + " KiB";  // constants and code are as they were
  EXPECT_EQ(text.substr(text.size() - 4), " KiB");
}

}  // namespace
}  // namespace culprit
