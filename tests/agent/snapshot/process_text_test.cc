// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/process_text.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

TEST(ProcessText, ACommandCannotForgeTheFieldsBehindIt) {
  const auto stat =
      ParseStat("77 (a) R 1 (x y\n) S 5 6 7 34816 7 0 0 0 0 0 11 12 0 0 20 0 1 0 4711 0");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->comm, "a) R 1 (x y\n");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 5U);
  EXPECT_EQ(stat->session, 7U);
  EXPECT_EQ(stat->user_ticks, 11U);
  EXPECT_EQ(stat->system_ticks, 12U);
  EXPECT_EQ(stat->start_ticks, 4711U);
}

TEST(ProcessText, WhatIsNoStatLineIsNone) {
  for (const char* text : {"", "1", "1 (x", "1 )x(", "1 (x)", "1 (x) S 2 3"})
    EXPECT_FALSE(ParseStat(text)) << text;
}

TEST(ProcessText, FieldsOfStatusAreFoundByTheirWholeName) {
  const char* text = "Name:\tGid:\t9\nUidX:\t1\nUid:\t0\t1\t2\t3\nGroups:\t\n";
  EXPECT_EQ(StatusField(text, "Uid"), "0\t1\t2\t3");
  EXPECT_EQ(StatusField(text, "Groups"), "");
  EXPECT_EQ(StatusField(text, "Gid"), "");
}

TEST(ProcessText, ArgumentsEndAtZerosAndAtTheLimit) {
  using namespace std::string_literals;
  EXPECT_EQ(ParseArguments("a\0\0b c\0"s, 10), (std::vector<std::string>{"a", "", "b c"}));
  EXPECT_EQ(ParseArguments("a\0b\0c"s, 2).size(), 2U);
  EXPECT_EQ(ParseArguments("no end", 10).size(), 1U);
}

TEST(ProcessText, OnlyARealSocketLinkHasAnInode) {
  EXPECT_EQ(SocketInode("socket:[4711]"), 4711U);
  for (const char* link :
       {"/tmp/socket:[1]", "socket:[1", "socket:[]", "socket:[1x]", "socket:[-1]", "pipe:[1]"})
    EXPECT_FALSE(SocketInode(link)) << link;
}

struct MapCase {
  const char* line;
  bool anonymous_code;
};
const MapCase kMaps[] = {
    {"7f0000000000-7f0000001000 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6", false},
    {"7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ", true},
    {"7f0000000000-7f0000001000 rwxp 00000000 00:00 0", true},
    {"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", false},
    {"7f0000000000-7f0000001000 r-xp 00000000 00:01 7 /memfd:x (deleted)", true},
    {"7f0000000000-7f0000001000 r-xp 00000000 fe:00 9 /tmp/a b (deleted)", true},
    {"7f0000000000-7f0000001000 r-xp 00000000 00:00 0 [vdso]", false},
    {"7f0000000000-7f0000001000 r-xp 00000000 00:00 0 [heap]", true},
};

TEST(ProcessText, CodeThatIsInNoFileIsTold) {
  for (const MapCase& c : kMaps) {
    const auto range = ParseMapLine(c.line);
    ASSERT_TRUE(range) << c.line;
    EXPECT_EQ(range->end - range->start, 0x1000U);
    EXPECT_EQ(IsAnonymousCode(*range), c.anonymous_code) << c.line;
  }
  for (const char* line : {"", "x", "2-1 r-xp 0 0 0", "1-2 r 0 0 0", "1-2 r-xp"})
    EXPECT_FALSE(ParseMapLine(line)) << line;
}

}  // namespace
}  // namespace culprit
