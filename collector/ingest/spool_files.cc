// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/spool_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <tuple>

namespace culprit {
namespace {

namespace fs = std::filesystem;

std::optional<Uuid> AgentOf(const fs::path& path, const Uuid& stream) {
  std::error_code error;
  for (fs::path at = fs::absolute(path, error).parent_path(); at.has_relative_path();
       at = at.parent_path()) {
    const auto id = Uuid::Parse(at.filename().string());
    if (id && *id != stream) return *id;
  }
  return std::nullopt;
}

// What the first whole frame says: a damaged header of the file does not matter.
Result<SpoolFile> LookInto(const std::string& path) {
  TRY(SegmentReader reader, SegmentReader::Open(path, [](const ReadDamage&) {}));
  if (!reader.header_damaged() && reader.header().kind != LogKind::kSpool)
    return InvalidArgument("a segment of a journal, not of a spool");
  TRY(const std::optional<Frame> frame, reader.Next());
  if (!frame) return DataLoss("no whole frame in it");
  SpoolFile file;
  file.path = path;
  file.stream_id = frame->header.stream_id;
  file.lane = frame->header.lane;
  file.first_seq = frame->header.seq;
  file.agent_id = AgentOf(path, file.stream_id);
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return ErrnoError(path);
  file.changed = WallTime(std::chrono::seconds(facts.st_mtim.tv_sec) +
                          std::chrono::nanoseconds(facts.st_mtim.tv_nsec));
  return file;
}

Status Look(const std::string& path, SpoolFiles* found) {
  if (found->files.size() + found->unreadable.size() >= SpoolFiles::kMaxFiles)
    return MakeError(Code::kResourceExhausted, "too many files: import a part of them");
  auto file = LookInto(path);
  if (file) {
    found->files.push_back(std::move(*file));
  } else {
    found->unreadable.push_back({path, 0, 0, file.error().message});
  }
  return Ok();
}

Status LookBelow(const std::string& directory, SpoolFiles* found) {
  std::error_code error;
  fs::recursive_directory_iterator at(directory, error), end;
  if (error) return ErrnoError(directory, error.value());
  while (at != end) {
    const bool regular = fs::is_regular_file(at->symlink_status(error));
    if (regular && at->path().extension() == ".clog") TRY_VOID(Look(at->path().string(), found));
    at.increment(error);
    if (error) return ErrnoError(directory, error.value());
  }
  return Ok();
}

}  // namespace

Result<SpoolFiles> FindSpoolFiles(const std::vector<std::string>& paths) {
  SpoolFiles found;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return NotFound(path + ": there is no such file or directory");
    TRY_VOID(fs::is_directory(status) ? LookBelow(path, &found) : Look(path, &found));
  }
  std::ranges::sort(found.files, [](const SpoolFile& a, const SpoolFile& b) {
    return std::tie(a.stream_id, a.lane, a.first_seq, a.path) <
           std::tie(b.stream_id, b.lane, b.first_seq, b.path);
  });
  return found;
}

bool SpoolLane::Advance() {
  for (;;) {
    if (!reader_ && !OpenNext()) return false;
    auto next = reader_->Next();
    if (!next) on_trouble_({file().path, reader_->offset(), 0, next.error().message});
    if (next && *next && (*next)->header.stream_id == first().stream_id &&
        (*next)->header.lane == first().lane) {
      frame_ = std::move(*next);
      return true;
    }
    if (next && *next) {
      on_trouble_({file().path, reader_->offset(), 0, "a frame of another stream or lane"});
      continue;
    }
    if (next) reader_->Finish();
    reader_.reset();
  }
}

bool SpoolLane::OpenNext() {
  while (opened_ < files_.size()) {
    index_ = opened_++;
    auto reader = SegmentReader::Open(file().path, [this](const ReadDamage& damage) {
      on_trouble_({file().path, damage.offset, damage.bytes,
                   damage.torn_tail ? "cut short" : "does not check out"});
    });
    if (reader) {
      reader_.emplace(std::move(*reader));
      return true;
    }
    on_trouble_({file().path, 0, 0, reader.error().message});
  }
  return false;
}

}  // namespace culprit
