// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/loss_ledger.h"

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

using State = SpoolLossEntry::State;

constexpr std::size_t kMaxPending = 64;  // of one lane and cause; beyond that they are summed without their ranges

bool SameKind(const SpoolLoss& a, const SpoolLoss& b) {
  return a.lane == b.lane && a.cause == b.cause;
}

// Whether `b` goes on where `a` ends, or neither has a range.
bool Adjacent(const SpoolLoss& a, const SpoolLoss& b) {
  if (a.first_seq == 0 || b.first_seq == 0) return a.first_seq == b.first_seq && a.detail == b.detail;
  return a.last_seq + 1 == b.first_seq;
}

void Merge(const SpoolLoss& more, SpoolLoss* into) {
  into->last_seq = more.last_seq;
  into->frames += more.frames;
  into->bytes += more.bytes;
  into->records += more.records;
  into->end_hash = more.end_hash;
}

}  // namespace

void LossLedger::Restore(SpoolLosses losses, std::uint64_t newest_loss_frame) {
  losses_ = std::move(losses);
  const bool written = newest_loss_frame > losses_.taken_after;
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state == State::kTaken) entry.state = written ? State::kDeclared : State::kPending;
  }
  dirty_ = true;
}

void LossLedger::Add(SpoolLoss loss) {
  dirty_ = true;
  std::size_t same = 0;
  SpoolLossEntry* last = nullptr;
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state != State::kPending || !SameKind(entry.loss, loss)) continue;
    if (Adjacent(entry.loss, loss)) return Merge(loss, &entry.loss);
    ++same;
    last = &entry;
  }
  if (same >= kMaxPending) {
    Merge(loss, &last->loss);
    last->loss.detail = "several ranges, first to last";
    return;
  }
  losses_.entries.push_back({State::kPending, std::move(loss)});
}

void LossLedger::AddHole(const SpoolLoss& hole) {
  if (hole.first_seq == 0) return Add(hole);
  // What of the hole no entry covers; entries are few.
  std::uint64_t from = hole.first_seq;
  bool moved = true;
  while (moved && from <= hole.last_seq) {
    moved = false;
    for (const SpoolLossEntry& entry : losses_.entries) {
      const SpoolLoss& known = entry.loss;
      if (known.lane != hole.lane || known.first_seq == 0) continue;
      if (known.first_seq <= from && from <= known.last_seq) {
        from = known.last_seq + 1;
        moved = true;
      }
    }
  }
  if (from > hole.last_seq) return;
  SpoolLoss rest = hole;
  rest.first_seq = from;
  rest.frames = hole.last_seq - from + 1;
  Add(std::move(rest));
}

std::vector<SpoolLoss> LossLedger::Take(std::uint64_t evidence_seq) {
  std::vector<SpoolLoss> taken;
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state != State::kPending) continue;
    entry.state = State::kTaken;
    taken.push_back(entry.loss);
    dirty_ = true;
  }
  if (!taken.empty()) losses_.taken_after = evidence_seq;
  return taken;
}

void LossLedger::LossFrameWritten() {
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state == State::kTaken) entry.state = State::kDeclared;
  }
  std::vector<SpoolLossEntry> kept;
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state == State::kDeclared && entry.loss.first_seq == 0) continue;
    const auto before = std::find_if(kept.begin(), kept.end(), [&](const SpoolLossEntry& other) {
      return entry.state == State::kDeclared && other.state == State::kDeclared &&
             SameKind(other.loss, entry.loss) && Adjacent(other.loss, entry.loss);
    });
    if (before != kept.end()) {
      Merge(entry.loss, &before->loss);
    } else {
      kept.push_back(std::move(entry));
    }
  }
  losses_.entries = std::move(kept);
  dirty_ = true;
}

void LossLedger::LossFrameFailed() {
  for (SpoolLossEntry& entry : losses_.entries) {
    if (entry.state == State::kTaken) entry.state = State::kPending;
  }
  dirty_ = true;
}

void LossLedger::Forget(Lane lane, std::uint64_t up_to_seq) {
  const std::size_t erased = std::erase_if(losses_.entries, [&](const SpoolLossEntry& entry) {
    return entry.state == State::kDeclared && entry.loss.lane == lane &&
           entry.loss.last_seq <= up_to_seq;
  });
  dirty_ = dirty_ || erased != 0;
}

void LossLedger::EndStream(const Uuid& stream) {
  std::erase_if(losses_.entries,
                [](const SpoolLossEntry& entry) { return entry.state == State::kDeclared; });
  for (SpoolLossEntry& entry : losses_.entries) {
    SpoolLoss& loss = entry.loss;
    entry.state = State::kPending;
    if (loss.first_seq == 0) continue;
    loss.detail = "stream " + stream.ToString() + " seq " + std::to_string(loss.first_seq) +
                  " to " + std::to_string(loss.last_seq) + ": " + loss.detail;
    loss.first_seq = loss.last_seq = 0;
  }
  losses_.taken_after = 0;
  dirty_ = true;
}

bool LossLedger::WasShed(Lane lane, std::uint64_t first, std::uint64_t last) const {
  return std::any_of(losses_.entries.begin(), losses_.entries.end(),
                     [&](const SpoolLossEntry& entry) {
                       const SpoolLoss& loss = entry.loss;
                       return loss.cause == SpoolLoss::Cause::kCap && loss.lane == lane &&
                              loss.first_seq != 0 && loss.first_seq <= first &&
                              last <= loss.last_seq;
                     });
}

bool LossLedger::has_pending() const {
  return std::any_of(
      losses_.entries.begin(), losses_.entries.end(),
      [](const SpoolLossEntry& entry) { return entry.state == State::kPending; });
}

}  // namespace culprit
