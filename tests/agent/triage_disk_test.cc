// SPDX-License-Identifier: Apache-2.0
// Triage of a mounted disk: its own logs, keys and persistence, and nothing of the machine that it
// is mounted at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/triage.h"
#include "common/bundle_summary.h"
#include "common/bundle_verify.h"
#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr const char* kKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMAa4J8RUpjPFCLTH5Y "
    "left@behind\n";
constexpr const char* kLogin =
    "Accepted publickey for alice from 198.51.100.9 port 5000 ssh2: ED25519 "
    "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

class TriageDiskTest : public ::testing::Test {
 protected:
  TriageDiskTest() {
    Write("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n");
    Write("etc/group", "");
    Write("etc/hostname", "web-of-the-disk\n");
    Write("etc/os-release", "PRETTY_NAME=\"A Distribution\"\n");
    Write("var/lib/cloud/data/instance-id", "i-0123456789abcdef0\n");
    Write("etc/ssh/sshd_config", "PermitRootLogin yes\n");
    Write("root/.ssh/authorized_keys", kKey);
    Write("var/log/auth.log",
          std::string("2026-03-01T02:03:04+00:00 web sshd[7]: ") + kLogin +
              "\n2026-03-01T02:03:01+00:00 web sshd[6]: Failed password for root from "
              "198.51.100.9 port 4999 ssh2\n");
  }
  void Write(const std::string& path, const std::string& text) {
    const std::string full = dir_ / path;
    ASSERT_TRUE(MakeDirectories(full.substr(0, full.rfind('/')), 0755));
    ASSERT_TRUE(WriteFileAtomically(full, text, 0644));
  }
  TriageReport Take(bool bundle) {
    TriageOptions options;
    options.root = dir_.path();
    options.out = out_ / "bundle.tar.zst";
    options.bundle = bundle;
    options.version = "1";
    auto report = Triage(options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : TriageReport{};
  }

  TempDir dir_, out_;
};

TEST_F(TriageDiskTest, LoginsFailuresAndKeysComeFromItsFiles) {
  const TriageReport report = Take(false);
  EXPECT_EQ(report.host, "web-of-the-disk");
  EXPECT_EQ(report.instance, "i-0123456789abcdef0");
  EXPECT_EQ(report.os, "A Distribution");
  ASSERT_EQ(report.logins.size(), 1U);
  EXPECT_THAT(LoginText(report.logins[0]), HasSubstr("alice from 198.51.100.9:5000 by publickey"));
  EXPECT_EQ(report.failed_attempts, 1U);
  ASSERT_EQ(report.keys.size(), 1U);
  EXPECT_EQ(report.keys[0].place, "/root/.ssh/authorized_keys:1");
  EXPECT_TRUE(report.bundle_sha256.empty());
}

TEST_F(TriageDiskTest, ThePackedDiskNamesItsPersistenceAndVerifies) {
  Write("var/spool/cron/crontabs/root", "* * * * * /tmp/.x/kworker\n");
  Write("etc/systemd/system/update.timer", "[Timer]\n");
  Write("etc/ld.so.preload", "/usr/local/lib/libx.so\n");
  const TriageReport report = Take(true);
  std::string facts;
  for (const TriageFact& fact : report.facts) facts += fact.kind + " " + fact.text + "\n";
  EXPECT_THAT(facts, HasSubstr("scheduled /var/spool/cron/crontabs/root"));
  EXPECT_THAT(facts, HasSubstr("scheduled /etc/systemd/system/update.timer"));
  EXPECT_THAT(facts, HasSubstr("preload"));
  const auto fd = OpenReadOnly(report.bundle);
  ASSERT_TRUE(fd);
  const auto verdict = VerifyBundle(SourceOf(fd->get()), {std::nullopt, report.bundle_key});
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->good());
  EXPECT_TRUE(verdict->trusted);
}

TEST_F(TriageDiskTest, NothingOfThisMachineGetsIn) {
  const TriageReport report = Take(true);
  const auto fd = OpenReadOnly(report.bundle);
  ASSERT_TRUE(fd);
  const auto verdict = VerifyBundle(SourceOf(fd->get()), {});
  ASSERT_TRUE(verdict && verdict->head);
  EXPECT_EQ(verdict->head->hostname, "web-of-the-disk");
  EXPECT_EQ(verdict->head->boot_id, "");
  const auto again = OpenReadOnly(report.bundle);
  const auto summary = SummariseBundle(SourceOf(again->get()));
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->processes, 0U);
  EXPECT_EQ(summary->sockets, 0U);
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  EXPECT_EQ(TriageJson(report).find(std::string("\"") + name + "\""), std::string::npos);
}

TEST_F(TriageDiskTest, ALinkOutOfTheDiskIsNotFollowed) {
  TempDir outside;
  ASSERT_TRUE(WriteFileAtomically(
      outside / "auth.log", std::string("Mar  1 02:03:04 x sshd[7]: ") + kLogin + "\n", 0644));
  std::filesystem::remove(dir_ / "var/log/auth.log");
  std::filesystem::create_symlink(outside / "auth.log", dir_ / "var/log/auth.log");
  std::filesystem::create_directory_symlink(outside.path(), dir_ / "var/log/journal");
  const TriageReport report = Take(false);
  EXPECT_TRUE(report.logins.empty());
  EXPECT_THAT(report.gaps, Contains(HasSubstr("/var/log/auth.log")));
}

}  // namespace
}  // namespace culprit
