// SPDX-License-Identifier: Apache-2.0
// An index in a directory of its own, fed with built frames.
#ifndef CULPRIT_TESTS_COLLECTOR_STORE_STORE_FIXTURE_H_
#define CULPRIT_TESTS_COLLECTOR_STORE_STORE_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

#include "collector/model/batch_decoder.h"
#include "collector/store/evidence_store.h"
#include "tests/support/record_builder.h"

namespace culprit::testing {

class StoreFixture : public ::testing::Test {
 protected:
  StoreFixture() {
    std::string pattern = ::testing::TempDir() + "/culprit-store-XXXXXX";
    root_ = mkdtemp(pattern.data());
    options_.directory = root_ + "/index";
  }
  ~StoreFixture() override {
    store_.reset();
    std::filesystem::remove_all(root_);
  }
  void Open() {
    store_.reset();
    auto store = OpenSqliteStore(options_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  void Take(const StoredFrame& stored, bool flush = true) {
    const DecodedFrame frame = DecodeStoredFrame(stored);
    ASSERT_TRUE(store_->Append({&frame, 1}));
    if (flush) {
      ASSERT_TRUE(store_->Flush());
    }
  }
  // Takes rows in a frame of their own, right behind the one before.
  void TakeRows(const std::vector<Row>& rows, double at, std::uint8_t agent = 1) {
    Take(MakeStored(++lsn_, rows, at, agent));
  }
  AggregateResult Ask(const AggregatePlan& plan) {
    auto result = store_->Aggregate(plan, nullptr);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? std::move(*result) : AggregateResult{};
  }
  std::vector<std::string> PartFiles() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
      if (entry.path().extension() == ".db") out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  std::string root_;
  SqliteStoreOptions options_;
  std::unique_ptr<EvidenceStore> store_;
  Lsn lsn_ = 0;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_STORE_STORE_FIXTURE_H_
