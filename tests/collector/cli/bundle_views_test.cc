// SPDX-License-Identifier: Apache-2.0
// What is listed, told and compared of bundles is what is in them, also of one that breaks off.
#include "collector/cli/bundle_views.h"

#include <gmock/gmock.h>

#include "tests/support/bundle_bytes.h"

namespace culprit::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kClocks =
    "{\"realtime_ns\":1750000000000000000,\"boottime_ns\":1000000000}\n";
constexpr const char* kShell =
    "{\"pid\":7,\"parent\":1,\"start_ticks\":5,\"start_boot_ns\":2000000000,\"arguments\":[\"sh\","
    "\"-i\"],"
    "\"exe\":\"/bin/sh\"}\n";

std::string Bundle(const std::string& processes, const std::string& sockets,
                   const std::string& files) {
  return PackBundle({{"live/clocks.jsonl", kClocks},
                     {"live/processes.jsonl", processes},
                     {"live/sockets.jsonl", sockets},
                     {"live/files.jsonl", files}});
}

TEST(BundleViewsTest, ListsMembersWithWhatTheManifestSays) {
  const auto list = ListMembers(SourceOfBytes(MakeTestBundle().bytes));
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->broken, "");
  const auto passwd = std::find_if(list->members.begin(), list->members.end(),
                                   [](const auto& m) { return m.name == "[root]/etc/passwd"; });
  ASSERT_NE(passwd, list->members.end());
  EXPECT_EQ(passwd->size, 26U);
  EXPECT_EQ(passwd->sha256.size(), 64U);
  const TestBundle whole = MakeTestBundle();
  const auto cut =
      ListMembers(SourceOfBytes(std::string_view(whole.bytes).substr(0, whole.tier_ends[0] + 20)));
  ASSERT_TRUE(cut);
  EXPECT_NE(cut->broken, "");
  ASSERT_GE(cut->members.size(), 2U);
  EXPECT_EQ(cut->members[0].sha256.size(), 64U) << "the tier's manifest tells of it";
}

TEST(BundleViewsTest, TheTimelineIsInOrderAndByTheHostsClock) {
  const std::string bytes =
      Bundle(kShell, "",
             "{\"path\":\"/etc/cron.d/x\",\"kind\":\"file\",\"btime_ns\":1749999999500000000,"
             "\"mtime_ns\":1750000000500000000,\"ctime_ns\":1750000002000000000}\n");
  const auto timeline = ReadTimeline(SourceOfBytes(bytes), 0, 0);
  ASSERT_TRUE(timeline);
  std::vector<std::string> rows;
  for (const TimelineRow& row : timeline->rows) rows.push_back(row.kind + " " + row.what);
  EXPECT_THAT(rows, ElementsAre("born /etc/cron.d/x", "modified /etc/cron.d/x",
                                "process pid 7 of 1  sh -i", "changed /etc/cron.d/x"));
  EXPECT_EQ(timeline->rows[2].at_ns, 1'750'000'001'000'000'000);
  const auto later =
      ReadTimeline(SourceOfBytes(bytes), 1'750'000'001'000'000'000, 1'750'000'001'000'000'001);
  EXPECT_EQ(later->rows.size(), 1U);
}

TEST(BundleViewsTest, ADifferenceNamesWhatCameWentAndChanged) {
  const std::string file =
      "{\"path\":\"/etc/"
      "passwd\",\"kind\":\"file\",\"mode\":33188,\"uid\":0,\"size\":SIZE,\"mtime_ns\":1}\n";
  const auto sized = [&](const char* size) {
    std::string row = file;
    return row.replace(row.find("SIZE"), 4, size);
  };
  const auto before = BundleContent::Read(SourceOfBytes(Bundle(kShell, "", sized("10"))));
  const std::string bytes = Bundle(
      "", "{\"protocol\":\"tcp\",\"state\":\"listen\",\"local\":\"0.0.0.0\",\"local_port\":4444}\n",
      sized("11"));
  const auto after = BundleContent::Read(SourceOfBytes(bytes));
  ASSERT_TRUE(before && after);
  std::vector<std::string> rows;
  for (const Difference& row : before->To(*after).rows)
    rows.push_back(std::string(1, row.sign) + " " + row.table + " " + row.what);
  EXPECT_THAT(rows, ElementsAre("~ file /etc/passwd", "+ listener tcp 0.0.0.0 port 4444",
                                "- process pid 7 started at tick 5  sh -i"));
  EXPECT_TRUE(after->To(*after).rows.empty());
}

TEST(BundleViewsTest, RowsThatAreNoneAreLeftOut) {
  const std::string bytes =
      Bundle("not json\n[1]\n{\"pid\":\"x\"}\n" + std::string(100, '{') + "\n",
             "{\"protocol\":7}\n", "{\"path\":[]}\n");
  EXPECT_TRUE(BundleContent::Read(SourceOfBytes(bytes)));
  EXPECT_TRUE(ReadTimeline(SourceOfBytes(bytes), 0, 0));
  EXPECT_THAT(ReadTimeline(SourceOfBytes("garbage"), 0, 0)->broken, ::testing::Not(""));
}

}  // namespace
}  // namespace culprit::cli
