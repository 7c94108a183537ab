// SPDX-License-Identifier: Apache-2.0
// What arrives is what was signed, wherever it breaks on its way; what is not is told apart.
#include "collector/snapshot/snapshots.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "collector/snapshot/custody.h"
#include "common/file.h"
#include "common/hex.h"
#include "tests/collector/snapshot/agent_with_bundle.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Hash(const std::string& bytes) { return HexEncode(AsBytes(Sha256Of(bytes))); }

class SnapshotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    limits_.min_free_bytes = 0;
    limits_.try_again = milliseconds(5);
    Open();
  }
  void Open() {
    auto opened = Snapshots::Open(directory_ / "snapshots", limits_, agent_);
    ASSERT_TRUE(opened) << opened.error().message;
    snapshots_ = std::move(*opened);
  }
  v1::Snapshot Take(unsigned last_tier = 1) {
    SnapshotWish wish;
    wish.agent_id = agent_id_;
    wish.host = "web-1";
    wish.last_tier = last_tier;
    wish.trigger = "operator";
    wish.operator_name = "op";
    auto taken = snapshots_->Take(wish);
    EXPECT_TRUE(taken) << taken.error().message;
    return taken.value_or(v1::Snapshot());
  }
  v1::Snapshot Await(
      const std::string& id, const std::function<bool(const v1::Snapshot&)>& good =
                                 [](const v1::Snapshot& s) { return IsFinal(s.state()); }) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::uint64_t seen = 0;
    for (;;) {
      seen = snapshots_->WaitChange(seen, milliseconds(50));
      auto now = snapshots_->Get(id);
      if (!now) return {};
      if (good(*now)) return *now;
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "still " << v1::SnapshotState_Name(now->state()) << ": " << now->problem();
        return *now;
      }
    }
  }
  std::string Bytes(const std::string& id, Status* status = nullptr) {
    std::string bytes;
    const Status read =
        snapshots_->Read(id, 0, "op", [&](std::uint64_t offset, std::string_view part) {
          EXPECT_EQ(offset, bytes.size());
          bytes += part;
          return true;
        });
    if (status != nullptr) {
      *status = read;
    } else {
      EXPECT_TRUE(read) << read.error().message;
    }
    return bytes;
  }
  std::string BundleOf(const std::string& id) {
    const std::lock_guard lock(agent_.mutex);
    const auto bundle = agent_.bundles.find(id);
    return bundle == agent_.bundles.end() ? "" : bundle->second;
  }

  TempDir directory_;
  SnapshotStoreLimits limits_;
  AgentWithBundle agent_{directory_ / "key"};
  const Uuid agent_id_ = Uuid::Random();
  std::unique_ptr<Snapshots> snapshots_;
};

TEST_F(SnapshotsTest, IsStoredUnderItsHashVerifiedAndReleased) {
  const v1::Snapshot asked = Take();
  const v1::Snapshot snapshot = Await(asked.id());
  ASSERT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << snapshot.problem();
  EXPECT_THAT(snapshot.whole_tiers(), ElementsAre(0, 1));
  EXPECT_TRUE(snapshot.key_known());
  EXPECT_EQ(snapshot.skipped(), 3U);
  const std::string bytes = Bytes(asked.id());
  EXPECT_EQ(Hash(bytes), snapshot.sha256());
  EXPECT_EQ(
      ReadWholeFile(directory_ / "snapshots/" + snapshot.sha256() + ".tar.zst", 1 << 20).value(),
      bytes);
  EXPECT_THAT(agent_.released, ElementsAre(asked.id()));
  EXPECT_EQ(snapshots_->List(agent_id_, 10).size(), 1U);
  EXPECT_TRUE(snapshots_->List(Uuid::Random(), 10).empty());
}

v1::SnapshotOffer Offer(const Uuid& id, const std::string& trigger) {
  v1::SnapshotOffer offer;
  offer.set_snapshot_id(std::string(id.AsBytes()));
  offer.set_trigger(trigger);
  offer.set_last_tier(1);
  return offer;
}

