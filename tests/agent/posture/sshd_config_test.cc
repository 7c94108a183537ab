// SPDX-License-Identifier: Apache-2.0
// The truth table of sshd's configuration by hand; tests/bench/sshd_differential.py has the rest.
#include "agent/posture/sshd_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/posture/disk_tree.h"
#include "common/file.h"

namespace culprit {
namespace {

class SshdConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/posture-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    Write("etc/ssh/sshd_config", "");
    auto tree = DiskTree::Open(root_);
    ASSERT_TRUE(tree) << tree.error().message;
    tree_ = std::move(*tree);
  }
  void Write(const std::string& path, const std::string& text) {
    const std::string full = root_ + "/" + path;
    ASSERT_TRUE(MakeDirectories(full.substr(0, full.rfind('/')), 0755));
    ASSERT_TRUE(WriteFileAtomically(full, text));
  }
  SshdConfig Parse(const std::string& text, bool strict = true) {
    Write("etc/ssh/sshd_config", text);
    SshdParseOptions options;
    options.strict_algorithms = strict;
    options.command_options = command_;
    return SshdConfig::Parse(*tree_, Accounts("bob:x:1001:1001::/home/bob:/bin/sh\n", "", nullptr),
                             options);
  }
  SettingValue Value(const std::string& text, const std::string& keyword) {
    const SshdConfig config = Parse(text);
    if (config.Refused()) return {"refused", {}};
    return ValueOf(
        config.Effective({"bob", "h.example.org", "192.0.2.7", "192.0.2.1", 22}, nullptr), keyword);
  }

  std::string root_;
  std::unique_ptr<DiskTree> tree_;
  std::vector<std::string> command_;
};

TEST_F(SshdConfigTest, ALineIsReadAsSshdReadsIt) {
  const std::pair<const char*, const char*> kTable[] = {
      {"PasswordAuthentication=no", "no"},
      {"PasswordAuthentication = no", "no"},
      {"\"PasswordAuthentication\" no", "no"},
      {"PasswordAuthentication 'no'", "no"},
      {"PasswordAuthentication no # c", "no"},
      {"PasswordAuthentication no\r", "no"},
      {"PasswordAuthentication NO", "no"},
      {"PasswordAuthentication no#c", "refused"},
      {"PasswordAuthentication no yes", "refused"},
      {"PasswordAuthentication \"\"", "refused"},
      {"PasswordAuthentication", "refused"},
      {"Match User !alice\nPasswordAuthentication no", "yes"},
      {"Match User *,!alice\nPasswordAuthentication no", "no"},
      {"Match User BOB\nPasswordAuthentication no", "yes"},
      {"Match Address 10.0.0.1/8", "refused"},
      {"PasswordAuthentication yes\nMatch user bob\nPasswordAuthentication no", "no"},
      {"Match user bob\nUsePAM yes", "refused"},
      {"Match all\nUsePAM yes", "yes"},
      {"Subsystem sftp a\nSubsystem sftp b", "refused"}};
  for (const auto& [text, expected] : kTable)
    EXPECT_EQ(Value(text, "passwordauthentication").text, expected) << text;
}

TEST_F(SshdConfigTest, TheWinnerIsTheFirstLineAlsoWhereItIsIncluded) {
  Write("etc/ssh/sshd_config.d/50-a.conf", "\nPasswordAuthentication no\n");
  const SettingValue value =
      Value("Include sshd_config.d/*.conf\nPasswordAuthentication yes\n", "passwordauthentication");
  EXPECT_EQ(value.text, "no");
  EXPECT_EQ(value.origin.ToString(), "/etc/ssh/sshd_config.d/50-a.conf:2");
}

TEST_F(SshdConfigTest, TheCommandLineBeatsTheFile) {
  command_ = {"PasswordAuthentication=no"};
  EXPECT_EQ(Value("PasswordAuthentication yes\n", "passwordauthentication").origin.ToString(),
            "command line");
}

TEST_F(SshdConfigTest, AnUnknownAlgorithmIsSkewAndNotAnEnd) {
  const SshdConfig config = Parse("KexAlgorithms mlkem768x25519-sha256\nPermitTTY no\n", false);
  EXPECT_FALSE(config.Refused());
  ASSERT_EQ(config.problems().size(), 1U);
  EXPECT_EQ(config.problems()[0].kind, ConfigProblem::Kind::kSkew);
  EXPECT_EQ(ValueOf(config.global(), "permittty").text, "no");
}

TEST_F(SshdConfigTest, APipeALoopAndAnEndlessLineEnd) {
  ASSERT_EQ(mkfifo((root_ + "/etc/ssh/pipe").c_str(), 0600), 0);
  ASSERT_EQ(symlink("loop", (root_ + "/etc/ssh/loop").c_str()), 0);
  EXPECT_TRUE(Parse("Include pipe\n").Refused());
  EXPECT_TRUE(Parse("Include loop\n").Refused());
  EXPECT_TRUE(Parse("Include sshd_config\n").Refused());
  const SshdConfig config = Parse("Banner " + std::string(std::size_t{3} << 20, 'x'));
  ASSERT_FALSE(config.problems().empty());
  EXPECT_EQ(config.problems()[0].kind, ConfigProblem::Kind::kBounded);
}

TEST_F(SshdConfigTest, ALinkDoesNotLeadOutOfTheRoot) {
  ASSERT_EQ(symlink("/../../../../etc/passwd", (root_ + "/etc/ssh/out").c_str()), 0);
  EXPECT_FALSE(tree_->Read("/etc/ssh/out", 100));
}

}  // namespace
}  // namespace culprit
