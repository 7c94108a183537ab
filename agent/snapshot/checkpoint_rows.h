// SPDX-License-Identifier: Apache-2.0
// The rows of a checkpoint as lines, and what changed between two of them. A row has nothing in it
// that changes while a thing stays what it is (no counters). Stage: snapshot, pure. Thread: values.
// Total on any bytes.
#ifndef CULPRIT_AGENT_SNAPSHOT_CHECKPOINT_ROWS_H_
#define CULPRIT_AGENT_SNAPSHOT_CHECKPOINT_ROWS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/snapshot/checkpoints.h"
#include "agent/snapshot/evidence.h"

namespace culprit {

// Sorted and without doubles.
using CheckpointRows = std::vector<std::string>;

std::string ProcessLine(const CheckpointProcess& process);
// Of a row of sock_diag.h; `pid` 0: not known.
std::string SocketLine(const Row& socket, std::uint32_t pid);
std::string ProgramLine(std::uint32_t id, std::uint32_t type, std::string_view name,
                        std::string_view tag, std::uint32_t uid);
// Of the text of /proc/modules.
std::vector<std::string> ModuleLines(std::string_view text);

void Normalise(CheckpointRows* rows);

struct CheckpointDifference {
  std::vector<std::string> came, went;
  bool empty() const { return came.empty() && went.empty(); }
};
CheckpointDifference Compare(const CheckpointRows& before, const CheckpointRows& now);

// What is written: a head, then a line a row. `at` is a time as text.
std::string FormatFull(std::string_view at, const CheckpointRows& rows, bool cut);
std::string FormatDifference(std::string_view at, const CheckpointDifference& difference);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_CHECKPOINT_ROWS_H_