TEST_F(SnapshotsTest, WhatAnAgentBeganIsFetchedOnceUnderItsTriggersName) {
  const Uuid id = Uuid::Random();
  agent_.began = {id.ToString()};
  const v1::SnapshotOffer offer = Offer(id, "spot interruption: terminate\x1b[2J");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(snapshots_->TakeOffered(agent_id_, "web-1", offer));
  const v1::Snapshot snapshot = Await(id.ToString());
  ASSERT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << snapshot.problem();
  EXPECT_TRUE(snapshot.offered());
  EXPECT_THAT(snapshot.trigger(), HasSubstr("spot interruption: terminate"));
  EXPECT_EQ(snapshot.trigger().find('\x1b'), std::string::npos);
  EXPECT_EQ(snapshot.custody(0).action(), "offered");
  EXPECT_EQ(snapshots_->List(agent_id_, 10).size(), 1U);
  snapshots_->Stop();  // joins the transfer, whose last word is the release
  EXPECT_FALSE(agent_.released.empty());
  // The release was lost: the agent offers it again, and is told again.
  agent_.released.clear();
  ASSERT_TRUE(snapshots_->TakeOffered(agent_id_, "web-1", offer));
  EXPECT_THAT(agent_.released, ElementsAre(id.ToString()));
}

TEST_F(SnapshotsTest, AnAgentThatOffersWithoutEndUsesUpNothingOfOthers) {
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    const Uuid id = Uuid::Random();
    if (!snapshots_->TakeOffered(agent_id_, "web-1", Offer(id, "x"))) continue;
    ++taken;
    EXPECT_EQ(Await(id.ToString()).state(), v1::SNAPSHOT_STATE_FAILED);  // it has none
  }
  EXPECT_EQ(taken, Snapshots::kMaxOffersAnHour);
  v1::SnapshotOffer wrong = Offer(Uuid::Random(), std::string(257, 'x'));
  EXPECT_FALSE(snapshots_->TakeOffered(Uuid::Random(), "web-2", wrong));
  wrong = Offer(Uuid::Random(), "x");
  wrong.set_snapshot_id("short");
  EXPECT_FALSE(snapshots_->TakeOffered(Uuid::Random(), "web-2", wrong));
}

TEST_F(SnapshotsTest, ABreakAtAnyByteGivesTheSameBytes) {
  const std::size_t size = MakeTestBundle("x", directory_ / "key").bytes.size();
  unsigned resumed = 0;
  for (std::size_t at = 1; at < size; at += 131) {
    {
      const std::lock_guard lock(agent_.mutex);
      agent_.break_at = at;
    }
    const std::string id = Take().id();
    std::string want;
    const v1::Snapshot snapshot = Await(id, [&](const v1::Snapshot& now) {
      if (!IsFinal(now.state()) || want.empty()) {
        const std::string bundle = BundleOf(id);
        if (!bundle.empty()) want = bundle;
      }
      return IsFinal(now.state());
    });
    ASSERT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << at << ": " << snapshot.problem();
    EXPECT_EQ(Hash(Bytes(id)), snapshot.sha256()) << at;
    if (!want.empty()) {
      EXPECT_EQ(Hash(want), snapshot.sha256()) << at;
    }
    resumed += snapshot.resumed();
  }
  EXPECT_GT(resumed, size / 131 - 3);
}

TEST_F(SnapshotsTest, GoesOnAfterARestartOfTheCollector) {
  agent_.break_at = 2000;
  agent_.goes_away = true;
  const std::string id = Take().id();
  const auto waits = [](const v1::Snapshot& now) {
    return now.state() == v1::SNAPSHOT_STATE_WAITING && now.stored_bytes() == 2000;
  };
  const v1::Snapshot waiting = Await(id, waits);
  EXPECT_THAT(waiting.whole_tiers(), ElementsAre(0)) << "what is there is verified meanwhile";
  snapshots_.reset();
  {
    const std::lock_guard lock(agent_.mutex);
    agent_.connected = true;
  }
  Open();
  const v1::Snapshot snapshot = Await(id);
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << snapshot.problem();
  EXPECT_EQ(snapshot.resumed(), 1U);
  EXPECT_EQ(Hash(Bytes(id)), snapshot.sha256());
}

TEST_F(SnapshotsTest, BytesThatAPowerCutLeftWrongComeOnceMore) {
  agent_.break_at = 2000;
  agent_.goes_away = true;
  const std::string id = Take().id();
  Await(id, [](const v1::Snapshot& now) { return now.state() == v1::SNAPSHOT_STATE_WAITING; });
  snapshots_.reset();
  const std::string part = directory_ / "snapshots/" + id + ".part";
  const UniqueFd fd(open(part.c_str(), O_WRONLY));
  ASSERT_EQ(pwrite(fd.get(), "\0\0\0\0", 4, 1000), 4);
  {
    const std::lock_guard lock(agent_.mutex);
    agent_.connected = true;
  }
  Open();
  const v1::Snapshot snapshot = Await(id);
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE) << snapshot.problem();
}

