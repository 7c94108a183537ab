// SPDX-License-Identifier: Apache-2.0
// What agents said about SSH, in the index.
#include <gmock/gmock.h>

#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;

class PostureTest : public StoreFixture {
 protected:
  PostureTest() { options_.part_age = std::chrono::hours(1); }

  void TakeState(const std::string& config, double at) {
    v1::EvidenceBatch batch;
    batch.mutable_posture()->set_at_boot_ns(BootAt(at));
    batch.mutable_posture()->set_config_path(config);
    Take(MakeStored(++lsn_, batch, at));
  }
  void TakeChange(const std::string& path, double happened, double at) {
    v1::EvidenceBatch batch;
    v1::PostureChange* change = batch.add_posture_changes();
    change->set_at_boot_ns(BootAt(happened));
    change->set_kind(v1::POSTURE_CHANGE_KIND_CHANGED);
    change->set_path(path);
    Take(MakeStored(++lsn_, batch, at));
  }
  std::string State() {
    const auto found = store_->Postures(std::nullopt);
    EXPECT_TRUE(found);
    return found && found->size() == 1 ? found->front().posture.config_path() : "";
  }
  std::vector<std::string> Changes(std::size_t limit) {
    const auto found = store_->PostureChanges({1, std::nullopt, std::nullopt}, limit);
    EXPECT_TRUE(found);
    std::vector<std::string> out;
    for (const PostureChangeRecord& record : *found) out.push_back(record.change.path());
    return out;
  }
};

TEST_F(PostureTest, TheNewestStateHoldsAlsoOverParts) {
  Open();
  TakeState("/a", 1);
  TakeState("/b", 2);
  EXPECT_EQ(State(), "/b");
  TakeState("/c", 8'000);
  EXPECT_EQ(State(), "/c");
}

TEST_F(PostureTest, AStateIsFoundInAnOlderPart) {
  Open();
  TakeState("/a", 1);
  TakeChange("/k", 8'000, 8'000);
  EXPECT_EQ(State(), "/a");
}

TEST_F(PostureTest, ChangesComeNewestFirstHoweverLateTheyArrive) {
  Open();
  TakeChange("/1", 1, 1);
  TakeChange("/3", 3, 3);
  TakeChange("/2", 2, 8'000);
  EXPECT_THAT(Changes(100), ElementsAre("/3", "/2", "/1"));
  EXPECT_THAT(Changes(2), ElementsAre("/3", "/2"));
}

TEST_F(PostureTest, ARecordThatMakesNoSenseIsRejected) {
  Open();
  v1::EvidenceBatch batch;
  batch.add_posture_changes()->set_path("/no kind");
  batch.mutable_posture()->add_findings()->set_severity(9);
  Take(MakeStored(++lsn_, batch, 1));
  EXPECT_THAT(Changes(100), ElementsAre());
  EXPECT_EQ(State(), "");
  EXPECT_EQ(store_->stats().rejected_records, 2U);
}

}  // namespace
}  // namespace culprit::testing
