// SPDX-License-Identifier: Apache-2.0
// What was lost and whether the collector has been told. Adjacent losses grow together, so that the ledger stays small
// however long the collector is away.
// Stage: spool. Pure. Thread: the spool's.
#ifndef CULPRIT_AGENT_SPOOL_LOSS_LEDGER_H_
#define CULPRIT_AGENT_SPOOL_LOSS_LEDGER_H_

#include <cstdint>
#include <vector>

#include "agent/spool/spool_state.h"

namespace culprit {

class LossLedger {
 public:
  // As read from disk. `newest_loss_frame`: seq of the newest kLoss frame in the evidence lane, 0 = none; what was taken
  // before it was written is declared, what was taken and not written is pending again.
  void Restore(SpoolLosses losses, std::uint64_t newest_loss_frame);
  void Add(SpoolLoss loss);
  // A hole that reading found: only what no entry covers is added.
  void AddHole(const SpoolLoss& hole);
  // Hands out what is pending. `evidence_seq`: newest of the evidence lane now.
  std::vector<SpoolLoss> Take(std::uint64_t evidence_seq);
  void LossFrameWritten();
  void LossFrameFailed();
  // Forgets declared holes that can not be seen any more.
  void Forget(Lane lane, std::uint64_t up_to_seq);
  // The sequence numbers of the stream so far mean nothing in the next one: they go into the text.
  void EndStream(const Uuid& stream);

  // Whether all of the range was dropped for the cap: a crash came between the entry and the unlinking.
  bool WasShed(Lane lane, std::uint64_t first, std::uint64_t last) const;
  bool has_pending() const;
  const SpoolLosses& losses() const { return losses_; }
  // Changes that are not in DIR/losses yet.
  bool dirty() const { return dirty_; }
  void MarkSaved() { dirty_ = false; }

 private:
  SpoolLosses losses_;
  bool dirty_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SPOOL_LOSS_LEDGER_H_
