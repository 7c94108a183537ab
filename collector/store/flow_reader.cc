// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "collector/store/aggregate.h"

namespace culprit {
namespace {

// A flow that reports every second for a day has fewer.
constexpr int kMaxRowsPerFlow = 100'000;

}  // namespace

Result<FlowReader::OpenPart*> FlowReader::Part(std::uint64_t id) {
  if (const auto known = open_.find(id); known != open_.end()) return &known->second;
  const auto part =
      std::ranges::find_if(parts_, [&](const SharedPart& p) { return p->id() == id; });
  if (part == parts_.end()) return nullptr;
  TRY(PartFile::Lease lease, (*part)->Open());
  OpenPart open;
  open.db = std::make_unique<PartFile::Lease>(std::move(lease));
  TRY(open.row,
      (**open.db).Prepare("SELECT " + FlowColumns(Detail::kFull) + " FROM flow WHERE id=?"));
  TRY(open.carried, (**open.db).Prepare("SELECT carried_part,carried_row FROM base "
                                        "WHERE host=? AND flow=? AND process=?"));
  return &open_.emplace(id, std::move(open)).first->second;
}

Result<RowPosition> FlowReader::Before(OpenPart* part, std::uint64_t id, const StoredFlow& flow) {
  if (flow.prev >= 0) return RowPosition{id, flow.prev};
  const FlowKey key = flow.key();
  part->carried.Reset();
  part->carried.Bind(1, key.host);
  part->carried.Bind(2, key.flow);
  part->carried.Bind(3, key.process);
  TRY(const bool row, part->carried.Step());
  RowPosition before;
  if (row) before = {part->carried.UInt(0), part->carried.Int(1)};
  part->carried.Reset();
  // Only ever backwards, whatever a file says.
  return before.part < id ? before : RowPosition{};
}

Result<std::optional<FlowKey>> FlowReader::KeyAt(RowPosition at) {
  TRY(OpenPart * part, Part(at.part));
  if (part == nullptr) return std::optional<FlowKey>();
  part->row.Reset();
  part->row.Bind(1, at.row);
  TRY(const bool row, part->row.Step());
  std::optional<FlowKey> key;
  if (row) {
    StoredFlow flow;
    ReadFlow(part->row, Detail::kFacts, &flow);
    key = flow.key();
  }
  part->row.Reset();
  return key;
}

Result<std::optional<FlowTotal>> FlowReader::Read(RowPosition at, const Window& window) {
  std::optional<FlowTotal> out;
  StoredFlow flow;
  for (int i = 0; i < kMaxRowsPerFlow && at.row > 0; ++i) {
    TRY(OpenPart * part, Part(at.part));
    if (part == nullptr) break;
    part->row.Reset();
    part->row.Bind(1, at.row);
    TRY(const bool row, part->row.Step());
    if (!row) break;
    ReadFlow(part->row, Detail::kFull, &flow);
    part->row.Reset();
    if (!out) out = FlowTotal{flow.row.host, flow.row.facts, {}};
    if (window.Touches(flow.row.t0, flow.row.t1)) {
      Add(&out->sum, Share(flow.row.added, flow.row.t0, flow.row.t1, window));
    }
    if (window.from && flow.row.t0 < *window.from) break;
    TRY(const RowPosition before, Before(part, at.part, flow));
    if (before.part == at.part && before.row >= at.row) break;
    at = before;
  }
  return out;
}

}  // namespace culprit
