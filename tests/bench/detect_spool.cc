// SPDX-License-Identifier: Apache-2.0
// What the detectors say of a spool: detect_spool DIRECTORY [--updates] [--merged] [--flows FILE].
// The frames of both lanes in the order in which they were made, through the collector's decoder
// and detectors, without a collector. Prints a line of JSON for each finding as it was at the end
// (with --updates: each time that it moved on), and on stderr how many records a second that was.
// --merged: without processes, all flows of one. --flows: the last row of each flow as a line of
// tab-separated words, for detectors of another make (tests/bench/flow_baselines.py).
#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
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

struct Options {
  bool updates = false, merged = false;
  std::string flows;
};

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--updates") {
      options.updates = true;
    } else if (word == "--merged") {
      options.merged = true;
    } else if (word == "--flows" && i + 1 < argc) {
      options.flows = argv[++i];
    } else {
      return std::nullopt;
    }
  }
  return options;
}

// What is seen from outside: flows, and nobody that they are of. Names and questions to the DNS are
// on the wire.
void Merge(DecodedFrame* frame) {
  frame->processes.clear();
  frame->counters.clear();
  for (FlowObservation& flow : frame->flows) flow.facts.process = flow.facts.creator = ProcessId{1};
  for (v1::FlowName& name : frame->names) name.set_process_id(1);
  for (v1::DnsQuestion& question : frame->dns) question.set_process_id(1);
}

void WriteFlows(const std::vector<DecodedFrame>& frames, const std::string& path) {
  std::map<std::pair<std::uint64_t, std::uint64_t>, const FlowObservation*> last;
  for (const DecodedFrame& frame : frames) {
    for (const FlowObservation& flow : frame.flows) {
      const FlowObservation*& kept = last[{flow.facts.flow.value(), flow.facts.process.value()}];
      if (kept == nullptr || kept->emitted_boot_ns <= flow.emitted_boot_ns) kept = &flow;
    }
  }
  std::ofstream out(path);
  for (const auto& [key, flow] : last) {
    const FlowFacts& f = flow->facts;
    const FlowCounters& c = flow->cumulative;
    out << fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", ToNs(f.start),
                       ToNs(f.last), f.protocol, static_cast<int>(f.direction),
                       static_cast<int>(f.state), f.local.ToString(), f.local_port,
                       f.remote.ToString(), f.remote_port, c.tx_wire_bytes, c.rx_wire_bytes,
                       c.tx_packets, c.rx_packets);
  }
}

void Print(const v1::Finding& finding) {
  std::string text;
  if (google::protobuf::util::MessageToJsonString(finding, &text).ok()) fmt::print("{}\n", text);
}

int Main(int argc, char** argv) {
  const auto options = Parse(argc, argv);
  if (argc < 2 || !options) {
    fmt::print(stderr, "usage: detect_spool DIRECTORY [--updates] [--merged] [--flows FILE]\n");
    return 2;
  }
  const bool updates = options->updates;
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
  if (!options->flows.empty()) WriteFlows(decoded, options->flows);
  if (options->merged) std::for_each(decoded.begin(), decoded.end(), [](auto& f) { Merge(&f); });
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
