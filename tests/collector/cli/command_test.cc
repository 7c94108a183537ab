// SPDX-License-Identifier: Apache-2.0
// The command line of `culprit` without a collector: exit codes and the words of its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/subprocess.h"

namespace culprit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Outcome;

// Nothing of the machine's own configuration reaches the command.
Outcome Culprit(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), CULPRIT_BINARY);
  return testing_support::RunProgram(
      arguments, {"HOME=/nonexistent", "XDG_CONFIG_HOME", "CULPRIT_COLLECTOR=127.0.0.1:1",
                  "CULPRIT_CREDENTIALS=/nonexistent"});
}

struct Case {
  const char* name;
  std::vector<std::string> arguments;
  int exit_code;
  const char* words;  // in stderr
};

class CommandLineTest : public testing::TestWithParam<Case> {};

TEST_P(CommandLineTest, ExitsAsDocumentedAndSaysWhy) {
  const Outcome outcome = Culprit(GetParam().arguments);
  EXPECT_EQ(outcome.exit_code, GetParam().exit_code) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().words));
  EXPECT_EQ(outcome.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CommandLineTest,
    testing::Values(
        Case{"MistypedCommand",
             {"hots"},
             2,
             "there is no command \"hots\"; did you mean \"hosts\"?"},
        Case{"UnknownCommand", {"xyzzy"}, 2, "there is no command \"xyzzy\""},
        Case{"UnknownOption", {"flows", "--frobnicate"}, 2, "--frobnicate"},
        Case{"HelpIsNamed", {"flows", "--frobnicate"}, 2, "Try `culprit flows --help`"},
        Case{"MissingAddress", {"who"}, 2, "address is required"},
        Case{"BadAddress", {"who", "example.com"}, 2, "is not an address: write 192.0.2.7"},
        Case{"BadTime",
             {"flows", "--since", "yesterday"},
             2,
             "--since: \"yesterday\" is not a time"},
        Case{"EmptyRange",
             {"flows", "--since", "1h", "--until", "2h"},
             2,
             "--until is not after --since"},
        Case{"AtAndSince", {"flows", "--at", "now", "--since", "1h"}, 2, "--since excludes --at"},
        Case{"WindowWithoutAt", {"flows", "--window", "1m"}, 2, "--window requires --at"},
        Case{"BadGroup", {"flows", "--group-by", "colour"}, 2, "colour not in"},
        Case{"BadDirection", {"flows", "--direction", "up"}, 2, "up not in"},
        Case{"ForwardedIsADirection",
             {"flows", "--direction", "forwarded"},
             2,
             "/nonexistent/ca.pem"},
        Case{"HealthOfOneHost", {"hosts", "--health", "web-1"}, 2, "/nonexistent/ca.pem"},
        Case{"FollowedGroups", {"flows", "--follow", "--group-by", "exe"}, 2, "excludes"},
        Case{"BadExportForm", {"flows", "--export", "xml"}, 2, "xml not in"},
        Case{"ExportedGroups", {"flows", "--export", "csv", "--group-by", "exe"}, 2, "excludes"},
        Case{"FollowedExport", {"flows", "--export", "csv", "--follow"}, 2, "excludes"},
        Case{"OutWithoutExport", {"flows", "--out", "f"}, 2, "--out requires --export"},
        Case{"TwoForms", {"flows", "--json", "--export", "csv"}, 2, "--json and --export"},
        Case{"OneFormTwice", {"flows", "--json", "--export", "json"}, 2, "/nonexistent/ca.pem"},
        Case{"BadDnsTime", {"dns", "--since", "yesterday"}, 2, "--since: \"yesterday\""},
        Case{"BadDnsLimit", {"dns", "--limit", "0"}, 2, "--limit"},
        Case{"TooManyDnsRows", {"dns", "--limit", "10001"}, 2, "--limit"},
        Case{"BadDnsProcess",
             {"dns", "--process", "12"},
             2,
             "--process: expected 16 hexadecimal digits"},
        Case{"DnsOfANameBelow", {"dns", "--name", ".example.com"}, 2, "/nonexistent/ca.pem"},
        Case{"BadProcess",
             {"flows", "--process", "12"},
             2,
             "--process: expected 16 hexadecimal digits"},
        Case{"BadHash", {"flows", "--sha256", "zz"}, 2, "--sha256: expected 64 hexadecimal digits"},
        Case{"BadSize", {"flows", "--min-bytes", "much"}, 2, "--min-bytes: \"much\" is not a size"},
        Case{"BadPort", {"flows", "--port", "70000"}, 2, "70000"},
        Case{"PidWithoutHost", {"process", "42"}, 2, "a pid needs --host"},
        Case{
            "NotAProcess", {"process", "xyz"}, 2, "expected a process id of 16 hexadecimal digits"},
        Case{"BadInterval", {"top", "--interval", "1ms"}, 2, "--interval: at least 100ms"},
        Case{"BadWindow", {"top", "--window", "10"}, 2, "--window: \"10\" is not a span of time"},
        Case{"BadLast", {"cost", "--last", "long"}, 2, "--last: write for instance"},
        Case{"LastAndSince", {"cost", "--last", "1h", "--since", "2h"}, 2, "excludes"},
        Case{"BadCostGroup", {"cost", "--group-by", "colour"}, 2, "colour not in"},
        Case{"GroupsByRegion", {"flows", "--group-by", "region"}, 2, "/nonexistent/ca.pem"},
        Case{"FollowedWhere", {"flows", "--follow", "--where"}, 2, "excludes"},
        Case{"Where", {"where", "192.0.2.7"}, 2, "/nonexistent/ca.pem"},
        Case{"AnswerWithoutAFile", {"answer", "/nonexistent/report"}, 2, "/nonexistent/report"},
        Case{"AnswerToNoReport", {"answer", CULPRIT_BINARY}, 2, CULPRIT_BINARY},
        Case{"JoinOfAnUnknownKind", {"join", "netflow", "f"}, 2, "netflow not in"},
        Case{"JoinWithoutAFile", {"join", "vpcflow", "/nonexistent/log"}, 2, "/nonexistent/log"},
        Case{"ImportOfAnUnknownKind", {"import", "netflow", "f"}, 2, "netflow not in"},
        Case{"ImportOfNoFlowLog", {"import", "vpcflow", "/etc/passwd"}, 2, "no row of a flow log"},
        Case{"NoCredentials", {"hosts"}, 2, "/nonexistent/ca.pem"},
        Case{"ZoneIsNoted",
             {"flows", "--at", "2026-03-01 02:03"},
             2,
             "taken as 2026-03-01 02:03:00Z"},
        Case{"ControlCharactersInErrors", {"\x1b[2J"}, 2, "\\x1b[2J"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(CommandHelpTest, EveryCommandHasHelpWithAnExample) {
  for (const char* command :
       {"hosts", "flows", "who", "process", "dns", "answer", "join", "import", "where", "cost", "top", "status"}) {
    const Outcome outcome = Culprit({command, "--help"});
    EXPECT_EQ(outcome.exit_code, 0) << command;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("Examples:"), HasSubstr(std::string("culprit ") + command),
                      HasSubstr("--json")))
        << command;
  }
  const Outcome outcome = Culprit({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("Exit codes: 0 done"));
}

TEST(CommandHelpTest, VersionIsPrinted) {
  for (const char* argument : {"version", "--version", "-V"}) {
    const Outcome outcome = Culprit({argument});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, testing::MatchesRegex("culprit [0-9.]+\n"));
  }
}

TEST(CommandHelpTest, NoCommandPrintsHelpAndIsAnError) {
  const Outcome outcome = Culprit({});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("Subcommands:"));
}

}  // namespace
}  // namespace culprit
