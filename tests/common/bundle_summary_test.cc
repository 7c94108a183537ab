// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_summary.h"

#include <gtest/gtest.h>

#include "tests/support/bundle_bytes.h"

namespace culprit {
namespace {

BundleSummary Summarise(std::vector<TarMember> members) {
  members.push_back({"manifest.jsonl.sig", ""});
  const std::string bytes = PackBundle(members);
  auto summary = SummariseBundle(SourceOfBytes(bytes));
  EXPECT_TRUE(summary);
  return summary ? std::move(*summary) : BundleSummary();
}

struct Case {
  const char* member;
  const char* row;
  const char* kind;  // nullptr: nothing stands out
  std::uint32_t pid;
};

const Case kCases[] = {
    {"live/hidden.jsonl", R"j({"pid":7,"in_proc":false,"covered_by":"x"})j", "hidden-process", 7},
    {"live/executables.jsonl",
     R"j({"path":"/memfd:x (deleted)","in_memory":true,"deleted":true,"pids":[8]})j",
     "memory-executable", 8},
    {"live/executables.jsonl", R"j({"path":"/x (deleted)","deleted":true,"pids":[9]})j",
     "deleted-executable", 9},
    {"live/executables-2.jsonl",
     R"j({"path":"/tmp/x","deleted":false,"pids":[9],"copy":"live/exe/9"})j", "odd-executable", 9},
    {"live/executables.jsonl", R"j({"path":"/usr/bin/ls","deleted":false,"pids":[9]})j", nullptr,
     0},
    {"live/sockets.jsonl", R"j({"protocol":"packet","owners":[{"pid":3}]})j", "packet-socket", 3},
    {"live/sockets.jsonl",
     R"j({"protocol":"tcp","state":"listen","local":"0.0.0.0","local_port":22,"owners":[]})j",
     "listener", 0},
    {"live/sockets.jsonl", R"j({"protocol":"tcp","state":"established"})j", nullptr, 0},
    {"live/modules.jsonl", R"j({"module":"x","in_sys_module":false})j", "hidden-module", 0},
    {"live/modules.jsonl", R"j({"module":"x","in_sys_module":true})j", nullptr, 0},
    {"live/files.jsonl", R"j({"path":"/etc/ld.so.preload","size":5})j", "preload", 0},
    {"live/files.jsonl", R"j({"path":"/root/.ssh/authorized_keys","attributes":"immutable"})j",
     "locked-file", 0},
    {"live/files.jsonl",
     R"j({"path":"/var/spool/cron/crontabs/root","kind":"file","ctime_ns":1000000000})j",
     "scheduled", 0},
    {"live/files.jsonl", R"j({"path":"/etc/systemd/system/x.timer","kind":"file"})j", "scheduled",
     0},
    {"live/files.jsonl", R"j({"path":"/home/a/.config/systemd/user/x.service","kind":"file"})j",
     "scheduled", 0},
    {"live/files.jsonl", R"j({"path":"/etc/systemd/system/x.timer","kind":"link"})j", nullptr, 0},
    {"live/files.jsonl", R"j({"path":"/etc/cron.d/.placeholder","kind":"file"})j", nullptr, 0},
    {"live/files.jsonl", R"j({"path":"/etc/hostname","kind":"file"})j", nullptr, 0},
    {"live/ssh-posture.json",
     R"j({"findings":[{"id":"cfg.root_login","severity":"high","reason":"r"}]})j", "ssh", 0},
    {"live/cloud.json",
     R"j({"answers":{"meta-data/tags/instance/aws:autoscaling:groupName":"web"}})j", "auto-scaling",
     0},
    {"live/cloud.json", R"j({"answers":{"meta-data/ami-id":"ami-1"}})j", nullptr, 0},
    {"live/ssh-posture.json", R"j({"findings":[{"id":"x","severity":"low","reason":"r"}]})j",
     nullptr, 0},
    {"[root]/live/hidden.jsonl", R"j({"pid":7})j", nullptr, 0},
};

TEST(BundleSummary, EachThingThatStandsOutIsNamed) {
  for (const Case& c : kCases) {
    const BundleSummary summary = Summarise({{c.member, std::string(c.row) + "\n"}});
    if (c.kind == nullptr) {
      EXPECT_TRUE(summary.notable.empty()) << c.row;
      continue;
    }
    ASSERT_EQ(summary.notable.size(), 1U) << c.row;
    EXPECT_EQ(summary.notable[0].kind, c.kind);
    EXPECT_EQ(summary.notable[0].pid, c.pid) << c.row;
  }
}

TEST(BundleSummary, RowsThatAreNoneAreCountedAndTheRestIsRead) {
  const std::string deep = "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}";
  const BundleSummary summary = Summarise(
      {{"live/hidden.jsonl",
        "{\n7\n" + deep + "\n{\"pid\":\"x\",\"in_proc\":1}\n{\"pid\":7,\"in_proc\":false}"}});
  EXPECT_EQ(summary.unreadable_rows, 3U);
  EXPECT_EQ(summary.notable.size(), 2U);
}

TEST(BundleSummary, TheListIsBoundedAndSaysTheSameOnce) {
  std::string rows;
  for (int i = 0; i < 2000; ++i)
    rows += "{\"pid\":" + std::to_string(i / 2 + 1) + ",\"in_proc\":false}\n";
  const BundleSummary summary = Summarise({{"live/hidden.jsonl", rows}});
  EXPECT_EQ(summary.notable.size(), 500U);
  EXPECT_EQ(summary.notable.back().pid, 500U);
  EXPECT_TRUE(summary.more);
}

TEST(BundleSummary, WhatIsShownCannotSteerATerminal) {
  const BundleSummary summary = Summarise(
      {{"live/executables.jsonl", "{\"path\":\"/x\\u001b[2J\",\"deleted\":true,\"pids\":[9]}"}});
  EXPECT_EQ(SummaryText(summary).find('\x1b'), std::string::npos);
  EXPECT_NE(SummaryText(summary).find("\\x1b[2J"), std::string::npos);
}

TEST(BundleSummary, ACutBundleIsSummedUpAsFarAsItGoes) {
  const TestBundle bundle = MakeTestBundle();
  const auto summary = SummariseBundle(
      SourceOfBytes(std::string_view(bundle.bytes).substr(0, bundle.tier_ends.at(0))));
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->processes, 2U);
  ASSERT_EQ(summary->notable.size(), 1U);
  EXPECT_EQ(summary->notable[0].kind, "damaged");
}

}  // namespace
}  // namespace culprit
