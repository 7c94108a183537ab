// SPDX-License-Identifier: Apache-2.0
// culprit_faultfs: a FUSE file system that forgets what was not synced, for crash tests.
//
//   culprit_faultfs --backing DIR --mount DIR [--foreground] [--keep-some SEED]
//
// SIGUSR1 drops everything unsynced and stays mounted; open files are then dead (ESTALE), so kill their owners first.
// SIGTERM and SIGINT unmount. The file MOUNT/.faultfs-control does the same in step with its writer: write one of
// "drop", "full on", "full off", "fail-sync on", "fail-sync off"; reading it shows drops and unsynced bytes.
// --keep-some: a drop keeps a random part of the unsynced writes, whole or torn, as a disk may.
// Files are opened with direct I/O: a shared mmap (SQLite's WAL index) does not work on it. Needs root and /dev/fuse.
//
// Thread: one FUSE loop and one signal thread over one lock.
#define FUSE_USE_VERSION 34
#include <fuse.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tests/support/faultfs/fault_store.h"

namespace culprit {
namespace {

constexpr std::string_view kControl = "/.faultfs-control";

// FUSE's operations are plain functions: the store is reached through here.
std::mutex g_mutex;
FaultStore* g_store = nullptr;

FaultHandle* HandleOf(fuse_file_info* info) {
  return reinterpret_cast<FaultHandle*>(info->fh);  // NOLINT(performance-no-int-to-ptr): FUSE's field
}

std::string ControlText() {
  return "drops " + std::to_string(g_store->drops()) + "\nunsynced_bytes " +
         std::to_string(g_store->unsynced_bytes()) + "\n";
}

int RunControl(std::string_view command) {
  while (!command.empty() && command.back() == '\n') command.remove_suffix(1);
  if (command == "drop") {
    g_store->Drop();
  } else if (command == "full on" || command == "full off") {
    g_store->set_full(command == "full on");
  } else if (command == "fail-sync on" || command == "fail-sync off") {
    g_store->set_fail_sync(command == "fail-sync on");
  } else {
    return -EINVAL;
  }
  return 0;
}

int GetAttr(const char* path, struct stat* st, fuse_file_info* /*info*/) {
  const std::lock_guard lock(g_mutex);
  *st = {};
  FaultStat stat;
  if (path == kControl) {
    stat = {false, 0600, 4096};
  } else if (const int error = g_store->Stat(path, &stat)) {
    return error;
  }
  st->st_mode = stat.mode | (stat.is_directory ? S_IFDIR : S_IFREG);
  st->st_nlink = stat.is_directory ? 2 : 1;
  st->st_size = static_cast<off_t>(stat.size);
  st->st_blocks = static_cast<blkcnt_t>((stat.size + 511) / 512);
  return 0;
}

int ReadDir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t /*offset*/,
            fuse_file_info* /*info*/, fuse_readdir_flags /*flags*/) {
  const std::lock_guard lock(g_mutex);
  std::vector<std::string> names = {".", ".."};
  if (const int error = g_store->List(path, &names)) return error;
  for (const std::string& name : names) {
    fill(buffer, name.c_str(), nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  }
  return 0;
}

int OpenOrCreate(const char* path, std::optional<mode_t> create, fuse_file_info* info) {
  const std::lock_guard lock(g_mutex);
  info->direct_io = 1;
  info->fh = 0;
  if (path == kControl) return 0;
  FaultHandle handle;
  const int error = create ? g_store->Create(path, *create, &handle)
                           : g_store->Open(path, (info->flags & O_TRUNC) != 0, &handle);
  if (error != 0) return error;
  info->fh = reinterpret_cast<std::uint64_t>(new FaultHandle(handle));
  return 0;
}

int OpenFile(const char* path, fuse_file_info* info) {
  return OpenOrCreate(path, std::nullopt, info);
}
int CreateFile(const char* path, mode_t mode, fuse_file_info* info) {
  return OpenOrCreate(path, mode, info);
}

int ReadFile(const char* path, char* buffer, std::size_t size, off_t offset, fuse_file_info* info) {
  const std::lock_guard lock(g_mutex);
  std::string bytes;
  const auto from = static_cast<std::size_t>(offset);
  if (path == kControl) {
    const std::string text = ControlText();
    bytes = from < text.size() ? text.substr(from, size) : std::string();
  } else if (const int error = g_store->Read(*HandleOf(info), from, size, &bytes)) {
    return error;
  }
  std::copy(bytes.begin(), bytes.end(), buffer);
  return static_cast<int>(bytes.size());
}

int WriteFile(const char* path, const char* bytes, std::size_t size, off_t offset,
              fuse_file_info* info) {
  const std::lock_guard lock(g_mutex);
  const int error = path == kControl
                        ? RunControl({bytes, size})
                        : g_store->Write(*HandleOf(info), static_cast<std::uint64_t>(offset),
                                         {bytes, size});
  return error != 0 ? error : static_cast<int>(size);
}

int TruncateFile(const char* path, off_t size, fuse_file_info* /*info*/) {
  const std::lock_guard lock(g_mutex);
  if (path == kControl) return 0;
  return g_store->Truncate(path, static_cast<std::uint64_t>(size));
}

int ReleaseFile(const char* /*path*/, fuse_file_info* info) {
  const std::lock_guard lock(g_mutex);
  if (info->fh != 0) delete HandleOf(info);
  return 0;
}

int SyncFile(const char* path, int /*data_only*/, fuse_file_info* info) {
  const std::lock_guard lock(g_mutex);
  return path == kControl ? 0 : g_store->Sync(*HandleOf(info));
}

int SyncDir(const char* path, int /*data_only*/, fuse_file_info* /*info*/) {
  const std::lock_guard lock(g_mutex);
  return g_store->SyncDirectory(path);
}

int RemoveFileAt(const char* path) {
  const std::lock_guard lock(g_mutex);
  return g_store->Unlink(path);
}

int MakeDir(const char* path, mode_t mode) {
  const std::lock_guard lock(g_mutex);
  return g_store->MakeDirectory(path, mode);
}

int RemoveDir(const char* path) {
  const std::lock_guard lock(g_mutex);
  return g_store->RemoveDirectory(path);
}

int RenameAt(const char* from, const char* to, unsigned int flags) {
  const std::lock_guard lock(g_mutex);
  return flags != 0 ? -EINVAL : g_store->Rename(from, to);
}

int IgnoreMode(const char* /*path*/, mode_t /*mode*/, fuse_file_info* /*info*/) { return 0; }
int IgnoreOwner(const char* /*path*/, uid_t /*uid*/, gid_t /*gid*/, fuse_file_info* /*info*/) {
  return 0;
}
int IgnoreTimes(const char* /*path*/, const timespec* /*times*/, fuse_file_info* /*info*/) {
  return 0;
}

fuse_operations Operations() {
  fuse_operations operations{};
  operations.getattr = GetAttr;
  operations.readdir = ReadDir;
  operations.open = OpenFile;
  operations.create = CreateFile;
  operations.read = ReadFile;
  operations.write = WriteFile;
  operations.truncate = TruncateFile;
  operations.release = ReleaseFile;
  operations.fsync = SyncFile;
  operations.fsyncdir = SyncDir;
  operations.unlink = RemoveFileAt;
  operations.mkdir = MakeDir;
  operations.rmdir = RemoveDir;
  operations.rename = RenameAt;
  operations.chmod = IgnoreMode;
  operations.chown = IgnoreOwner;
  operations.utimens = IgnoreTimes;
  return operations;
}

struct Options {
  std::string backing, mount;
  bool foreground = false;
  std::uint64_t keep_some = 0;
};

std::optional<Options> ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--foreground") {
      options.foreground = true;
    } else if (i + 1 < argc && word == "--backing") {
      options.backing = argv[++i];
    } else if (i + 1 < argc && word == "--mount") {
      options.mount = argv[++i];
    } else if (i + 1 < argc && word == "--keep-some") {
      options.keep_some = std::strtoull(argv[++i], nullptr, 10);
    } else {
      return std::nullopt;
    }
  }
  if (options.backing.empty() || options.mount.empty()) return std::nullopt;
  return options;
}

