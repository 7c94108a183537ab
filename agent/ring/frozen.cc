// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/frozen.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "agent/ring/segment_file.h"
#include "common/file.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kDirectoryMode = 0700;

bool ValidName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFrozenName && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

Error BadName(std::string_view name) {
  return InvalidArgument("'" + std::string(name.substr(0, kMaxFrozenName)) +
                         "' is no name to freeze under: letters, digits, '.', '_' and '-'");
}

// 0: not there.
std::uint64_t SizeOf(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

Status SyncFile(const std::string& path) {
  TRY(const UniqueFd fd, OpenReadOnly(path));
  if (fsync(fd.get()) != 0) return ErrnoError("sync " + path);
  return Ok();
}

// Calls `visit` for every file below.
template <class Visit>
void ForEachFile(const std::string& directory, const Visit& visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) visit(at->path());
  }
}

}  // namespace

FrozenSegments::FrozenSegments(std::string directory, std::uint64_t max_bytes)
    : directory_(std::move(directory)), max_bytes_(max_bytes) {}

Result<FrozenResult> FrozenSegments::Freeze(std::string_view name,
                                            const std::vector<FrozenSegment>& segments) {
  if (!ValidName(name)) return BadName(name);
  FrozenResult result;
  std::uint64_t used = bytes();
  for (const FrozenSegment& segment : segments) {
    const std::string lane = directory_ + "/" + std::string(name) + "/" + segment.lane;
    const std::string to = lane + "/" + segment.name;
    if (SizeOf(to) > 0) continue;
    const std::uint64_t size = SizeOf(segment.path);
    const std::uint64_t both = size + SizeOf(segment.index_path);
    if (size == 0 || used + both > max_bytes_) {
      ++result.left_out;
      continue;
    }
    TRY_VOID(MakeDirectories(lane, kDirectoryMode));
    if (link(segment.path.c_str(), to.c_str()) != 0) {
      if (errno != ENOENT) return ErrnoError("freeze " + segment.path);
      ++result.left_out;
      continue;
    }
    const std::string index_to = fs::path(to).replace_extension(".idx").string();
    // Queries do without an index.
    if (link(segment.index_path.c_str(), index_to.c_str()) != 0 && errno != ENOENT) {
      return ErrnoError("freeze " + segment.index_path);
    }
    used += both;
    result.bytes += both;
    ++result.segments;
  }
  return result;
}

Status FrozenSegments::Sync(std::string_view name) const {
  TRY(const std::vector<std::string> lanes, Directories(name));
  for (const std::string& lane : lanes) {
    TRY(const std::vector<std::string> files, ListDirectory(lane));
    for (const std::string& file : files) TRY_VOID(SyncFile((fs::path(lane) / file).string()));
    TRY_VOID(SyncDirectory(lane));
  }
  return Ok();
}

Status FrozenSegments::Unfreeze(std::string_view name) {
  if (!ValidName(name)) return BadName(name);
  std::error_code error;
  const std::string path = directory_ + "/" + std::string(name);
  fs::remove_all(path, error);
  if (error) return ErrnoError("remove " + path, error.value());
  return Ok();
}

Result<std::vector<std::string>> FrozenSegments::Names() const {
  std::error_code ignored;
  if (!fs::exists(directory_, ignored)) return std::vector<std::string>{};
  return ListDirectory(directory_);
}

Status FrozenSegments::Keep(std::string_view name) const {
  if (!ValidName(name)) return BadName(name);
  return MakeDirectories(directory_ + "/" + std::string(name), kDirectoryMode);
}

Result<std::vector<std::string>> FrozenSegments::Directories(std::string_view name) const {
  if (!ValidName(name)) return BadName(name);
  const std::string directory = directory_ + "/" + std::string(name);
  std::error_code ignored;
  if (!fs::exists(directory, ignored)) return std::vector<std::string>{};
  TRY(std::vector<std::string> lanes, ListDirectory(directory));
  for (std::string& lane : lanes) lane.insert(0, directory + "/");
  return lanes;
}

std::uint64_t FrozenSegments::bytes() const {
  std::uint64_t sum = 0;
  ForEachFile(directory_, [&](const fs::path& path) { sum += SizeOf(path.string()); });
  return sum;
}

std::uint64_t FrozenSegments::HighestNumber() const {
  std::uint64_t highest = 0;
  ForEachFile(directory_, [&](const fs::path& path) {
    if (const auto name = ParseSegmentName(path.filename().string())) {
      highest = std::max(highest, name->number);
    }
  });
  return highest;
}

}  // namespace culprit
