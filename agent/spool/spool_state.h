// SPDX-License-Identifier: Apache-2.0
// The spool's small files as values: DIR/stream, DIR/acked and DIR/losses. Text, a line an item, a checksum at the end.
// Stage: spool. Pure: text in, text out. Thread: values. Failure: kDataLoss for anything that was not written here.
#ifndef CULPRIT_AGENT_SPOOL_SPOOL_STATE_H_
#define CULPRIT_AGENT_SPOOL_SPOOL_STATE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/spool/spool.h"

namespace culprit {

struct SpoolStream {
  Uuid id;
  Uuid previous;
  std::string reason;  // why `id` was begun: "new", "tail_lost", "spool_lost"
};

struct SpoolAcked {
  struct LaneEntry {
    std::uint64_t acked = 0;
    std::uint64_t newest = 0;  // the lane had got so far, on disk, when this was written
    std::uint64_t segment = 0;  // its newest segment then; 0 = none
    Sha256Digest newest_hash{};
  };
  Uuid stream;
  std::array<LaneEntry, kLaneCount> lanes;
};

// Pending: not handed out yet. Taken: handed out, its kLoss frame not written yet. Declared: written; remembered as long as
// the hole can be seen in the segments.
struct SpoolLossEntry {
  enum class State { kPending, kTaken, kDeclared } state = State::kPending;
  SpoolLoss loss;
};

struct SpoolLosses {
  std::uint64_t taken_after = 0;  // newest evidence seq when the taken ones were handed out
  std::vector<SpoolLossEntry> entries;
};

std::string FormatStream(const SpoolStream& stream);
Result<SpoolStream> ParseStream(std::string_view text);
std::string FormatAcked(const SpoolAcked& acked);
Result<SpoolAcked> ParseAcked(std::string_view text);
std::string FormatLosses(const SpoolLosses& losses);
Result<SpoolLosses> ParseLosses(std::string_view text);

std::string_view LaneName(Lane lane);
std::string SpoolSegmentName(Lane lane, std::uint64_t number);
// Whether `name` is one that SpoolSegmentName() makes.
bool ParseSpoolSegmentName(std::string_view name, Lane* lane, std::uint64_t* number);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SPOOL_SPOOL_STATE_H_
