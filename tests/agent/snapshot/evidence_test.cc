// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/evidence.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "agent/snapshot/proc_view.h"
#include "common/bundle_verify.h"
#include "common/file.h"
#include "tests/support/bundle_bytes.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

class EvidenceTest : public ::testing::Test {
 protected:
  void Start(const SnapshotLimits& limits) {
    auto key = Ed25519Key::Make();
    auto writer = BundleWriter::Open({}, std::move(*key), [this](std::string_view bytes) -> Status {
      if (bytes_.size() + bytes.size() > room_)
        return MakeError(Code::kResourceExhausted, "disk full");
      bytes_.append(bytes);
      return Ok();
    });
    log_ = std::make_unique<EvidenceLog>(std::move(*writer), limits);
    log_->BeginTier(0);
  }

  // The members by name, of a bundle that verifies.
  std::vector<TarMember> Finish() {
    log_->EndTier();
    EXPECT_TRUE(log_->Finish());
    const auto verdict = VerifyBundle(SourceOfBytes(bytes_), {});
    EXPECT_TRUE(verdict && verdict->good());
    return UnpackBundle(bytes_);
  }

  static std::string Content(const std::vector<TarMember>& members, std::string_view name) {
    for (const TarMember& member : members)
      if (member.name == name) return member.bytes;
    return "(none)";
  }

  static Row Line(const std::string& text) {
    Row row;
    row["text"] = text;
    return row;
  }

  std::string bytes_;
  std::size_t room_ = std::size_t{1} << 30;
  std::unique_ptr<EvidenceLog> log_;
};

TEST_F(EvidenceTest, ACollectorThatIsStuckIsGivenUpAndTheRestGoesOn) {
  SnapshotLimits limits;
  limits.stuck = std::chrono::milliseconds(400);
  Start(limits);
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false, left = false;
  };
  const auto gate = std::make_shared<Gate>();
  log_->Run("stuck", [gate](Evidence& evidence) {
    evidence.Add("table", Line("before"));
    evidence.At("/proc/7/maps");
    std::unique_lock lock(gate->mutex);
    gate->changed.wait(lock, [&] { return gate->open; });
    EXPECT_TRUE(evidence.Over());
    evidence.Add("table", Line("after"));
    gate->left = true;
    gate->changed.notify_all();
  });
  log_->Run("next", [](Evidence& evidence) { evidence.Add("other", Line("went on")); });
  {
    std::unique_lock lock(gate->mutex);
    gate->open = true;
    gate->changed.notify_all();
    gate->changed.wait(lock, [&] { return gate->left; });
  }
  const auto members = Finish();
  EXPECT_EQ(Content(members, "live/table.jsonl"), "{\"text\":\"before\"}\n");
  EXPECT_EQ(Content(members, "live/other.jsonl"), "{\"text\":\"went on\"}\n");
  EXPECT_NE(
      Content(members, "errors-tier0.jsonl").find("/proc/7/maps\",\"reason\":\"stuck: no progress"),
      std::string::npos);
}

TEST_F(EvidenceTest, AReadThatIsStuckLeavesAWholeMember) {
  SnapshotLimits limits;
  limits.stuck = std::chrono::milliseconds(400);
  Start(limits);
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd out(ends[1]);
  ASSERT_EQ(write(out.get(), "abc", 3), 3);
  // The thread that was left behind still reads: it is the last to hold the pipe.
  log_->Run("pipe", [in = std::make_shared<const UniqueFd>(ends[0])](Evidence& evidence) {
    OpenedFile file;
    file.fd = in->get();
    file.name = "x";
    file.source = "/x";
    file.facts.size = file.limit = 10;
    evidence.AddFile(std::move(file));
  });
  const auto members = Finish();
  out.Reset();
  EXPECT_EQ(Content(members, "x"), std::string("abc") + std::string(7, '\0'));
  EXPECT_NE(Content(members, "manifest.jsonl").find("reading got stuck"), std::string::npos);
}

