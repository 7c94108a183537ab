// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/custody.h"

#include <gtest/gtest.h>

#include <functional>

namespace culprit {
namespace {

v1::Snapshot Three() {
  v1::Snapshot snapshot;
  for (const char* action : {"asked", "received", "verified"}) {
    v1::CustodyEntry entry;
    entry.set_action(action);
    entry.set_actor("op");
    entry.set_at_ns(snapshot.custody_size() + 1);
    AddCustody(entry, &snapshot);
  }
  return snapshot;
}

TEST(CustodyTest, EveryChangeBreaksTheChain) {
  EXPECT_TRUE(CheckCustody(Three()));
  const std::function<void(v1::Snapshot*)> changes[] = {
      [](v1::Snapshot* s) { s->mutable_custody(1)->set_actor("somebody"); },
      [](v1::Snapshot* s) { s->mutable_custody(1)->set_at_ns(7); },
      [](v1::Snapshot* s) { s->mutable_custody(1)->set_note("x"); },
      [](v1::Snapshot* s) { s->mutable_custody()->SwapElements(1, 2); },
      [](v1::Snapshot* s) { s->mutable_custody()->DeleteSubrange(0, 1); },
      [](v1::Snapshot* s) { s->mutable_custody()->DeleteSubrange(1, 1); },
  };
  for (const auto& change : changes) {
    v1::Snapshot snapshot = Three();
    change(&snapshot);
    EXPECT_FALSE(CheckCustody(snapshot));
  }
}

TEST(CustodyTest, ReadersAreBoundedAndWhatChangesTheBundleIsNot) {
  v1::Snapshot snapshot;
  v1::CustodyEntry read;
  read.set_action("read");
  for (int i = 0; i < kMaxCustody + 10; ++i) AddCustody(read, &snapshot);
  EXPECT_EQ(snapshot.custody_size(), kMaxCustody);
  v1::CustodyEntry removed;
  removed.set_action("removed");
  AddCustody(removed, &snapshot);
  EXPECT_EQ(snapshot.custody_size(), kMaxCustody + 1);
  EXPECT_TRUE(CheckCustody(snapshot));
}

}  // namespace
}  // namespace culprit
