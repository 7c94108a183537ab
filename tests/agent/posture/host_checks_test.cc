// SPDX-License-Identifier: Apache-2.0
// Checks beside the configuration's text: owners, accounts, units, and what runs.
#include <gtest/gtest.h>

#include "agent/posture/sshd_command.h"
#include "tests/agent/posture/posture_fixture.h"

namespace culprit {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

class HostChecksTest : public PostureTest {
 protected:
  HostChecksTest() {
    tree_.Write("/usr/sbin/sshd", "", 0755);
    tree_.Write(
        "/usr/lib/systemd/system/ssh.service",
        "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n");
    host_.executables["/usr/sbin/sshd"] = "authorizedkeysfile no hostkeys available -- exiting";
    host_.executables["/usr/sbin/dropbear"] = "SSH-2.0-dropbear_2022.83";
    host_.executables["/usr/bin/nc"] = "nothing of the kind";
  }
  ListeningProcess& Run(std::int32_t pid, const std::string& exe, const std::string& cmdline,
                        const std::string& listen) {
    ListeningProcess process;
    process.pid = pid;
    process.exe = exe;
    process.cmdline = cmdline;
    process.start_ns = 100 * kSecond;
    process.listens = {*Endpoint::Parse(listen)};
    host_.processes.push_back(process);
    return host_.processes.back();
  }
  ListeningProcess& RunSshd(const std::string& options = "-D",
                            const std::string& listen = "0.0.0.0:22") {
    return Run(812, "/usr/sbin/sshd",
               "sshd: /usr/sbin/sshd " + options + " [listener] 0 of 10-100 startups", listen);
  }

