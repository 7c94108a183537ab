// SPDX-License-Identifier: Apache-2.0
// Without logind; tests/e2e/87_snapshot_triggers.py has a real one.
#include "agent/source/shutdown_watch.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;

TEST(ShutdownWatchTest, WithoutABusItSaysSoAndHoldsNothing) {
  const TempDir directory(TempDir::Where::kMemory);
  ShutdownWatchOptions options;
  options.address = "unix:path=" + (directory / "nobody");
  ShutdownWatch watch(std::move(options));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (watch.problem().find("asked yet") != std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_THAT(watch.problem(), HasSubstr("no bus answers"));
  EXPECT_FALSE(watch.holding());
  EXPECT_FALSE(watch.going_down());
  watch.Release();  // nothing to let go of
}

}  // namespace
}  // namespace culprit::testing
