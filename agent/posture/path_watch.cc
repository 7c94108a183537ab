// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/path_watch.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "agent/posture/file_tree.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxMarks = 16'384;
constexpr std::uint64_t kWrites = FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_CREATE |
                                  FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
constexpr std::uint64_t kFolder = FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_CREATE | FAN_DELETE |
                                  FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ONDIR | FAN_EVENT_ON_CHILD;
constexpr std::uint64_t kFile = FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB;
constexpr std::uint64_t kOpens = FAN_OPEN | FAN_CLOSE_NOWRITE;

std::string KeyOf(const void* fsid, const file_handle& handle) {
  std::string key(static_cast<const char*>(fsid), sizeof(__kernel_fsid_t));
  key.append(reinterpret_cast<const char*>(&handle.handle_type), sizeof handle.handle_type);
  key.append(reinterpret_cast<const char*>(handle.f_handle), handle.handle_bytes);
  return key;
}

std::optional<std::string> KeyOfPath(const std::string& path) {
  struct statfs fs {};
  if (statfs(path.c_str(), &fs) != 0) return std::nullopt;
  alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> buffer{};
  auto* handle = reinterpret_cast<file_handle*>(buffer.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, path.c_str(), handle, &mount, AT_SYMLINK_FOLLOW) != 0)
    return std::nullopt;
  return KeyOf(&fs.f_fsid, *handle);
}

// The records behind an event: a folder with a name, and the object itself.
struct Where {
  std::string folder_key, name, object_key;
};

Where WhereOf(const fanotify_event_metadata& event) {
  Where where;
  const auto* bytes = reinterpret_cast<const char*>(&event);
  std::size_t at = event.metadata_len;
  while (at + sizeof(fanotify_event_info_fid) + sizeof(file_handle) <= event.event_len) {
    const auto* info = reinterpret_cast<const fanotify_event_info_fid*>(bytes + at);
    const auto* handle = reinterpret_cast<const file_handle*>(info->handle);
    if (info->hdr.len == 0 || at + info->hdr.len > event.event_len) break;
    const std::string key = KeyOf(&info->fsid, *handle);
    if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
      where.folder_key = key;
      const char* name = reinterpret_cast<const char*>(handle->f_handle) + handle->handle_bytes;
      where.name.assign(name,
                        strnlen(name, static_cast<std::size_t>(bytes + at + info->hdr.len - name)));
    } else {
      where.object_key = key;
    }
    at += info->hdr.len;
  }
  return where;
}

}  // namespace

Result<PathWatch> PathWatch::Open() {
  UniqueFd fd(fanotify_init(
      FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID | FAN_REPORT_DFID_NAME,
      O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("fanotify with names of files (needs root and Linux 5.9)");
  return PathWatch(std::move(fd));
}

bool PathWatch::Mark(const std::string& path, std::uint64_t mask) {
  const auto key = KeyOfPath(path);
  if (!key) return false;
  if (paths_.size() >= kMaxMarks && !paths_.contains(*key)) return false;
  if (fanotify_mark(fd_.get(), FAN_MARK_ADD, mask, AT_FDCWD, path.c_str()) != 0) return false;
  paths_[*key] = path;
  return true;
}

bool PathWatch::Watch(const std::string& path, bool opens) {
  struct stat st {};
  const bool there = stat(path.c_str(), &st) == 0;
  bool marked = true;
  if (there && S_ISREG(st.st_mode)) marked = Mark(path, kFile | (opens ? kOpens : 0));
  if (there && S_ISDIR(st.st_mode)) return Mark(path, kFolder);
  std::string folder = ParentOf(path);
  while (folder != "/" && (stat(folder.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)))
    folder = ParentOf(folder);
  return Mark(folder, kFolder) && marked;
}

bool PathWatch::Read(std::vector<PathTouch>* touches) {
  alignas(fanotify_event_metadata) std::array<char, 65'536> bytes{};
  const auto self = static_cast<std::int32_t>(getpid());
  bool lost = false;
  const auto path_of = [this](const std::string& key) {
    const auto found = paths_.find(key);
    return found == paths_.end() ? std::string() : found->second;
  };
  while (true) {
    ssize_t length = read(fd_.get(), bytes.data(), bytes.size());
    if (length <= 0) return lost;
    const auto* event = reinterpret_cast<const fanotify_event_metadata*>(bytes.data());
    for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
      lost |= (event->mask & FAN_Q_OVERFLOW) != 0;
      if (event->pid == self || (event->mask & FAN_Q_OVERFLOW) != 0) continue;
      const Where where = WhereOf(*event);
      std::string path = path_of(where.folder_key);
      if (!path.empty() && !where.name.empty() && where.name != ".")
        path += (path == "/" ? "" : "/") + where.name;
      if (path.empty()) path = path_of(where.object_key);
      if (path.empty()) continue;
      touches->push_back({path, static_cast<std::uint32_t>(std::max(event->pid, 0)),
                          (event->mask & kWrites) != 0});
    }
  }
}

}  // namespace culprit
