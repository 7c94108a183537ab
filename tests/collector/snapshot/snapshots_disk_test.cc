// SPDX-License-Identifier: Apache-2.0
// A full disk under the bundles: told, nothing of it is called stored, and the rest comes once
// there is room.
#include <gmock/gmock.h>

#include "collector/snapshot/snapshots.h"
#include "common/hex.h"
#include "tests/collector/snapshot/agent_with_bundle.h"
#include "tests/support/small_disk.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

v1::Snapshot Await(Snapshots& snapshots, const std::string& id,
                   const std::function<bool(const v1::Snapshot&)>& good) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (std::uint64_t seen = 0; std::chrono::steady_clock::now() < deadline;) {
    seen = snapshots.WaitChange(seen, std::chrono::milliseconds(50));
    const auto now = snapshots.Get(id);
    if (now && good(*now)) return *now;
  }
  ADD_FAILURE() << snapshots.Get(id)->DebugString();
  return {};
}

TEST(SnapshotsDiskTest, AFullDiskIsToldAndSurvived) {
  const TempDir keys;
  const SmallDisk disk(4);
  AgentWithBundle agent(keys / "key");
  SnapshotStoreLimits limits;
  limits.min_free_bytes = 0;
  limits.try_again = std::chrono::milliseconds(10);
  auto snapshots = Snapshots::Open(disk / "snapshots", limits, agent);
  ASSERT_TRUE(snapshots) << snapshots.error().message;
  agent.refusal = MakeError(Code::kResourceExhausted, "busy");
  const auto taken = (*snapshots)->Take({Uuid::Random(), "web-1", 1, "operator", "op", ""});
  ASSERT_TRUE(taken) << taken.error().message;
  disk.Fill();
  {
    const std::lock_guard lock(agent.mutex);
    agent.refusal.reset();
  }
  const v1::Snapshot waiting = Await(**snapshots, taken->id(), [](const v1::Snapshot& now) {
    return now.state() == v1::SNAPSHOT_STATE_WAITING && now.problem() != "busy";
  });
  EXPECT_THAT(waiting.problem(), HasSubstr("disk"));
  EXPECT_TRUE(agent.released.empty()) << "what is not stored must not be dropped";
  disk.Free();
  const v1::Snapshot snapshot =
      Await(**snapshots, taken->id(), [](const v1::Snapshot& now) { return IsFinal(now.state()); });
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << snapshot.problem();
}

}  // namespace
}  // namespace culprit