  ListedHost host_;
};

TEST_F(HostChecksTest, ATitleGivesTheOptionsBackAlsoThoseWithBlanks) {
  const auto options = OptionsOfCommand(SshdArguments(
      "sshd: /usr/sbin/sshd -D -o AuthorizedKeysCommand /opt/x %u %f -p 2222 -f /tmp/c -oPort=7 "
      "[listener] 0 of 10-100 startups"));
  EXPECT_EQ(options.path, "/tmp/c");
  EXPECT_EQ(options.command_ports, std::vector<std::string>{"2222"});
  EXPECT_EQ(options.command_options,
            (std::vector<std::string>{"AuthorizedKeysCommand /opt/x %u %f", "Port=7"}));
  const std::string nul("/usr/sbin/sshd\0-Df\0/tmp/d\0", 26);
  EXPECT_EQ(OptionsOfCommand(SshdArguments(nul)).path, "/tmp/d");
}

TEST_F(HostChecksTest, TheRunningDaemonsOptionsBeatTheFile) {
  Config("PasswordAuthentication no\n");
  tree_.Write("/etc/default/ssh", "SSHD_OPTS=\"-o PasswordAuthentication=yes\"\n");
  RunSshd("-D -o PasswordAuthentication=yes");
  const PostureReport report = Scan(&host_);
  const PostureFinding* finding = Find(report, "cfg.password_auth", "command line");
  ASSERT_NE(finding, nullptr);
  EXPECT_TRUE(finding->fix.text.empty());
  EXPECT_EQ(Find(report, "cfg.drift"), nullptr);  // the unit says the same
  EXPECT_NE(Find(Scan(nullptr), "cfg.password_auth", "command line"),
            nullptr);  // from the unit alone
}

TEST_F(HostChecksTest, AFileThatChangedAfterItWasReadIsDrift) {
  RunSshd();
  EXPECT_EQ(Find(Scan(&host_), "cfg.drift"), nullptr);
  tree_.InfoOf("/etc/ssh/sshd_config").ctime_ns = 200 * kSecond;
  EXPECT_NE(Find(Scan(&host_), "cfg.drift"), nullptr);
  tree_.Write("/run/sshd.pid", "812\n");  // written anew at a reload
  tree_.InfoOf("/run/sshd.pid").mtime_ns = 300 * kSecond;
  EXPECT_EQ(Find(Scan(&host_), "cfg.drift"), nullptr);
  tree_.Write("/run/sshd.pid", "813\n");  // of another process
  tree_.InfoOf("/run/sshd.pid").mtime_ns = 300 * kSecond;
  EXPECT_NE(Find(Scan(&host_), "cfg.drift"), nullptr);
}

TEST_F(HostChecksTest, OptionsThatTheUnitDoesNotHaveAreDrift) {
  RunSshd("-D -o PermitEmptyPasswords=yes");
  EXPECT_NE(Find(Scan(&host_), "cfg.drift", "/proc/812"), nullptr);
}

TEST_F(HostChecksTest, AUnitThatIsNotThePackagesIsNamedAndInstanceConnectIsNotAlarming) {
  EXPECT_EQ(Find(Scan(), "cfg.unit_override"), nullptr);
  const std::string folder = "/etc/systemd/system/ssh.service.d/";
  tree_.Write(folder + "ec2.conf",
              "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -o \"AuthorizedKeysCommand "
              "/usr/share/ec2-instance-connect/eic_run_authorized_keys %%u %%f\" -o "
              "\"AuthorizedKeysCommandUser x\"\n");
  const PostureReport connect = Scan();
  EXPECT_EQ(Find(connect, "cfg.unit_override", folder + "ec2.conf:3")->severity, Severity::kInfo);
  EXPECT_EQ(Find(connect, "cfg.authkeys_command", "command line")->severity, Severity::kInfo);
  tree_.Write(folder + "z.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -p 2222\n");
  EXPECT_EQ(Find(Scan(), "cfg.unit_override", folder + "z.conf:3")->severity, Severity::kHigh);
}

TEST_F(HostChecksTest, ASecondServerIsCriticalWhateverItIsCalled) {
  RunSshd();
  Run(900, "/usr/bin/nc", "nc -l", "0.0.0.0:9");
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd"), nullptr);
  host_.executables["/tmp/.x/kworker"] = host_.executables["/usr/sbin/sshd"];
  Run(901, "/tmp/.x/kworker", "kworker", "0.0.0.0:31337");
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd", "/proc/901")->severity, Severity::kCritical);
  Run(902, "/usr/sbin/sshd", std::string("/usr/sbin/sshd\0-f\0/tmp/c\0", 25), "0.0.0.0:2222");
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd", "/proc/902")->severity, Severity::kCritical);
  Run(903, "/usr/sbin/dropbear", "dropbear", "0.0.0.0:2223");
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd", "/proc/903")->severity, Severity::kCritical);
  tree_.Write("/usr/sbin/dropbear", "", 0755);
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd", "/proc/903")->severity, Severity::kHigh);
  Run(904, "/usr/sbin/sshd", "/usr/sbin/sshd", "0.0.0.0:2224").own_root = true;
  EXPECT_EQ(Find(Scan(&host_), "proc.second_sshd", "/proc/904")->severity, Severity::kMedium);
}

TEST_F(HostChecksTest, ExposureIsOfAllAndOfPublicAddressesAndWorseWithPasswords) {
  Config("PasswordAuthentication no\n");
  RunSshd("-D", "127.0.0.1:22");
  EXPECT_EQ(Find(Scan(&host_), "net.exposure"), nullptr);
  host_.processes[0].listens = {*Endpoint::Parse("[::]:22")};
  EXPECT_EQ(Find(Scan(&host_), "net.exposure")->severity, Severity::kMedium);
  Config("PasswordAuthentication yes\n");
  host_.processes[0].listens = {*Endpoint::Parse("198.51.100.7:22")};
  EXPECT_EQ(Find(Scan(&host_), "net.exposure")->severity, Severity::kHigh);
}

TEST_F(HostChecksTest, SystemdThatListensForSshIsAServer) {
  tree_.Write("/usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=0.0.0.0:22\n");
  Run(1, "/usr/lib/systemd/systemd", "/sbin/init", "0.0.0.0:22");
  const PostureReport report = Scan(&host_);
  ASSERT_EQ(report.servers.size(), 1U);
  EXPECT_EQ(report.servers[0].kind, SshServer::Kind::kSocketUnit);
  EXPECT_EQ(Find(report, "proc.second_sshd"), nullptr);
}

TEST_F(HostChecksTest, WhatOthersCanWriteIsNamed) {
  tree_.InfoOf("/etc/ssh/sshd_config").mode = 0664;
  EXPECT_NE(Find(Scan(), "cfg.perms", "/etc/ssh/sshd_config"), nullptr);
  Config("HostKey /etc/ssh/k\n");
  tree_.Write("/etc/ssh/k", "", 0644);
  EXPECT_NE(Find(Scan(), "cfg.perms", "/etc/ssh/k"), nullptr);
  tree_.InfoOf("/etc/ssh/k").mode = 0600;
  EXPECT_EQ(Find(Scan(), "cfg.perms"), nullptr);
  Config("ForceCommand /srv/wrap -x\nSubsystem sftp /srv/sftp\n");
  tree_.Write("/srv/wrap", "", 0755, 1001);
  tree_.Write("/srv/sftp", "", 0777);
  const PostureReport report = Scan();
  EXPECT_NE(Find(report, "cfg.forcecommand", "/etc/ssh/sshd_config:2"), nullptr);
  EXPECT_NE(Find(report, "cfg.subsystem", "/etc/ssh/sshd_config:3"), nullptr);
}

TEST_F(HostChecksTest, WhereKeysMayComeFrom) {
  const std::pair<const char*, const char*> kTable[] = {
      {"AuthorizedKeysFile .ssh/authorized_keys %h/.ssh/x /etc/ssh/keys/%u", ""},
      {"AuthorizedKeysFile none", ""},
      {"AuthorizedKeysFile /etc/ssh/all", "cfg.authkeys_path"},
      {"AuthorizedKeysFile /var/tmp/%u", "cfg.authkeys_path"},
      {"AuthorizedKeysFile .config/k", "cfg.authkeys_path"},
      {"AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys\nAuthorizedKeysCommandUser nobody",
       "cfg.authkeys_command"},
      {"AuthorizedKeysCommand /opt/k\nAuthorizedKeysCommandUser nobody", "cfg.authkeys_command"}};
  for (const auto& [config, id] : kTable) {
    Config(config);
    const PostureReport report = Scan();
    for (const std::string name : {"cfg.authkeys_path", "cfg.authkeys_command"})
      EXPECT_EQ(Find(report, name) != nullptr, id == name) << config << " " << name;
  }
}

TEST_F(HostChecksTest, AccountsThatAreAnIntrudersDoor) {
  tree_.Write(
      "/etc/passwd",
      "root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nubuntu:x:1000:1000::/home/u:/bin/bash\n"
      "open:x:1005:1005::/:/bin/sh\n");
  tree_.Write("/etc/shadow", "root:*:\ntoor:!:\nubuntu:$6$a$b:\nopen::\n");
  const PostureReport report = Scan();
  EXPECT_EQ(Find(report, "acct.uid0")->evidence[0].text, "toor, uid 0");
  EXPECT_EQ(Find(report, "acct.cloud_user_password")->evidence[0].text, "ubuntu");
  EXPECT_EQ(Find(report, "acct.empty_password")->evidence[0].text, "open");
}

TEST_F(HostChecksTest, AnUnreadableShadowIsALimitAndNotLockedPasswords) {
  tree_.Remove("/etc/shadow");
  const PostureReport report = Scan();
  EXPECT_EQ(report.limits.size(), 1U);
  EXPECT_TRUE(Concerns(*Find(report, "cfg.password_auth"), "bob from public"));
}

TEST_F(HostChecksTest, AHostWithoutSshIsSaidToHaveNone) {
  tree_.Remove("/etc/ssh/sshd_config");
  const auto report = ScanPosture(tree_, nullptr, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace culprit
