// SPDX-License-Identifier: Apache-2.0
#include "common/toml_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Settings {
  std::string listen = "127.0.0.1:1";
  std::string directory;
  std::string level = "info";
  std::uint64_t cap = 100;
  std::uint64_t count = 7;
  seconds beat{10};
  bool on = false;
  double share = 0.5;
  std::vector<std::string> names;
};

Result<Settings> Read(std::string_view text) {
  Settings s;
  TRY(TomlReader toml, TomlReader::Parse(text, "x.toml"));
  toml.String("listen", s.listen);
  toml.Path("spool.directory", s.directory);
  toml.Choice("log.level", s.level, {"info", "debug"});
  toml.Bytes("spool.max_bytes", s.cap, 10, 1 << 30);
  toml.Uint("spool.count", s.count, 1, 9);
  toml.Duration("heartbeat", s.beat, milliseconds(100), seconds(3600));
  toml.Bool("spool.on", s.on);
  toml.Double("spool.share", s.share, 0, 1);
  toml.Strings("names", s.names);
  TRY_VOID(toml.Finish());
  return s;
}

TEST(TomlReaderTest, AbsentKeysLeaveTheDefaults) {
  const auto s = Read("");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->listen, "127.0.0.1:1");
  EXPECT_EQ(s->cap, 100U);
  EXPECT_EQ(s->beat, seconds(10));
}

TEST(TomlReaderTest, ReadsEveryType) {
  const auto s = Read(
      "listen = \"[::]:2\"\nheartbeat = \"1m\"\nnames = [\"a\", \"b\"]\n[spool]\ndirectory = "
      "\"/var/x\"\n"
      "max_bytes = \"1 KiB\"\ncount = 9\non = true\nshare = 1\n[log]\nlevel = \"debug\"\n");
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->listen, "[::]:2");
  EXPECT_EQ(s->directory, "/var/x");
  EXPECT_EQ(s->level, "debug");
  EXPECT_EQ(s->cap, 1024U);
  EXPECT_EQ(s->count, 9U);
  EXPECT_EQ(s->beat, seconds(60));
  EXPECT_TRUE(s->on);
  EXPECT_EQ(s->share, 1);
  EXPECT_THAT(s->names, testing::ElementsAre("a", "b"));
}

struct BadCase {
  const char* name;
  const char* text;
  const char* message;
};

class TomlReaderErrorTest : public testing::TestWithParam<BadCase> {};

TEST_P(TomlReaderErrorTest, NamesFileLineAndWhatWasExpected) {
  const auto s = Read(GetParam().text);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::kInvalidArgument);
  EXPECT_EQ(s.error().message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, TomlReaderErrorTest,
    testing::Values(
        BadCase{"Unknown", "\n[spool]\nmax_byte = 4\n",
                "x.toml:3: unknown key \"spool.max_byte\"; did you mean \"spool.max_bytes\"?"},
        BadCase{"UnknownFarAway", "colour = 1\n", "x.toml:1: unknown key \"colour\""},
        BadCase{"UnknownTable", "[quux]\n", "x.toml:1: unknown key \"quux\""},
        BadCase{
            "StringForInteger", "[spool]\ncount = \"3\"\n",
            "x.toml:2: spool.count: expected a whole number from 1 to 9, found the string \"3\""},
        BadCase{"OutOfRange", "[spool]\ncount = 10\n",
                "x.toml:2: spool.count: expected a whole number from 1 to 9, found the integer 10"},
        BadCase{"Negative", "[spool]\ncount = -1\n",
                "x.toml:2: spool.count: expected a whole number from 1 to 9, found the integer -1"},
        BadCase{"IntegerForString", "listen = 4\n",
                "x.toml:1: listen: expected a string in quotes, found the integer 4"},
        BadCase{"TableForString", "[listen]\nport = 4\n",
                "x.toml:1: listen: expected a string in quotes, found a table"},
        BadCase{"ValueForTable", "spool = 4\n", "x.toml:1: unknown key \"spool\""},
        BadCase{"RelativePath", "spool.directory = \"x\"\n",
                "x.toml:1: spool.directory: expected an absolute path in quotes, found the string "
                "\"x\""},
        BadCase{
            "NotAChoice", "log.level = \"loud\"\n",
            "x.toml:1: log.level: expected one of \"info\", \"debug\", found the string \"loud\""},
        BadCase{"SpanWithoutUnit", "heartbeat = 10\n",
                "x.toml:1: heartbeat: expected a span of time such as \"10s\", from 100ms to "
                "1h00m, found the "
                "integer 10"},
        BadCase{"SizeInWords", "spool.max_bytes = \"lots\"\n",
                "x.toml:1: spool.max_bytes: expected a size such as \"256 MiB\", from 10 B to 1.0 "
                "GiB, found the "
                "string \"lots\""},
        BadCase{"NotBoolean", "spool.on = 1\n",
                "x.toml:1: spool.on: expected true or false, found the integer 1"},
        BadCase{"NotANumber", "spool.share = nan\n",
                "x.toml:1: spool.share: expected a number from 0 to 1, found the number nan"},
        BadCase{"MixedArray", "names = [\"a\", 1]\n",
                "x.toml:1: names: expected an array of strings, found the integer 1"},
        BadCase{"ControlCharacters", "log.level = \"\\u001b[2J\"\n",
                "x.toml:1: log.level: expected one of \"info\", \"debug\", found the string "
                "\"\\x1b[2J\""},
        BadCase{"AllAtOnceInOrder", "listn = \"a\"\nheartbeat = true\n",
                "x.toml:1: unknown key \"listn\"; did you mean \"listen\"?\nx.toml:2: heartbeat: "
                "expected a span of "
                "time such as \"10s\", from 100ms to 1h00m, found true"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(TomlReaderTest, SyntaxErrorsCarryLineAndColumn) {
  const auto toml = TomlReader::Parse("a = 1\nb = = 2\n", "x.toml");
  ASSERT_FALSE(toml);
  EXPECT_THAT(toml.error().message, testing::StartsWith("x.toml:2:5: not valid TOML: "));
}

TEST(TomlReaderTest, MissingFileIsNotFoundAndDirectoryIsRefused) {
  const auto missing = TomlReader::Load("/nonexistent/culprit.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, testing::HasSubstr("/nonexistent/culprit.toml"));
  EXPECT_FALSE(TomlReader::Load("/"));
}

TEST(TomlReaderTest, FileOverTheLimitIsRefused) {
  EXPECT_EQ(ReadFileBounded("/proc/self/exe", 16).error().code, Code::kResourceExhausted);
}

TEST(TomlReaderTest, ErrorsOfTheCallerAreLocated) {
  auto toml = TomlReader::Parse("\nlisten = \"a\"\n", "x.toml");
  ASSERT_TRUE(toml);
  std::string listen;
  toml->String("listen", listen);
  toml->AddError("listen", "not an address");
  EXPECT_EQ(toml->Finish().error().message, "x.toml:2: listen: not an address");
}

}  // namespace
}  // namespace culprit
