// SPDX-License-Identifier: Apache-2.0
#include "agent/source/capture_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "agent/source/capture_readers.h"
#include "common/file.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr std::size_t kSniffBytes = 512;

// For a person who gave the wrong file.
std::string_view LooksLike(std::string_view ahead) {
  using std::string_view_literals::operator""sv;
  struct Known {
    std::string_view magic, name;
  };
  constexpr std::array<Known, 11> kKnown = {{
      {"\x7f"
       "ELF"sv,
       "a program"},
      {"#separator"sv, "a Zeek log"},
      {"CULPREC1"sv, "a recording (`culprit-agent replay` reads it)"},
      {"snoop\0\0\0"sv, "a snoop capture (`editcap -F pcap` converts it)"},
      {"XCP\0"sv, "a NetXRay capture (`editcap -F pcap` converts it)"},
      {"GMBU"sv, "a Network Monitor capture (`editcap -F pcap` converts it)"},
      {"RTSS"sv, "a Network Monitor capture (`editcap -F pcap` converts it)"},
      {"ElfFile\0"sv, "a Windows event log"},
      {"SQLite format 3\0"sv, "an SQLite database"},
      {"{"sv, "JSON"},
      {"<"sv, "HTML or XML"},
  }};
  if (ahead.empty()) return "an empty file";
  for (const Known& known : kKnown) {
    if (ahead.starts_with(known.magic)) return known.name;
  }
  const bool text = std::all_of(ahead.begin(), ahead.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
  return text ? "text" : "data of an unknown format";
}

struct Listed {
  std::int64_t first_ns = 0;
  std::string path;
  friend bool operator<(const Listed& a, const Listed& b) {
    return std::tie(a.first_ns, a.path) < std::tie(b.first_ns, b.path);
  }
};

Result<Listed> Look(const std::string& path) {
  TRY(const auto reader, CaptureReader::Open(path));
  CapturedPacket packet;
  TRY(const bool any, reader->Next(packet));
  return Listed{any ? packet.wall_ns : std::numeric_limits<std::int64_t>::max(), path};
}

}  // namespace

CaptureReader::CaptureReader(ByteWindow window) : window_(std::move(window)) {
  stats_.packing = window_.packing();
}

Result<std::unique_ptr<CaptureReader>> CaptureReader::Open(const std::string& path) {
  TRY(auto stream, OpenFileStream(path));
  auto reader = FromStream(std::move(stream));
  if (!reader) return std::move(reader).error().Context(path);
  return reader;
}

Result<std::unique_ptr<CaptureReader>> CaptureReader::FromStream(
    std::unique_ptr<ByteStream> stream) {
  TRY(ByteWindow window, ByteWindow::Open(std::move(stream)));
  const std::string_view ahead = window.Ahead(kSniffBytes).substr(0, kSniffBytes);
  if (PcapReader::Recognizes(ahead)) return {std::make_unique<PcapReader>(std::move(window))};
  if (PcapngReader::Recognizes(ahead)) return {std::make_unique<PcapngReader>(std::move(window))};
  if (window.failed()) return Error(*window.failed());
  std::string what = "not a capture: it looks like ";
  if (window.packing() != Packing::kNone) {
    what += std::string(PackingName(window.packing())) + " data with ";
  }
  return InvalidArgument(what + std::string(LooksLike(ahead)));
}

void CaptureReader::NoteDamage(std::uint64_t offset, std::uint64_t bytes, std::string reason) {
  if (UnpackingFailed() && window_.Ahead(1).empty() && !std::exchange(end_noted_, true)) {
    reason += ": " + window_.failed()->message;
  }
  ++stats_.damaged;
  stats_.damaged_bytes += bytes;
  if (stats_.damage.size() < kMaxDamageKept) {
    stats_.damage.push_back({offset, bytes, std::move(reason)});
  }
}

void CaptureReader::Deliver(CapturedPacket& out) {
  if (out.bytes.size() > kMaxCaptureBytes) {
    out.bytes = out.bytes.substr(0, kMaxCaptureBytes);
    ++stats_.oversized;
  }
  // Some writers say less than they captured.
  out.wire_bytes = std::max(out.wire_bytes, static_cast<std::uint32_t>(out.bytes.size()));
  CaptureInterface& interface = stats_.interfaces[out.interface];
  out.link_type = interface.link_type;
  ++interface.packets;
  ++stats_.packets;
  stats_.bytes += out.bytes.size();
  stats_.wire_bytes += out.wire_bytes;
}

bool CaptureReader::UnpackingFailed() const {
  return window_.failed() && window_.failed()->code == Code::kDataLoss;
}

Result<bool> CaptureReader::AtEnd() {
  if (UnpackingFailed()) {
    if (!std::exchange(end_noted_, true)) {
      NoteDamage(window_.offset(), 0, window_.failed()->message);
    }
  } else if (window_.failed()) {
    return Error(*window_.failed());
  }
  return false;
}

Result<std::vector<std::string>> ListCaptures(const std::string& path) {
  struct stat about {};
  if (path == "-") return {{path}};
  if (stat(path.c_str(), &about) != 0) return ErrnoError("cannot open " + path);
  if (!S_ISDIR(about.st_mode)) return {{path}};
  TRY(const std::vector<std::string> names, ListDirectory(path));
  std::vector<Listed> found;
  for (const std::string& name : names) {
    std::string file = path;
    file.append("/").append(name);
    // Opening a pipe or a device could wait for ever.
    if (stat(file.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) {
      spdlog::info("left out {}: not a regular file", file);
      continue;
    }
    if (auto looked = Look(file)) {
      found.push_back(*std::move(looked));
    } else {
      spdlog::info("left out {}", looked.error().message);
    }
  }
  if (found.empty()) return NotFound("no capture in " + path);
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  paths.reserve(found.size());
  for (Listed& listed : found) paths.push_back(std::move(listed.path));
  return paths;
}

}  // namespace culprit
