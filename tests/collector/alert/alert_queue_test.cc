// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_queue.h"

#include <gtest/gtest.h>

#include "tests/collector/alert/alert_builder.h"
#include "tests/support/crash_child.h"
#include "tests/support/small_disk.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

AlertEntry Entry(const std::string& id, v1::Severity severity = v1::SEVERITY_HIGH) {
  return {id, {severity, true}, MakeAlert(MakeFinding(id, severity))};
}

class AlertQueueTest : public ::testing::Test {
 protected:
  AlertQueueTest() { Reopen(); }
  void Reopen(std::uint32_t cap = 10) {
    queue_.reset();
    auto opened = AlertQueue::Open(dir_ / "alerts.db");
    ASSERT_TRUE(opened) << opened.error().message;
    queue_ = std::move(*opened);
    // The findings' numbers are far ahead but at the first start.
    ASSERT_TRUE(queue_->Register("t", opened_++ == 0 ? 1000 : 1'000'000, cap));
  }
  std::string HeadKey() {
    const auto head = queue_->Head("t");
    return head && *head ? (*head)->alert.key() : "";
  }
  std::int64_t HeadId() { return (**queue_->Head("t")).id; }

  TempDir dir_{TempDir::Where::kMemory};
  std::unique_ptr<AlertQueue> queue_;
  int opened_ = 0;
};

TEST_F(AlertQueueTest, WhatIsPutIsThereAfterAnotherStart) {
  ASSERT_TRUE(queue_->Put("t", {Entry("a1"), Entry("b2")}, 1007));
  Reopen();
  EXPECT_EQ(queue_->CountsOf("t").queued, 2U);
  EXPECT_EQ(queue_->CountsOf("t").cursor, 1007U);
  EXPECT_EQ(queue_->CountsOf("t").oldest_ns, MakeAlert(MakeFinding()).queued_ns());
  EXPECT_EQ(HeadKey(), "a1-key");
  const auto told = queue_->ToldOf("t", "a1");
  ASSERT_TRUE(told && *told);
  EXPECT_EQ(**told, (Told{v1::SEVERITY_HIGH, true}));
  EXPECT_FALSE(*queue_->ToldOf("t", "zz"));
  EXPECT_FALSE(*queue_->ToldOf("other", "a1"));
}

TEST_F(AlertQueueTest, WhatIsDeliveredIsGoneAndCounted) {
  ASSERT_TRUE(queue_->Put("t", {Entry("a1"), Entry("b2")}, 1002));
  ASSERT_TRUE(queue_->Delivered("t", HeadId(), WallTimeFromNs(kStart)));
  Reopen();
  EXPECT_EQ(HeadKey(), "b2-key");
  EXPECT_EQ(queue_->CountsOf("t").delivered, 1U);
  EXPECT_EQ(queue_->CountsOf("t").last_success_ns, kStart);
  ASSERT_TRUE(queue_->GiveUp("t", HeadId()));
  EXPECT_EQ(HeadKey(), "");
  EXPECT_EQ(queue_->CountsOf("t").lost, 1U);
  EXPECT_EQ(queue_->CountsOf("t").oldest_ns, 0);
}

TEST_F(AlertQueueTest, OverItsCapTheLeastSevereAndOldestGoesAndIsDeclared) {
  for (int i = 0; i < 10; ++i) {
    const auto severity = i % 2 == 0 ? v1::SEVERITY_HIGH : v1::SEVERITY_MEDIUM;
    ASSERT_TRUE(queue_->Put("t", {Entry("f" + std::to_string(i), severity)}, 1001));
  }
  EXPECT_EQ(HeadKey(), "f0-key");
  ASSERT_TRUE(queue_->Put("t", {Entry("g1", v1::SEVERITY_CRITICAL)}, 1002));
  EXPECT_EQ(queue_->CountsOf("t").queued, 10U);
  EXPECT_EQ(queue_->CountsOf("t").lost, 1U);
  ASSERT_TRUE(queue_->Put("t", {Entry("g2", v1::SEVERITY_LOW)}, 1003));
  EXPECT_EQ(queue_->CountsOf("t").lost, 2U) << "it is itself the least severe";
  std::vector<std::string> keys;
  std::uint64_t lost_before = 0;
  for (auto head = queue_->Head("t"); *head; head = queue_->Head("t")) {
    keys.push_back((*head)->alert.key());
    lost_before = std::max(lost_before, (*head)->alert.lost_before());
    ASSERT_TRUE(queue_->Delivered("t", (*head)->id, {}));
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"f0-key", "f2-key", "f3-key", "f4-key", "f5-key",
                                            "f6-key", "f7-key", "f8-key", "f9-key", "g1-key"}));
  Reopen();
  EXPECT_EQ(queue_->CountsOf("t").lost, 2U);
}

