// SPDX-License-Identifier: Apache-2.0
// What processes run and hold open that is not, or not safely, on the disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "agent/snapshot/process_text.h"
#include "agent/snapshot/processes.h"
#include "common/ascii.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kMaps = std::size_t{4} << 20;
constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr std::size_t kPidsShown = 256;

// Where everybody can write, or nobody installs.
bool OddPlace(std::string_view path) {
  constexpr std::array<std::string_view, 8> kPlaces = {"/tmp/",  "/var/tmp/", "/dev/", "/run/",
                                                       "/home/", "/root/",    "/mnt/", "/proc/"};
  return std::any_of(kPlaces.begin(), kPlaces.end(),
                     [&](std::string_view p) { return path.starts_with(p); });
}

// Behind a link of procfs; only a regular file, and never one that could wait.
Result<UniqueFd> OpenBehind(int procfs, const std::string& link, FileFacts* facts) {
  struct stat st {};
  if (fstatat(procfs, link.c_str(), &st, 0) != 0) return ErrnoError(link);
  if (!S_ISREG(st.st_mode)) return MakeError(Code::kFailedPrecondition, "not a regular file");
  UniqueFd fd(
      openat(procfs, link.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME));
  if (!fd) return ErrnoError(link);
  mode_t mode = 0;
  TRY(*facts, FactsOf(fd.get(), &mode));
  return fd;
}

// Of at most `limit` bytes; empty if it cannot be read.
std::string HashOf(Evidence& evidence, int fd, const std::string& source, std::uint64_t limit) {
  Sha256 hash;
  std::string buffer(kChunk, '\0');
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < limit) {
    evidence.At(source);
    const ssize_t got = pread(fd, buffer.data(), buffer.size(), at);
    if (got < 0) return "";
    if (got == 0 || evidence.Over()) break;
    hash.Update({buffer.data(), static_cast<std::size_t>(got)});
    at += got;
  }
  return HexEncode(AsBytes(hash.Finish()));
}

void OneExecutable(Evidence& evidence, int procfs, const FoundProcesses::Executable& executable) {
  const std::string link = std::to_string(executable.pid) + "/exe";
  const std::string source = "/proc/" + link;
  evidence.At(source);
  Row row;
  row["path"] = RowText(executable.path);
  row["deleted"] = executable.deleted;
  row["in_memory"] = executable.memory;
  Row& pids = row["pids"] = Row::array();
  for (const std::uint32_t pid : executable.pids)
    if (pids.size() < kPidsShown) pids.push_back(pid);
  row["processes"] = executable.pids.size();
  FileFacts facts;
  const auto fd = OpenBehind(procfs, link, &facts);
  if (!fd) {
    evidence.Skip(source + " (" + executable.path + ")", fd.error().message);
    evidence.Add("executables", row);
    return;
  }
  row["size"] = facts.size;
  row["mode"] = facts.mode;
  row["uid"] = facts.uid;
  row["mtime_ns"] = facts.mtime_ns;
  constexpr std::uint64_t kHashLimit = 512ULL << 20;
  row["sha256"] = HashOf(evidence, fd->get(), source, kHashLimit);
  if (facts.size > kHashLimit) row["sha256_of_first_bytes"] = kHashLimit;
  if (executable.deleted || executable.memory || OddPlace(executable.path)) {
    OpenedFile file;
    file.fd = fd->get();
    file.name = "live/exe/" + std::to_string(executable.pid) + "-" + std::to_string(facts.inode);
    file.source = source + " -> " + executable.path;
    file.facts = facts;
    file.limit = evidence.limits().exe_bytes;
    row["copy"] = file.name;
    evidence.AddFile(std::move(file));
  }
  evidence.Add("executables", row);
}

struct Region {
  MapRange range;
  std::string line;
};

// All of one process in one member: each region begins at a page, and a table says where.
void MemoryOf(Evidence& evidence, int procfs, std::uint32_t pid) {
  const std::string base = std::to_string(pid);
  const std::string maps = ReadAt(procfs, base + "/maps", kMaps).value_or("");
  const UniqueFd memory(openat(procfs, (base + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory) {
    evidence.Skip("/proc/" + base + "/mem", std::strerror(errno));
    return;
  }
  std::string bytes;
  std::uint64_t left = evidence.limits().memory_bytes;
  std::string_view rest = maps;
  Row regions = Row::array();
  BundleMember member;
  while (!rest.empty()) {
    const std::string_view line = NextLine(&rest);
    const auto range = ParseMapLine(line);
    if (!range || !IsAnonymousCode(*range)) continue;
    evidence.At("/proc/" + base + "/mem");
    const std::uint64_t want = std::min(left, range->end - range->start);
    const std::size_t from = bytes.size();
    bytes.resize(from + want);
    const ssize_t got =
        pread(memory.get(), bytes.data() + from, want, static_cast<off_t>(range->start));
    bytes.resize(from + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    left -= bytes.size() - from;
    member.cut |= bytes.size() - from < range->end - range->start;
    Row region;
    region["map"] = RowText(line);
    region["offset"] = from;
    region["bytes"] = bytes.size() - from;
    regions.push_back(std::move(region));
  }
  if (bytes.empty()) return;
  member.name = "live/memory/" + base + ".bin";
  member.source = "/proc/" + base + "/mem: code that is in no file of the disk";
  Row row;
  row["pid"] = pid;
  row["copy"] = member.name;
  row["regions"] = std::move(regions);
  evidence.AddBytes(std::move(member), bytes);
  evidence.Add("memory", row);
}

}  // namespace

void CollectExecutables(Evidence& evidence, const SnapshotProcfs& procfs,
                        const FoundProcesses& facts) {
  // What is gone with its process first.
  for (const bool fleeting : {true, false}) {
    for (const auto& [identity, executable] : facts.executables) {
      if (evidence.Over()) break;
      if ((executable.deleted || executable.memory) == fleeting)
        OneExecutable(evidence, procfs.fd.get(), executable);
    }
  }
}

void CollectOpenDeleted(Evidence& evidence, const SnapshotProcfs& procfs,
                        const FoundProcesses& facts) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const FoundProcesses::OpenDeleted& open : facts.open_deleted) {
    if (evidence.Over()) break;
    const std::string link = std::to_string(open.pid) + "/fd/" + std::to_string(open.descriptor);
    evidence.At("/proc/" + link);
    Row row;
    row["pid"] = open.pid;
    row["descriptor"] = open.descriptor;
    row["path"] = RowText(open.path);
    row["in_memory"] = open.memory;
    FileFacts file_facts;
    const auto fd = OpenBehind(procfs.fd.get(), link, &file_facts);
    if (!fd) {
      evidence.Skip("/proc/" + link, fd.error().message);
      continue;
    }
    row["size"] = file_facts.size;
    row["inode"] = file_facts.inode;
    const bool executable = facts.executables.contains({file_facts.device, file_facts.inode});
    if (!executable && seen.emplace(file_facts.device, file_facts.inode).second) {
      OpenedFile file;
      file.fd = fd->get();
      file.name =
          "live/deleted/" + std::to_string(open.pid) + "-" + std::to_string(open.descriptor);
      file.source = "/proc/" + link + " -> " + open.path;
      file.facts = file_facts;
      file.limit = evidence.limits().open_file_bytes;
      row["copy"] = file.name;
      evidence.AddFile(std::move(file));
    }
    evidence.Add("deleted_files", row);
  }
}

void CollectMemory(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts) {
  for (const std::uint32_t pid : facts.anonymous_code) {
    if (evidence.Over()) break;
    MemoryOf(evidence, procfs.fd.get(), pid);
  }
}

}  // namespace culprit
