// SPDX-License-Identifier: Apache-2.0
#include "collector/audit/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const WallTime kNow(std::chrono::seconds(1'800'000'000));

AuditEvent Event(const std::string& action, std::string detail = "") {
  return {"operator:night", "viewer", "ipv4:192.0.2.1:5", action, "ok", std::move(detail)};
}

class AuditLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuditLog> Open(std::uint64_t segment_bytes = 16ULL << 20) {
    auto log = AuditLog::Open({directory_.path(), segment_bytes});
    EXPECT_TRUE(log);
    return std::move(*log);
  }
  AuditReport Read() {
    entries_.clear();
    auto report = ReadAudit(directory_.path(),
                            [this](const AuditEntry& entry) { entries_.push_back(entry); });
    EXPECT_TRUE(report);
    return *report;
  }
  std::vector<std::string> Files() {
    auto files = *ListDirectory(directory_.path());
    std::erase(files, "lock");
    return files;
  }
  std::string Slurp(const std::string& name) { return *ReadWholeFile(directory_ / name, 1 << 20); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary | std::ios::trunc) << text;
  }

  TempDir directory_;
  std::vector<AuditEntry> entries_;
};

TEST_F(AuditLogTest, WhatIsAppendedIsReadBackInOrder) {
  const auto log = Open();
  ASSERT_TRUE(log->Append(Event("a", "x\n\"\x1b[31m\xff"), kNow));
  ASSERT_TRUE(log->Append(Event("b"), kNow + std::chrono::seconds(1)));
  const AuditReport report = Read();
  EXPECT_THAT(report.damage, IsEmpty());
  ASSERT_EQ(entries_.size(), 2U);
  EXPECT_EQ(entries_[0].prev, FirstAuditHash());
  EXPECT_EQ(entries_[1].prev, entries_[0].hash);
  EXPECT_EQ(entries_[1].event.action, "b");
  EXPECT_EQ(entries_[0].event.actor, "operator:night");
  EXPECT_EQ(entries_[0].time, kNow);
  EXPECT_EQ(report.last_hash, entries_[1].hash);
  const std::string text = Slurp(Files()[0]);
  EXPECT_EQ(std::ranges::count(text, '\n'), 2) << "no text of a peer makes a line";
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST_F(AuditLogTest, EachTamperingIsFound) {
  {
    const auto log = Open();
    for (const char* action : {"first", "second", "third"}) ASSERT_TRUE(log->Append(Event(action), kNow));
  }
  const std::string name = Files()[0], whole = Slurp(name);
  const std::size_t second = whole.find('\n') + 1, third = whole.find('\n', second) + 1;
  std::string changed = whole;
  changed.replace(changed.find("second"), 6, "others");
  const std::string cut = whole.substr(0, second) + whole.substr(third);
  const std::string turned = whole.substr(second, third - second) + whole.substr(0, second) +
                             whole.substr(third);
  const std::string twice = whole.substr(0, third) + whole.substr(second);
  const std::string begun_later = whole.substr(second);
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {changed, "hash"},
           {cut, "follows 1"},
           {turned, "follows 0"},
           {twice, "follows 2"},
           {begun_later, "follows 0"}}) {
    Write(name, text);
    const AuditReport report = Read();
    ASSERT_FALSE(report.damage.empty()) << text;
    EXPECT_THAT(report.damage[0], HasSubstr(words));
  }
  // Whoever can write the file can make a new chain; that shows by the hash that was noted elsewhere.
  Write(name, whole.substr(0, third));
  const AuditReport shorter = Read();
  EXPECT_THAT(shorter.damage, IsEmpty());
  Write(name, whole);
  EXPECT_NE(Read().last_hash, shorter.last_hash);
}

TEST_F(AuditLogTest, RotationBySizeDoesNotBreakTheChain) {
  const auto log = Open(1024);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(log->Append(Event("a" + std::to_string(i)), kNow));
  EXPECT_GT(Files().size(), 3U);
  EXPECT_THAT(Read().damage, IsEmpty());
  EXPECT_EQ(entries_.size(), 20U);
  ASSERT_TRUE(RemoveFile(directory_ / Files()[1]));
  EXPECT_THAT(Read().damage, testing::Not(IsEmpty())) << "a file that is gone is missed";
}

TEST_F(AuditLogTest, ATornLineIsCutOffAndTheChainGoesOn) {
  ASSERT_TRUE(Open()->Append(Event("before"), kNow));
  const std::string name = Files()[0];
  Write(name, Slurp(name) + R"({"seq":2,"time":"20)");
  EXPECT_THAT(Read().damage, IsEmpty()) << "what nobody was told of";
  ASSERT_TRUE(Open()->Append(Event("after"), kNow));
  EXPECT_THAT(Read().damage, IsEmpty());
  ASSERT_EQ(entries_.size(), 2U);
  EXPECT_EQ(entries_[1].event.action, "after");
}

TEST_F(AuditLogTest, ADamagedEndIsNotWrittenOver) {
  ASSERT_TRUE(Open()->Append(Event("before"), kNow));
  const std::string name = Files()[0];
  std::string text = Slurp(name);
  text.replace(text.find("before"), 6, "behind");
  Write(name, text);
  const auto log = Open();
  const Status refused = log->Append(Event("after"), kNow);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("damaged"));
  EXPECT_THAT(log->failing(), HasSubstr("damaged"));
  EXPECT_EQ(Slurp(name), text);
}

TEST_F(AuditLogTest, SeveralWritersShareOneChain) {
  const auto daemon = Open(4096), command = Open(4096);
  std::thread other([&] {
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(command->Append(Event("command"), kNow));
  });
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(daemon->Append(Event("daemon"), kNow));
  other.join();
  EXPECT_THAT(Read().damage, IsEmpty());
  EXPECT_EQ(entries_.size(), 60U);
}

TEST_F(AuditLogTest, StrangersGetSomeLinesAndACount) {
  const auto log = Open();
  for (int i = 0; i < 1000; ++i) log->AppendBounded(Event("handshake"), kNow);
  EXPECT_EQ(Read().entries, 64U);
  log->AppendBounded(Event("handshake"), kNow + std::chrono::seconds(2));
  Read();
  EXPECT_THAT(entries_.back().event.detail, HasSubstr("936 more"));
}

TEST_F(AuditLogTest, LongTextsAreCut) {
  const auto log = Open();
  const std::string nasty(100'000, '\x01');
  ASSERT_TRUE(log->Append({nasty, nasty, nasty, nasty, nasty, nasty}, kNow));
  EXPECT_THAT(Read().damage, IsEmpty());
  EXPECT_EQ(entries_.size(), 1U);
  EXPECT_LT(Slurp(Files()[0]).size(), kMaxAuditLine);
}

}  // namespace
}  // namespace culprit