TEST_F(SnapshotsTest, AHostThatIsGoneForGoodLeavesTiersThatVerify) {
  limits_.give_up = milliseconds(50);
  Open();
  agent_.break_at = MakeTestBundle("x", directory_ / "key").tier_ends[0] + 40;
  agent_.goes_away = true;
  const std::string id = Take().id();
  const v1::Snapshot snapshot = Await(id);
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_PARTIAL);
  EXPECT_THAT(snapshot.whole_tiers(), ElementsAre(0));
  EXPECT_THAT(snapshot.problem(), HasSubstr("connect"));
  EXPECT_EQ(Bytes(id).size(), snapshot.stored_bytes()) << "what came can be read";
}

TEST_F(SnapshotsTest, WhatIsNotWhatWasSignedOrAskedForIsRefusedByItsDefect) {
  const auto packed = [](const std::function<void(std::vector<TarMember>*)>& change) {
    return [change](const std::string& bytes) {
      std::vector<TarMember> members = UnpackBundle(bytes);
      change(&members);
      return PackBundle(members);
    };
  };
  const struct {
    const char* what;
    std::function<std::string(const std::string&)> forge;
    v1::SnapshotState state;
    const char* defect;
  } cases[] = {
      {"edited", packed([](auto* members) { (*members)[1].bytes[3] = 'P'; }),
       v1::SNAPSHOT_STATE_REFUSED, "edited: live/processes.jsonl"},
      {"reordered", packed([](auto* members) { std::swap((*members)[0], (*members)[1]); }),
       v1::SNAPSHOT_STATE_REFUSED, "reordered: "},
      {"a member gone", packed([](auto* members) { members->erase(members->begin()); }),
       v1::SNAPSHOT_STATE_REFUSED, "missing: allowed_signers"},
      {"a member more", packed([](auto* members) {
         members->insert(members->begin(), {"x", "y"});
       }),
       v1::SNAPSHOT_STATE_REFUSED, "added: x"},
      {"truncated", [](const std::string& bytes) { return bytes.substr(0, bytes.size() - 700); },
       v1::SNAPSHOT_STATE_PARTIAL, "truncated: "},
      {"no bundle", [](const std::string&) { return std::string(5000, 'x'); },
       v1::SNAPSHOT_STATE_REFUSED, "damaged: "},
  };
  for (const auto& c : cases) {
    {
      const std::lock_guard lock(agent_.mutex);
      agent_.forge = c.forge;
    }
    const v1::Snapshot snapshot = Await(Take().id());
    EXPECT_EQ(snapshot.state(), c.state) << c.what << ": " << snapshot.problem();
    ASSERT_GT(snapshot.defects_size(), 0) << c.what;
    EXPECT_THAT(snapshot.defects(), ::testing::Contains(HasSubstr(c.defect))) << c.what;
    EXPECT_FALSE(Bytes(snapshot.id()).empty()) << c.what << ": it is evidence, too";
  }
}

TEST_F(SnapshotsTest, ABundleOfAnotherSnapshotOrWithFewerTiersIsRefused) {
  agent_.foreign = Uuid::Random().ToString();
  v1::Snapshot snapshot = Await(Take().id());
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_REFUSED);
  EXPECT_THAT(snapshot.problem(), HasSubstr("was not asked for"));
  {
    const std::lock_guard lock(agent_.mutex);
    agent_.foreign.reset();
  }
  snapshot = Await(Take(2).id());
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_REFUSED);
  EXPECT_THAT(snapshot.problem(), HasSubstr("fewer tiers"));
}

TEST_F(SnapshotsTest, AnotherKeyThanBeforeIsTold) {
  EXPECT_TRUE(Await(Take().id()).key_known());
  ASSERT_TRUE(RemoveFile(directory_ / "key"));
  const v1::Snapshot snapshot = Await(Take().id());
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_COMPLETE);
  EXPECT_FALSE(snapshot.key_known());
}

TEST_F(SnapshotsTest, ACollectingProcessThatDiedIsTold) {
  agent_.broken = "the process that collected killed by signal 9";
  agent_.forge = [](const std::string& bytes) { return bytes.substr(0, bytes.size() - 700); };
  const v1::Snapshot snapshot = Await(Take().id());
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_PARTIAL);
  EXPECT_THAT(snapshot.problem(), HasSubstr("signal 9"));
}

