// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/model/observation.h"

namespace culprit {
namespace {

TEST(NameTextTest, WhatIsNotPlainIsEscapedAndTheRestIsLowerCase) {
  const std::pair<std::string, const char*> cases[] = {{"WWW.Example.COM.", "www.example.com"},
                                                       {"my printer.local", "my\\x20printer.local"},
                                                       {"a\\b", "a\\x5cb"},
                                                       {"a\nb\x7f\xff", "a\\x0ab\\x7f\\xff"},
                                                       {".", "."},
                                                       {"", ""}};
  for (const auto& [host, text] : cases) EXPECT_EQ(NameText(host), text);
}

TEST(NameTextTest, NoByteMakesWhatACollectorRefuses) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  for (std::size_t at = 0; at < all.size(); ++at) {
    const std::string text = NameText(all.substr(at, 1) + all.substr(0, at));
    EXPECT_LE(text.size(), kMaxNameLength);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; }))
        << text;
  }
}

}  // namespace
}  // namespace culprit
