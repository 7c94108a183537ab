// SPDX-License-Identifier: Apache-2.0
// Needs root (fanotify). Each case runs real programs in a temporary directory and looks at what
// the hasher reports.
#include "agent/source/exe_hasher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "common/sha256.h"
#include "common/unique_fd.h"

extern char** environ;

namespace culprit {
namespace {

using ::testing::StartsWith;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Runs in the child; what it returns is its exit status.
int RunChild(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

class ExeHasherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0U) << "these tests need root";
    std::string name = (std::filesystem::temp_directory_path() / "culprit-hasher.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    hasher_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Start(const ExeHasherOptions& options = {}) {
    auto hasher = ExeHasher::Start(options);
    ASSERT_TRUE(hasher.has_value()) << hasher.error().message;
    hasher_ = std::move(*hasher);
  }
  // A program of its own content: a copy of true with a tail.
  std::string Program(const std::string& name) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << ReadAll("/bin/true") << "tail of " << path;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  // The first report that fits, waiting for it.
  std::optional<ExeHashEvent> WaitFor(const std::function<bool(const ExeHashEvent&)>& fits) {
    while (true) {
      for (ExeHashEvent& event : hasher_->Take()) {
        if (fits(event)) return event;
      }
      pollfd fd{hasher_->poll_fd(), POLLIN, 0};
      if (poll(&fd, 1, 20'000) <= 0) return std::nullopt;
    }
  }
  std::optional<ExeHashEvent> WaitForPath(const std::string& path) {
    return WaitFor([&](const ExeHashEvent& event) { return event.path == path; });
  }
  static int Exec(const std::string& path) {
    return RunChild([&] { return execl(path.c_str(), path.c_str(), static_cast<char*>(nullptr)); });
  }

  std::string directory_;
  std::unique_ptr<ExeHasher> hasher_;
};

TEST_F(ExeHasherTest, AProgramThatIsDeletedWhileItStartsIsHashed) {
  Start();
  ASSERT_EQ(hasher_->mode(), "fanotify");
  const std::string path = Program("short");
  const std::string content = ReadAll(path);
  // The child opens its program, removes the name and executes the descriptor.
  EXPECT_EQ(RunChild([&] {
              const int fd = open(path.c_str(), O_RDONLY);
              unlink(path.c_str());
              char* argv[] = {const_cast<char*>("short"), nullptr};
              return fexecve(fd, argv, environ);
            }),
            0);
  const auto event = WaitForPath(path);
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->hashed);
  EXPECT_EQ(event->sha256, Sha256Of(content));
  EXPECT_EQ(event->exe.size_bytes, content.size());
  EXPECT_NE(event->opened_by, Tgid(0));
}

TEST_F(ExeHasherTest, ASecondRunIsTakenFromTheCacheAndAChangedFileIsNot) {
  Start();
  const std::string path = Program("twice");
  EXPECT_EQ(Exec(path), 0);
  const auto first = WaitForPath(path);
  ASSERT_TRUE(first.has_value());
  // Larger than what else runs on the host meanwhile, so that hashing it again would show in the
  // count of bytes.
  constexpr std::uintmax_t kLarge = 100U << 20;
  std::filesystem::resize_file(path, kLarge);
  EXPECT_EQ(Exec(path), 0);
  const auto second = WaitForPath(path);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(second->sha256, first->sha256);
  EXPECT_EQ(second->sha256, Sha256Of(ReadAll(path)));
  const auto hashed = hasher_->stats().hashed_bytes;
  EXPECT_EQ(Exec(path), 0);
  EXPECT_EQ(Exec(Program("marker")), 0);
  ASSERT_TRUE(WaitForPath(directory_ + "/marker").has_value());
  EXPECT_LT(hasher_->stats().hashed_bytes, hashed + kLarge);
}

TEST_F(ExeHasherTest, AHardLinkReportsItsOwnName) {
  Start();
  const std::string path = Program("name");
  EXPECT_EQ(Exec(path), 0);
  ASSERT_TRUE(WaitForPath(path).has_value());
  std::filesystem::create_hard_link(path, directory_ + "/other");
  EXPECT_EQ(Exec(directory_ + "/other"), 0);
  EXPECT_TRUE(WaitForPath(directory_ + "/other").has_value());
}

TEST_F(ExeHasherTest, AMemfdIsHashedThroughProcWhenTheExecIsTold) {
  Start();
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const std::string content = ReadAll("/bin/cat") + "memfd tail";
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(go[0], 0);
    close(go[1]);
    const int fd = memfd_create("evil", MFD_CLOEXEC);
    if (write(fd, content.data(), content.size()) < 0) _exit(1);
    char* argv[] = {const_cast<char*>("evil"), nullptr};
    dup2(ready[1], 1);
    fexecve(fd, argv, environ);
    _exit(1);
  }
  // cat answers once it runs: the exec has happened.
  ASSERT_EQ(write(go[1], "x", 1), 1);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  struct stat st {};
  ASSERT_EQ(stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &st), 0);
  ExeIdentity exe{major(st.st_dev), minor(st.st_dev), st.st_ino,
                  static_cast<std::uint64_t>(st.st_size),
                  st.st_ctim.tv_sec * 1'000'000'000 + st.st_ctim.tv_nsec};
  hasher_->OnExec(Tgid(static_cast<std::uint32_t>(pid)), exe, true);
  const auto event = WaitFor([&](const ExeHashEvent& e) { return e.path.starts_with("/memfd:"); });
  close(go[1]);
  close(go[0]);
  waitpid(pid, nullptr, 0);
  for (const int fd : {ready[0], ready[1]}) close(fd);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->path, "/memfd:evil");
  EXPECT_EQ(event->sha256, Sha256Of(content));
}