TEST_F(EvidenceTest, ATierHasItsBytesAndSaysWhatItCut) {
  SnapshotLimits limits;
  limits.tier_bytes[0] = 100;
  Start(limits);
  const TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", std::string(80, 'f')));
  const UniqueFd fd(open((dir / "f").c_str(), O_RDONLY | O_CLOEXEC));
  log_->Run("files", [&](Evidence& evidence) {
    for (const char* name : {"one", "two", "three"}) {
      lseek(fd.get(), 0, SEEK_SET);
      OpenedFile file;
      file.fd = fd.get();
      file.name = name;
      file.source = std::string("/") + name;
      file.facts.size = 80;
      file.limit = 1000;
      evidence.AddFile(std::move(file));
    }
    evidence.Add("table", Line("no room"));
  });
  const auto members = Finish();
  EXPECT_EQ(Content(members, "one").size(), 80U);
  EXPECT_EQ(Content(members, "two").size(), 20U);
  EXPECT_EQ(Content(members, "three").size(), 0U);
  EXPECT_EQ(Content(members, "live/table.jsonl"), "(none)");
  EXPECT_NE(Content(members, "errors-tier0.jsonl").find("bytes are used up"), std::string::npos);
  EXPECT_NE(Content(members, "manifest.jsonl").find("the first 20 of 80 bytes"), std::string::npos);
}

TEST_F(EvidenceTest, AFullDiskIsTheOnlyFailure) {
  room_ = 2000;
  Start({});
  log_->Run("noise", [](Evidence& evidence) {
    BundleMember member;
    member.name = "noise";
    evidence.AddBytes(member, TestNoise(200'000, 3));
    EXPECT_TRUE(evidence.Over());
  });
  log_->EndTier();
  const Status status = log_->Finish();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "disk full");
}

TEST(ProcessViews, OnlyWhatASideLacksIsTold) {
  const std::vector<std::uint32_t> mounted = {1, 2, 4}, own = {1, 2, 3, 4}, kernel = {1, 2, 3, 5};
  const auto all = CompareViews(mounted, &own, &kernel);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_TRUE(!all.at(3).mounted && all.at(3).detached && all.at(3).kernel);
  EXPECT_TRUE(all.at(4).mounted && !all.at(4).kernel);
  EXPECT_TRUE(all.at(5).kernel && !all.at(5).detached);
  EXPECT_TRUE(CompareViews(mounted, nullptr, nullptr).empty());
}

TEST(ProcessViews, HiddenIsOnlyWhatWasThereAllTheWhile) {
  const ProcessViews none{false, false, false}, all{true, true, true}, kernel{false, false, true},
      own{false, true, false}, covered{false, true, true}, unlisted{true, true, false};
  const auto hidden = HiddenFrom({covered, covered}, true, true);
  EXPECT_TRUE(hidden && !hidden->mounted && hidden->detached && hidden->kernel);
  EXPECT_TRUE(HiddenFrom({unlisted, unlisted}, true, true));
  EXPECT_FALSE(HiddenFrom({all, all}, true, true));
  // Began or ended in between, also where the order of looks makes it seem otherwise.
  for (const ProcessLooks& looks :
       {ProcessLooks{none, none}, ProcessLooks{kernel, none}, ProcessLooks{none, kernel},
        ProcessLooks{unlisted, none}, ProcessLooks{covered, none}, ProcessLooks{kernel, all},
        ProcessLooks{own, kernel}})
    EXPECT_FALSE(HiddenFrom(looks, true, true));
  // A side that could not be looked from says nothing.
  EXPECT_FALSE(HiddenFrom({{true, false, false}, {true, false, false}}, false, false));
  EXPECT_TRUE(HiddenFrom({kernel, kernel}, false, true));
}

TEST_F(EvidenceTest, AFileThatGrowsIsCutWhereItEndedAndThatIsSaid) {
  const TempDir directory;
  const std::string path = directory / "log";
  ASSERT_TRUE(WriteFileAtomically(path, "before\n", 0600));
  Start({});
  log_->Run("grows", [&](Evidence& evidence) {
    const UniqueFd writer(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_APPEND));
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(WriteAll(writer.get(), "after\n"));
    FileFacts facts;
    facts.size = 7;  // as it was looked at
    evidence.AddFile({fd.get(), "[root]/log", path, facts, 1'000, {}});
  });
  const auto members = Finish();
  EXPECT_EQ(Content(members, "[root]/log"), "before\n");
  EXPECT_NE(Content(members, "manifest.jsonl").find("it grew while it was read: 13 bytes"),
            std::string::npos);
}

}  // namespace
}  // namespace culprit