TEST_F(AlertQueueTest, WhatIsBeingSentIsNotDropped) {
  ASSERT_TRUE(queue_->Put("t", {Entry("low", v1::SEVERITY_LOW)}, 1001));
  const std::int64_t id = HeadId();
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(queue_->Put("t", {Entry("h" + std::to_string(i))}, 1002));
  EXPECT_EQ(queue_->CountsOf("t").lost, 1U);
  EXPECT_EQ(HeadId(), id);
  ASSERT_TRUE(queue_->Delivered("t", id, {}));
  EXPECT_EQ(HeadKey(), "h1-key");
}

TEST_F(AlertQueueTest, ANewTargetHearsOfWhatComesAndAnOldOneGoesOnWhereItWas) {
  ASSERT_TRUE(queue_->Put("t", {}, 1005));
  ASSERT_TRUE(queue_->Register("t", 1010, 10));
  EXPECT_EQ(queue_->CountsOf("t").cursor, 1005U);
  ASSERT_TRUE(queue_->Register("new", 1010, 10));
  EXPECT_EQ(queue_->CountsOf("new").cursor, 1010U);
  ASSERT_TRUE(queue_->Register("t", 7, 10));
  EXPECT_EQ(queue_->CountsOf("t").cursor, 0U) << "the findings' file is another one";
}

TEST_F(AlertQueueTest, TargetsDoNotSeeEachOther) {
  ASSERT_TRUE(queue_->Register("u", 0, 10));
  ASSERT_TRUE(queue_->Put("u", {Entry("a1")}, 1));
  EXPECT_EQ(HeadKey(), "");
  EXPECT_EQ(queue_->CountsOf("u").queued, 1U);
}

// Kill -9 at any instant: what Put() said is there, and what is there is whole.
TEST_F(AlertQueueTest, AKilledWriterLosesNothingThatItSaidWasPut) {
  queue_.reset();
  std::uint64_t known = 1000;
  for (int round = 0; round < 5; ++round) {
    const auto promised = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          auto queue = AlertQueue::Open(dir_ / "alerts.db");
          if (!queue || !(*queue)->Register("t", 1'000'000, 100'000)) return;
          for (std::uint64_t n = (*queue)->CountsOf("t").cursor + 1;; ++n) {
            if (!(*queue)->Put("t", {Entry("f" + std::to_string(n))}, n)) return;
            promise(n);
          }
        },
        std::chrono::milliseconds(30));
    ASSERT_FALSE(promised.empty());
    const std::uint64_t last = promised.back();
    Reopen(100'000);
    EXPECT_GE(queue_->CountsOf("t").cursor, last);
    EXPECT_GT(last, known);
    EXPECT_EQ(queue_->CountsOf("t").queued, queue_->CountsOf("t").cursor - 1000);
    known = last;
    queue_.reset();
  }
}

TEST(AlertQueueDiskTest, AFullDiskIsToldAndHalfAChangeIsNeverThere) {
  const SmallDisk disk(2);
  auto queue = AlertQueue::Open(disk / "alerts.db");
  ASSERT_TRUE(queue) << queue.error().message;
  ASSERT_TRUE((*queue)->Register("t", 0, 100'000));
  ASSERT_TRUE((*queue)->Put("t", {Entry("first")}, 1));
  disk.Fill();
  std::uint64_t cursor = 1;
  Status put = Ok();
  for (int i = 0; put && i < 2000; ++i) {
    put = (*queue)->Put("t", {Entry("f" + std::to_string(i))}, cursor + 1);
    if (put) ++cursor;
  }
  ASSERT_FALSE(put);
  EXPECT_NE(put.error().message.find("full"), std::string::npos) << put.error().message;
  EXPECT_EQ((*queue)->CountsOf("t").queued, cursor);
  disk.Free();
  ASSERT_TRUE((*queue)->Put("t", {Entry("last")}, cursor + 1));
  EXPECT_EQ((*queue)->CountsOf("t").queued, cursor + 1);
  EXPECT_EQ((**(*queue)->Head("t")).alert.key(), "first-key");
}

}  // namespace
}  // namespace culprit::testing