TEST_F(ExeHasherTest, AnotherDeviceNumberForTheSameFileIsReportedUnderTheKernelsOne) {
  Start();
  struct stat st {};
  ASSERT_EQ(stat("/proc/self/exe", &st), 0);
  const ExeIdentity exe{4095, 4095, st.st_ino, static_cast<std::uint64_t>(st.st_size),
                        st.st_ctim.tv_sec * 1'000'000'000 + st.st_ctim.tv_nsec};
  hasher_->OnExisting(Tgid(static_cast<std::uint32_t>(getpid())), exe);
  const auto event = WaitFor([&](const ExeHashEvent& e) { return e.exe == exe; });
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->sha256, Sha256Of(ReadAll("/proc/self/exe")));
}

TEST_F(ExeHasherTest, AFilesystemMountedLaterIsFollowed) {
  Start();
  const std::string point = directory_ + "/mnt";
  std::filesystem::create_directory(point);
  const auto before = hasher_->stats().filesystems_marked;
  ASSERT_EQ(mount("none", point.c_str(), "tmpfs", 0, "size=4m"), 0);
  while (hasher_->stats().filesystems_marked == before) usleep(1000);
  const std::string path = Program("mnt/late");
  EXPECT_EQ(Exec(path), 0);
  const auto event = WaitForPath(path);
  hasher_.reset();
  umount2(point.c_str(), MNT_DETACH);
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->hashed);
}

TEST_F(ExeHasherTest, OverTheSizeBoundPathAndIdentityStillHold) {
  ExeHasherOptions options;
  options.max_file_bytes = 100;
  Start(options);
  const std::string path = Program("large");
  EXPECT_EQ(Exec(path), 0);
  const auto event = WaitForPath(path);
  ASSERT_TRUE(event.has_value());
  EXPECT_FALSE(event->hashed);
  EXPECT_GE(hasher_->stats().too_big, 1U);
}

TEST_F(ExeHasherTest, WithoutFanotifyTheModeSaysWhyAndProcServes) {
  ExeHasherOptions options;
  options.use_fanotify = false;
  Start(options);
  EXPECT_THAT(hasher_->mode(), StartsWith("none: "));
  struct stat st {};
  ASSERT_EQ(stat("/proc/self/exe", &st), 0);
  const ExeIdentity exe{major(st.st_dev), minor(st.st_dev), st.st_ino,
                        static_cast<std::uint64_t>(st.st_size),
                        st.st_ctim.tv_sec * 1'000'000'000 + st.st_ctim.tv_nsec};
  hasher_->OnExec(Tgid(static_cast<std::uint32_t>(getpid())), exe, false);
  const auto event = WaitFor([&](const ExeHashEvent& e) { return e.exe == exe; });
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->hashed);
  // A process that is gone is counted, not waited for.
  hasher_->OnExec(Tgid(0x7ffffff0), ExeIdentity{1, 2, 3, 4, 5}, false);
  hasher_->OnExisting(Tgid(static_cast<std::uint32_t>(getpid())), exe);
  while (hasher_->stats().gone == 0) usleep(1000);
}

// Lists of a root of its own cannot be used here: what runs is seen by its real path.
TEST_F(ExeHasherTest, AProgramOfAPackageIsComparedWithItAndOneOfNoneIsSaidToBeOfNone) {
  ASSERT_EQ(access("/var/lib/dpkg/info/coreutils.md5sums", R_OK), 0);
  Start();
  EXPECT_EQ(Exec("/usr/bin/true"), 0);
  const auto packaged = WaitForPath("/usr/bin/true");
  ASSERT_TRUE(packaged.has_value());
  EXPECT_EQ(packaged->package, (PackageFacts{PackageState::kIntact, "coreutils"}));
  const std::string path = Program("own");
  EXPECT_EQ(Exec(path), 0);
  const auto own = WaitForPath(path);
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->package, (PackageFacts{PackageState::kNone, ""}));
}

TEST_F(ExeHasherTest, AFileThatIsNoLongerWhatItsPackageBroughtDiffers) {
  // A package of our own in a copy of the root's shape: the book finds the program below it by the
  // name that the kernel shows, for that root is bound over by nothing but itself.
  const std::string lists = directory_ + "/var/lib/dpkg/info";
  std::filesystem::create_directories(lists);
  const std::string path = Program("mine");
  std::filesystem::create_directories(directory_ + directory_);
  std::filesystem::create_hard_link(path, directory_ + path);
  std::ofstream(lists + "/mine.list") << path << "\n";
  std::ofstream(lists + "/mine.md5sums") << std::string(32, '0') << "  " << path.substr(1) << "\n";
  ExeHasherOptions options;
  options.package_root = directory_;
  Start(options);
  EXPECT_EQ(Exec(path), 0);
  const auto event = WaitForPath(path);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->package, (PackageFacts{PackageState::kDiffers, "mine"}));
}

TEST_F(ExeHasherTest, AFullQueueIsCounted) {
  ExeHasherOptions options;
  options.queue_entries = 0;
  Start(options);
  hasher_->OnExec(Tgid(1), ExeIdentity{1, 2, 3, 4, 5}, false);
  hasher_->OnExisting(Tgid(1), ExeIdentity{1, 2, 3, 4, 5});
  EXPECT_EQ(hasher_->stats().requests_dropped, 2U);
}

}  // namespace
}  // namespace culprit
