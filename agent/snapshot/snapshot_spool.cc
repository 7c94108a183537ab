// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/snapshot_spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/file.h"
#include "common/hex.h"

namespace culprit {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxText = std::size_t{16} << 10;
constexpr std::string_view kOrder = ".order", kBundle = ".bundle", kStep = ".step", kEnd = ".end";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// None of ours has more than one level.
Result<Json> ParseFlat(std::string_view text) {
  if (text.size() > kMaxText || std::count(text.begin(), text.end(), '{') > 1 ||
      text.find('[') != std::string_view::npos) {
    return DataLoss("not a file of the snapshot spool");
  }
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return DataLoss("not a file of the snapshot spool");
  return json;
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::uint64_t Number(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

// A lock that somebody else holds: whoever writes is alive.
bool IsLocked(int fd) {
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

}  // namespace

std::string FormatSpoolOrder(const SpoolOrder& order) {
  return Dump({{"id", order.id.ToString()},
               {"instance", order.instance_id},
               {"hostname", order.hostname},
               {"trigger", order.trigger},
               {"operator", order.operator_name},
               {"case", order.case_id},
               {"last_tier", order.last_tier},
               {"max_bytes", order.max_bytes},
               {"own", order.own},
               {"begun_ns", static_cast<std::uint64_t>(order.begun_ns)}});
}

Result<SpoolOrder> ParseSpoolOrder(std::string_view text) {
  TRY(const Json json, ParseFlat(text));
  SpoolOrder order;
  TRY(order.id, Uuid::Parse(Text(json, "id")));
  order.instance_id = Text(json, "instance");
  order.hostname = Text(json, "hostname");
  order.trigger = Text(json, "trigger");
  order.operator_name = Text(json, "operator");
  order.case_id = Text(json, "case");
  order.last_tier = static_cast<unsigned>(std::min<std::uint64_t>(Number(json, "last_tier"), 2));
  order.max_bytes = Number(json, "max_bytes");
  order.own = json.value("own", Json(false)) == Json(true);
  order.begun_ns = static_cast<std::int64_t>(Number(json, "begun_ns"));
  return order;
}

std::string FormatSpoolEnd(const SnapshotTotals& end) {
  const std::string_view hash(reinterpret_cast<const char*>(end.sha256.data()), end.sha256.size());
  return Dump({{"bytes", end.bundle_bytes},
               {"sha256", HexEncode(hash)},
               {"members", end.members},
               {"member_bytes", end.member_bytes},
               {"skipped", end.skipped},
               {"broken", end.broken},
               {"peak_rss_bytes", end.peak_rss_bytes},
               {"cpu_us", end.cpu_us}});
}

Result<SnapshotTotals> ParseSpoolEnd(std::string_view text) {
  TRY(const Json json, ParseFlat(text));
  SnapshotTotals end;
  TRY(const std::string hash, HexDecode(Text(json, "sha256")));
  if (hash.size() != end.sha256.size()) return DataLoss("a hash is not 32 bytes");
  std::copy(hash.begin(), hash.end(), end.sha256.begin());
  end.bundle_bytes = Number(json, "bytes");
  end.members = Number(json, "members");
  end.member_bytes = Number(json, "member_bytes");
  end.skipped = Number(json, "skipped");
  end.broken = Text(json, "broken");
  end.peak_rss_bytes = Number(json, "peak_rss_bytes");
  end.cpu_us = Number(json, "cpu_us");
  return end;
}

Result<SnapshotSpool> SnapshotSpool::Open(std::string directory) {
  TRY_VOID(MakeDirectories(directory, 0700));
  return SnapshotSpool(std::move(directory));
}

std::string SnapshotSpool::PathOf(const Uuid& id, std::string_view what) const {
  return directory_ + "/" + id.ToString() + std::string(what);
}

Result<UniqueFd> SnapshotSpool::Begin(const SpoolOrder& order) const {
  TRY_VOID(WriteFileAtomically(PathOf(order.id, kOrder), FormatSpoolOrder(order), 0600));
  const std::string path = PathOf(order.id, kBundle);
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return ErrnoError(path);
  return fd;
}

Result<std::vector<Uuid>> SnapshotSpool::Ids() const {
  TRY(const std::vector<std::string> names, ListDirectory(directory_));
  std::vector<std::pair<std::int64_t, Uuid>> found;
  for (const std::string& name : names) {
    if (!name.ends_with(kBundle)) continue;
    const auto id = Uuid::Parse(name.substr(0, name.size() - kBundle.size()));
    struct stat st {};
    if (!id || stat(PathOf(*id, kOrder).c_str(), &st) != 0) continue;
    found.emplace_back(st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec, *id);
  }
  std::sort(found.begin(), found.end());
  std::vector<Uuid> ids;
  ids.reserve(found.size());
  for (const auto& [time, id] : found) ids.push_back(id);
  return ids;
}

Result<SpooledBundle> SnapshotSpool::Look(const Uuid& id) const {
  SpooledBundle bundle;
  TRY(bundle.fd, OpenReadOnly(PathOf(id, kBundle)));
  // In this order: what has an end when nobody writes any more has all its bytes, too.
  bundle.being_written = IsLocked(bundle.fd.get());
  if (const auto text = ReadWholeFile(PathOf(id, kStep), kMaxText)) {
    if (const auto json = ParseFlat(*text)) {
      bundle.step.name = Text(*json, "name").substr(0, kMaxStepText);
      bundle.step.tier = static_cast<unsigned>(std::min<std::uint64_t>(Number(*json, "tier"), 2));
    }
  }
  if (!bundle.being_written) {
    if (const auto text = ReadWholeFile(PathOf(id, kEnd), kMaxText)) {
      if (auto end = ParseSpoolEnd(*text)) bundle.end = std::move(*end);
    }
  }
  TRY(bundle.size, FileSize(bundle.fd.get()));
  bundle.step.collected_bytes = bundle.size;
  return bundle;
}

Result<SpoolOrder> SnapshotSpool::Order(const Uuid& id) const {
  TRY(const std::string text, ReadWholeFile(PathOf(id, kOrder), kMaxText));
  return ParseSpoolOrder(text);
}

void SnapshotSpool::Remove(const Uuid& id) const {
  // The bundle last: as long as it is there, the rest is found again.
  for (const std::string_view what : {kStep, kEnd, kBundle, kOrder})
    static_cast<void>(RemoveFile(PathOf(id, what)));
}

// Not synced: it is for whoever watches, and must not cost time.
Status SnapshotSpool::Step(const Uuid& id, const SnapshotStep& step) const {
  const std::string path = PathOf(id, kStep), fresh = path + ".tmp";
  const UniqueFd fd(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError(fresh);
  TRY_VOID(WriteAll(fd.get(), Dump({{"name", step.name}, {"tier", step.tier}})));
  return RenameFile(fresh, path);
}

Status SnapshotSpool::End(const Uuid& id, const SnapshotTotals& end) const {
  return WriteFileAtomically(PathOf(id, kEnd), FormatSpoolEnd(end), 0600);
}

}  // namespace culprit
