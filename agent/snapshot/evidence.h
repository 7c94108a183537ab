// SPDX-License-Identifier: Apache-2.0
// Evidence: where the collectors of a snapshot put what they find; it holds every bound, and
// records what was left out.
//
// Stage: snapshot. Thread: a collector runs on a thread of its own, which may get stuck in the
// kernel (a dead file server, a process whose memory is locked). Run() then gives it up, says where
// it was stuck, and goes on; what a collector that was given up still wants to add is dropped.
// Failure: only of the bundle's sink, from Finish(); everything else is an entry.
#ifndef CULPRIT_AGENT_SNAPSHOT_EVIDENCE_H_
#define CULPRIT_AGENT_SNAPSHOT_EVIDENCE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/bundle_writer.h"
#include "common/result.h"

namespace culprit {

using Row = nlohmann::ordered_json;

inline constexpr unsigned kTiers = 3;

struct SnapshotLimits {
  std::array<std::uint64_t, kTiers> tier_bytes = {64ULL << 20, 512ULL << 20, 128ULL << 20};
  std::array<std::chrono::milliseconds, kTiers> tier_time = {
      std::chrono::seconds(20), std::chrono::seconds(60), std::chrono::seconds(90)};
  std::chrono::milliseconds stuck = std::chrono::seconds(5);  // without progress
  std::uint64_t exe_bytes = 64ULL << 20;                      // of one executable
  std::uint64_t open_file_bytes = 20ULL << 20;  // of one file that is deleted and open
  std::uint64_t memory_bytes = 32ULL << 20;     // of one process
  std::uint64_t log_bytes = 64ULL << 20;        // of one log
  std::uint64_t file_bytes = 10ULL << 20;       // of one other file
  std::size_t processes = 65'536, descriptors = 4'096, sockets = 50'000;
  std::size_t entries = 100'000;          // of all directories of a tier
  std::size_t directory_entries = 5'000;  // of one
};
TextFields DescribeLimits(const SnapshotLimits& limits);

// A file that a collector has open, and what is known of it.
struct OpenedFile {
  int fd = -1;
  std::string name, source;  // in the archive; escaped by Evidence
  FileFacts facts;
  std::uint64_t limit = 0;
  std::vector<std::string> notes;
};

class Evidence {
 public:
  struct Shared;
  explicit Evidence(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  // A line of the table live/NAME.jsonl, which is written in parts as it grows.
  void Add(const std::string& table, const Row& row);
  void AddBytes(BundleMember member, std::string_view bytes);
  // From the descriptor's position, at most `limit` and what is left of the tier.
  void AddFile(OpenedFile file);
  void Skip(std::string_view source, std::string_view reason);
  // The collector is about to touch this; named if it gets stuck.
  void At(std::string_view source);
  // Time or bytes of the tier are used up, or the collector was given up: it should return.
  bool Over() const;
  const SnapshotLimits& limits() const;

 private:
  std::shared_ptr<Shared> shared_;
};

class EvidenceLog {
 public:
  struct State;
  EvidenceLog(std::unique_ptr<BundleWriter> writer, const SnapshotLimits& limits);
  ~EvidenceLog();

  void BeginTier(unsigned tier);
  // Runs one collector to its end, or until it is stuck.
  void Run(const std::string& name, const std::function<void(Evidence&)>& collector);
  void EndTier();
  // Ends the bundle. Errors: the sink's first.
  Status Finish();

  std::uint64_t members() const;
  std::uint64_t bytes() const;
  std::uint64_t skipped() const;

 private:
  std::shared_ptr<State> state_;
};

// Bytes as text of a row: printable UTF-8, everything else \xNN.
std::string RowText(std::string_view bytes);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_EVIDENCE_H_