// SIGUSR1 drops; SIGTERM and SIGINT end the loop.
void HandleSignals(fuse* session, const std::string& mount) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGUSR1) {
      const std::lock_guard lock(g_mutex);
      g_store->Drop();
      continue;
    }
    fuse_exit(session);
    // The loop looks at its flag once it has served one more request.
    struct stat st {};
    stat(mount.c_str(), &st);
    return;
  }
}

int Main(int argc, char** argv) {
  const auto options = ParseOptions(argc, argv);
  if (!options) {
    std::fprintf(stderr, "usage: %s --backing DIR --mount DIR [--foreground] [--keep-some SEED]\n",
                 argv[0]);
    return 2;
  }
  FaultStore store(options->backing);
  store.KeepSome(options->keep_some);
  g_store = &store;
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  std::string fuse_options = "allow_other,default_permissions,fsname=culprit_faultfs";
  fuse_options += ",attr_timeout=0,entry_timeout=0,negative_timeout=0";
  std::string program = argv[0];
  std::string dash_o = "-o";
  char* fuse_argv[] = {program.data(), dash_o.data(), fuse_options.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, fuse_argv);
  const fuse_operations operations = Operations();
  fuse* session = fuse_new(&args, &operations, sizeof(operations), nullptr);
  if (session == nullptr) return 1;
  if (fuse_mount(session, options->mount.c_str()) != 0) {
    std::fprintf(stderr, "culprit_faultfs: mount failed (root and /dev/fuse are needed)\n");
    return 1;
  }
  // The parent returns once the file system is mounted.
  if (!options->foreground && daemon(1, 1) != 0) return 1;
  std::thread signal_thread([&] { HandleSignals(session, options->mount); });
  signal_thread.detach();
  fuse_loop(session);
  fuse_unmount(session);
  return 0;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) { return culprit::Main(argc, argv); }