TEST_F(SnapshotsTest, RefusalsOfTheAgentAreTold) {
  const struct {
    Error refusal;
    v1::SnapshotState state;
  } cases[] = {
      {FailedPrecondition("the agent takes no snapshots"), v1::SNAPSHOT_STATE_FAILED},
      {MakeError(Code::kUnimplemented, "older"), v1::SNAPSHOT_STATE_FAILED},
      {Internal("its disk is full"), v1::SNAPSHOT_STATE_FAILED},
      {MakeError(Code::kResourceExhausted, "busy"), v1::SNAPSHOT_STATE_WAITING},
      {MakeError(Code::kDeadlineExceeded, "does not answer"), v1::SNAPSHOT_STATE_WAITING},
  };
  for (const auto& c : cases) {
    {
      const std::lock_guard lock(agent_.mutex);
      agent_.refusal = c.refusal;
    }
    const std::string id = Take().id();
    const v1::Snapshot snapshot =
        Await(id, [&](const v1::Snapshot& now) { return now.state() == c.state; });
    EXPECT_EQ(snapshot.problem(), c.refusal.message);
    {
      const std::lock_guard lock(agent_.mutex);
      agent_.refusal.reset();
    }
    if (!IsFinal(snapshot.state())) {
      EXPECT_EQ(Await(id).state(), v1::SNAPSHOT_STATE_COMPLETE);
    }
  }
  agent_.connected = false;
  const auto refused = snapshots_->Take({agent_id_, "web-1", 1, "operator", "op", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
}

TEST_F(SnapshotsTest, TheQuotaRefusesANewOneAndSaysSo) {
  ASSERT_EQ(Await(Take().id()).state(), v1::SNAPSHOT_STATE_COMPLETE);
  limits_.max_bytes = 1000;
  Open();
  const auto refused = snapshots_->Take({agent_id_, "web-1", 1, "operator", "op", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("quota"));
}

TEST_F(SnapshotsTest, OneThatNeverEndsIsCutOff) {
  limits_.max_bundle_bytes = 1000;
  Open();
  const v1::Snapshot snapshot = Await(Take().id());
  EXPECT_EQ(snapshot.state(), v1::SNAPSHOT_STATE_PARTIAL);
  EXPECT_THAT(snapshot.problem(), HasSubstr("max_bundle_bytes"));
}

TEST_F(SnapshotsTest, AReaderIsTakenDownAndAChangeOnTheDiskIsFound) {
  const std::string id = Await(Take().id()).id();
  Bytes(id.substr(0, 8));
  v1::Snapshot snapshot = snapshots_->Get(id).value();
  ASSERT_EQ(snapshot.custody_size(), 4);
  EXPECT_EQ(snapshot.custody(3).action(), "read");
  EXPECT_EQ(snapshot.custody(3).actor(), "op");
  EXPECT_TRUE(CheckCustody(snapshot));
  const std::string path = directory_ / "snapshots/" + snapshot.sha256() + ".tar.zst";
  const UniqueFd fd(open(path.c_str(), O_WRONLY));
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 100), 1);
  Status read = Ok();
  Bytes(id, &read);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kDataLoss);
}

TEST_F(SnapshotsTest, RemovingLeavesTheRecord) {
  const std::string id = Await(Take().id()).id();
  const auto removed = snapshots_->Remove(id, "op");
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(removed->state(), v1::SNAPSHOT_STATE_REMOVED);
  Status read = Ok();
  EXPECT_EQ(Bytes(id, &read), "");
  EXPECT_FALSE(read);
  snapshots_.reset();
  Open();
  EXPECT_EQ(snapshots_->Get(id).value().state(), v1::SNAPSHOT_STATE_REMOVED);
  EXPECT_EQ(snapshots_->Get(id).value().custody().rbegin()->action(), "removed");
}

TEST_F(SnapshotsTest, OneOnItsWayCanBeGivenUp) {
  agent_.refusal = MakeError(Code::kResourceExhausted, "busy");
  const std::string id = Take().id();
  const auto removed = snapshots_->Remove(id, "op");
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_THAT(agent_.released, ElementsAre(id));
}

TEST_F(SnapshotsTest, AnIdIsFoundByItsFirstDigitsIfOneBeginsSo) {
  const std::string id = Await(Take().id()).id();
  EXPECT_EQ(snapshots_->Get(id.substr(0, 6)).value().id(), id);
  EXPECT_EQ(snapshots_->Get("abc").error().code, Code::kInvalidArgument);
  EXPECT_EQ(snapshots_->Get("zzzz").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace culprit
