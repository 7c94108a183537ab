// SPDX-License-Identifier: Apache-2.0
#include "agent/source/init_process.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <string_view>

#include "common/ascii.h"

namespace culprit {
namespace {

std::uint32_t ReadNumber(const std::string& path, std::uint32_t otherwise) {
  std::ifstream file(path);
  std::uint32_t value = otherwise;
  return file >> value ? value : otherwise;
}

void ReadUsers(const std::string& directory, culprit_exec* exec) {
  std::ifstream status(directory + "/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "Uid:") words >> exec->uid >> exec->euid;
    if (name == "Gid:") words >> exec->gid;
  }
  exec->loginuid = ReadNumber(directory + "/loginuid", 0xffffffffU);
  exec->session_id = ReadNumber(directory + "/sessionid", 0xffffffffU);
}

void ReadExe(const std::string& directory, culprit_exec* exec) {
  const std::string link = directory + "/exe";
  std::array<char, CULPRIT_PATH_LEN> path{};
  const ssize_t length = readlink(link.c_str(), path.data(), path.size() - 1);
  if (length <= 0) return;
  const std::string_view text = WithoutDeleted({path.data(), static_cast<std::size_t>(length)});
  std::copy(text.begin(), text.end(), exec->path);
  exec->path_len = static_cast<culprit_u32>(text.size());
  struct stat file {};
  if (stat(link.c_str(), &file) != 0) return;
  exec->exe.inode = file.st_ino;
  exec->exe.size = static_cast<culprit_u64>(file.st_size);
  exec->exe.ctime_sec = static_cast<culprit_u64>(file.st_ctim.tv_sec);
  exec->exe.ctime_nsec = static_cast<culprit_u32>(file.st_ctim.tv_nsec);
  exec->exe.dev_major = major(file.st_dev);
  exec->exe.dev_minor = minor(file.st_dev);
  exec->exe.nlink = static_cast<culprit_u32>(file.st_nlink);
}

}  // namespace

culprit_exec ReadInitProcess(const culprit_process_key& key, std::uint64_t boot_ns,
                             const std::string& proc) {
  const std::string directory = proc + "/" + std::to_string(key.tgid);
  culprit_exec exec{};
  exec.header.kind = CULPRIT_RECORD_EXEC;
  exec.header.size = offsetof(culprit_exec, args);
  exec.header.boot_ns = boot_ns;
  exec.key = key;
  exec.flags = CULPRIT_EXEC_FROM_ITERATOR;
  exec.pid_in_ns = key.tgid;
  ReadUsers(directory, &exec);
  ReadExe(directory, &exec);
  struct stat netns {};
  if (stat((directory + "/ns/net").c_str(), &netns) == 0) {
    exec.netns = static_cast<culprit_u32>(netns.st_ino);
  }
  std::ifstream comm(directory + "/comm");
  std::string name;
  std::getline(comm, name);
  name.resize(std::min<std::size_t>(name.size(), CULPRIT_COMM_LEN - 1));
  std::copy(name.begin(), name.end(), exec.comm);
  return exec;
}

}  // namespace culprit
