// SPDX-License-Identifier: Apache-2.0
// Text against tests/collector/cli/golden/NAME.txt, answers from NAME.textproto.
// CULPRIT_UPDATE_GOLDEN=1 writes the files anew.
#ifndef CULPRIT_TESTS_COLLECTOR_CLI_GOLDEN_H_
#define CULPRIT_TESTS_COLLECTOR_CLI_GOLDEN_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "collector/cli/render.h"

namespace culprit::cli::testing {

inline constexpr std::int64_t kNow = 1'772'323'384'000'000'000;  // 2026-03-01T00:03:04Z

inline std::string GoldenPath(const std::string& name) {
  return std::string(CULPRIT_SOURCE_DIR "/tests/collector/cli/golden/") + name;
}

inline std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = GoldenPath(name + ".txt");
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  EXPECT_EQ(text, ReadText(path)) << path;
}

template <class Message>
Message Load(const std::string& name) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      ReadText(GoldenPath(name + ".textproto")), &message))
      << name;
  return message;
}

inline View Wide() {
  View view;
  view.now_ns = kNow;
  return view;
}

inline View Terminal(std::size_t width) {
  View view = Wide();
  view.width = width;
  return view;
}

}  // namespace culprit::cli::testing

#endif  // CULPRIT_TESTS_COLLECTOR_CLI_GOLDEN_H_
