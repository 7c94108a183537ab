// SPDX-License-Identifier: Apache-2.0
// What the detectors say of a spool: detect_spool DIRECTORY [--updates]. The frames of both lanes
// in the order in which they were made, through the collector's decoder and detectors, without a
// collector. Prints a line of JSON for each finding as it was at the end (with --updates: each time
// that it moved on), and on stderr how many records a second that was.
#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <vector>

#include "collector/detect/engine.h"
#include "collector/model/batch_decoder.h"
#include "common/framed_log.h"

namespace culprit {
namespace {

std::vector<Frame> ReadSpool(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".clog") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Frame> frames;
  for (const std::string& path : paths) {
    auto reader = SegmentReader::Open(path, [](const ReadDamage&) {});
    if (!reader) continue;
    for (;;) {
      auto next = reader->Next();
      if (!next || !*next) break;
      frames.push_back(std::move(**next));
    }
  }
  std::stable_sort(frames.begin(), frames.end(), [](const Frame& a, const Frame& b) {
    return a.header.clock.boot < b.header.clock.boot;
  });
  return frames;
}

void Print(const v1::Finding& finding) {
  std::string text;
  if (google::protobuf::util::MessageToJsonString(finding, &text).ok()) fmt::print("{}\n", text);
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: detect_spool DIRECTORY [--updates]\n");
    return 2;
  }
  const bool updates = argc > 2 && std::string_view(argv[2]) == "--updates";
  std::vector<DecodedFrame> decoded;
  std::uint64_t records = 0;
  Lsn lsn = 0;
  for (Frame& frame : ReadSpool(argv[1])) {
    StoredFrame stored;
    stored.lsn = ++lsn;
    stored.stamp.received = frame.header.clock.wall;
    stored.stamp.agent_id = frame.header.stream_id;
    stored.frame = std::move(frame);
    decoded.push_back(DecodeStoredFrame(stored));
    records += decoded.back().records();
  }
  std::map<std::string, v1::Finding> newest;
  const auto began = std::chrono::steady_clock::now();
  DetectEngine engine({}, [&](const v1::Finding& finding) {
    if (updates) Print(finding);
    newest[finding.id()] = finding;
  });
  for (const DecodedFrame& frame : decoded) engine.Take(frame);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  for (const auto& [id, finding] : newest) {
    if (!updates) Print(finding);
  }
  fmt::print(stderr, "{} frames, {} records, {:.0f} records/s\n", lsn, records,
             static_cast<double>(records) / took.count());
  return 0;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) { return culprit::Main(argc, argv); }
