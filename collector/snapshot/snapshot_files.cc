// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/snapshot_files.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/ids.h"

namespace culprit {
namespace {

namespace json = google::protobuf::util;
constexpr std::size_t kMaxRecord = std::size_t{4} << 20;
constexpr std::string_view kRecord = ".json";

}  // namespace

Result<SnapshotFiles> SnapshotFiles::Open(std::string directory) {
  TRY_VOID(MakeDirectories(directory, 0700));
  return SnapshotFiles(std::move(directory));
}

Result<std::vector<v1::Snapshot>> SnapshotFiles::Load() const {
  TRY(const std::vector<std::string> names, ListDirectory(directory_));
  std::vector<v1::Snapshot> snapshots;
  for (const std::string& name : names) {
    if (!name.ends_with(kRecord)) continue;
    const std::string id = name.substr(0, name.size() - kRecord.size());
    const auto text = ReadWholeFile(directory_ + "/" + name, kMaxRecord);
    v1::Snapshot snapshot;
    json::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const bool good = text && json::JsonStringToMessage(*text, &snapshot, options).ok() &&
                      snapshot.id() == id && Uuid::Parse(id) && Uuid::Parse(snapshot.agent_id());
    if (good) {
      snapshots.push_back(std::move(snapshot));
    } else {
      spdlog::warn("record of a snapshot cannot be read file={}/{}: its bundle is left as it is",
                   directory_, name);
    }
  }
  return snapshots;
}

Status SnapshotFiles::Save(const v1::Snapshot& snapshot) const {
  std::string text;
  json::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  if (!json::MessageToJsonString(snapshot, &text, options).ok())
    return Internal("the record of a snapshot cannot be written");
  return WriteFileAtomically(directory_ + "/" + snapshot.id() + std::string(kRecord), text, 0600);
}

Result<UniqueFd> SnapshotFiles::OpenPart(const std::string& id) const {
  const std::string path = PartOf(id);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError(path);
  return fd;
}

Result<UniqueFd> SnapshotFiles::OpenStored(const v1::Snapshot& snapshot) const {
  return OpenReadOnly(snapshot.sha256().empty() ? PartOf(snapshot.id())
                                                : BundleOf(snapshot.sha256()));
}

Status SnapshotFiles::Keep(const std::string& id, const std::string& sha256) const {
  // Renamed already, if the record could not be written after it.
  const bool here = access(PartOf(id).c_str(), F_OK) == 0;
  if (here || access(BundleOf(sha256).c_str(), F_OK) != 0)
    TRY_VOID(RenameFile(PartOf(id), BundleOf(sha256)));
  return SyncDirectory(directory_);
}

Status SnapshotFiles::RemoveBytes(const v1::Snapshot& snapshot) const {
  TRY_VOID(RemoveFile(PartOf(snapshot.id())));
  if (!snapshot.sha256().empty()) TRY_VOID(RemoveFile(BundleOf(snapshot.sha256())));
  return SyncDirectory(directory_);
}

Result<std::uint64_t> SnapshotFiles::UsedBytes() const {
  TRY(const std::vector<std::string> names, ListDirectory(directory_));
  std::uint64_t used = 0;
  for (const std::string& name : names) {
    struct stat st {};
    const bool bundle = name.ends_with(".part") || name.ends_with(".tar.zst");
    if (bundle && stat((directory_ + "/" + name).c_str(), &st) == 0)
      used += static_cast<std::uint64_t>(st.st_size);
  }
  return used;
}

Result<std::uint64_t> SnapshotFiles::FreeBytes() const { return FreeDiskBytes(directory_); }

}  // namespace culprit
