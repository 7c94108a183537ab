// SPDX-License-Identifier: Apache-2.0
#include "common/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() {
    CLI::App* list = app_.add_subcommand("list", "It's a list: all of it");
    list->add_option("-f,--form", form_, "How")->check(CLI::IsMember({"csv", "json"}));
    list->add_flag("--all", all_, "Everything\nof it");
    CLI::App* key = app_.add_subcommand("key", "Keys")->add_subcommand("check", "Check one");
    key->add_option("FILE", file_, "The key");
    key->add_option("--out", out_, "Where to");
    AddCompletion(app_, &shell_);
  }
  std::string Script(const std::string& shell) { return CompletionScript(app_, "a-tool", shell); }

  CLI::App app_{"A tool", "a-tool"};
  std::string form_, file_, out_, shell_;
  bool all_ = false;
};

TEST_F(CompletionTest, EveryShellHasEveryCommandAndOption) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = Script(shell);
    for (const char* word : {"list", "key", "check", "completion", "csv json"})
      EXPECT_THAT(script, HasSubstr(word)) << shell;
    for (const char* option : {"form", "all", "out", "help"})
      EXPECT_THAT(script, HasSubstr(shell == "fish" ? std::string(" -l ") + option
                                                    : std::string("--") + option))
          << shell;
  }
}

TEST_F(CompletionTest, AnOptionWithAValueTakesTheNextWordAndAFlagDoesNot) {
  const std::string bash = Script("bash");
  EXPECT_THAT(bash, HasSubstr("'list --form'"));
  EXPECT_THAT(bash, HasSubstr("'list -f'"));
  EXPECT_THAT(bash, HasSubstr("'key check --out'"));
  EXPECT_THAT(bash, Not(HasSubstr("'list --all'")));
}

TEST_F(CompletionTest, DescriptionsStayInOneQuotedLine) {
  EXPECT_THAT(Script("zsh"), HasSubstr("'list:It'\\''s a list: all of it'"));
  EXPECT_THAT(Script("zsh"), HasSubstr("'--all:Everything of it'"));
  EXPECT_THAT(Script("fish"), HasSubstr("-d 'It\\'s a list: all of it'"));
}

TEST_F(CompletionTest, OnlyKnownShellsAreTaken) {
  EXPECT_NO_THROW(app_.parse("completion fish"));
  EXPECT_EQ(shell_, "fish");
  EXPECT_THROW(app_.parse("completion tcsh"), CLI::ParseError);
}

}  // namespace
}  // namespace culprit
