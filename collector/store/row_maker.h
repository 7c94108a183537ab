// SPDX-License-Identifier: Apache-2.0
// Turns decoded frames into the rows of the next transaction: deltas of flows, amended processes, minutes, hosts.
//
// Stage: store. Pure but for RowLookup, through which it asks for what it no longer has in memory.
// Thread: the index writer's. Bounded by its caches; evicted state is fetched back from the parts.
#ifndef CULPRIT_COLLECTOR_STORE_ROW_MAKER_H_
#define CULPRIT_COLLECTOR_STORE_ROW_MAKER_H_

#include <deque>
#include <unordered_set>

#include "collector/store/pending_batch.h"

namespace culprit {

class RowLookup {
 public:
  virtual ~RowLookup() = default;
  virtual std::optional<FlowBase> Base(const FlowKey& key) = 0;          // from the open part
  virtual std::optional<MinuteActivity> Minute(const MinuteKey& key) = 0;  // from the open part
  virtual SharedProcess Process(const HostProcess& key) = 0;             // from any part; null = unknown
};

class RowMaker {
 public:
  explicit RowMaker(RowLookup& lookup) : lookup_(lookup) {}

  void Take(const DecodedFrame& frame, PendingBatch* batch);
  // The batch is in the part.
  void Written(PendingBatch* batch);
  // A new part begins: processes and minutes have to be written again where they are referred to.
  void NewPart();

  // For rebuilding at the start.
  void Reset();
  void RestoreHost(HostRecord host);
  void RestoreLoss(const LossKey& key, const LossValue& loss);
  void RestoreProcess(const ProcessRecord& process);

  DeltaTable& deltas() { return deltas_; }
  const std::map<std::uint32_t, HostRecord>& hosts() const { return hosts_; }
  const std::map<LossKey, LossValue>& losses() const { return losses_; }
  std::uint64_t rebased() const { return rebased_; }

 private:
  HostRecord& HostOf(const DecodedFrame& frame);
  void TakeHost(const DecodedFrame& frame, HostRecord* host);
  static void TakeHostInfo(const DecodedFrame& frame, HostRecord* host);
  void TakeLosses(const DecodedFrame& frame, HostRecord* host, PendingBatch* batch);
  void TakeProcesses(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch);
  void TakeCounters(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch);
  static void TakeLogins(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch);
  static void TakePosture(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch);
  static void TakeNames(const DecodedFrame& frame, std::uint32_t host, PendingBatch* batch);
  void TakeFlow(const DecodedFrame& frame, std::uint32_t host, const FlowObservation& seen,
                PendingBatch* batch);
  void CountFlow(const PendingFlow& flow, bool first, PendingBatch* batch);
  MinuteActivity& Minute(const MinuteKey& key, PendingBatch* batch);
  // The newest record of a process, also from older parts; null = never heard of.
  SharedProcess Recall(const HostProcess& key);
  void Keep(const HostProcess& key, SharedProcess record, PendingBatch* batch);
  // Sees to it that the part knows the process and its ancestors.
  void Refer(HostProcess key, PendingBatch* batch);
  void SumLosses(HostRecord* host) const;

  RowLookup& lookup_;
  DeltaTable deltas_;
  std::map<Uuid, std::uint32_t> refs_;
  std::map<std::uint32_t, HostRecord> hosts_;
  std::map<LossKey, LossValue> losses_;
  std::unordered_map<HostProcess, SharedProcess, HostProcessHash> processes_;
  std::deque<HostProcess> process_order_;
  std::unordered_set<HostProcess, HostProcessHash> referred_;  // in the open part, or known to be nowhere
  std::map<MinuteKey, MinuteActivity> minutes_;
  std::uint64_t rebased_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_ROW_MAKER_H_
