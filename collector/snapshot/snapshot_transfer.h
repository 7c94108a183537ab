// SPDX-License-Identifier: Apache-2.0
// SnapshotTransfer: one snapshot on its way from its agent to the disk: asks window by window,
// writes and syncs each before it asks for the next, waits where it cannot go on, and verifies what
// came when nothing more will.
//
// Stage: snapshot (edge: files, the agent by its port). Thread: Run() belongs to one. Memory: a
// part of 256 KiB, and what verifying takes. Failure: all of it is in the snapshot's state.
#ifndef CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_TRANSFER_H_
#define CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_TRANSFER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "collector/model/agent_control.h"
#include "collector/snapshot/snapshot_files.h"
#include "collector/snapshot/snapshots.h"
#include "common/bundle_verify.h"
#include "common/time.h"
#include "common/unique_fd.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit {

struct SnapshotTransferDeps {
  const SnapshotFiles& files;  // all outlive the transfer
  AgentControl& control;
  SnapshotStoreLimits limits;
  // Told after each change; `news`: not only of bytes, so that the record is to be saved. Its error
  // counts where the snapshot became final.
  std::function<Status(const v1::Snapshot&, bool news)> changed;
  // Whether earlier snapshots of the agent were signed by this key, or there are none.
  std::function<bool(const std::string& agent_id, const std::string& fingerprint)> key_known;
  std::function<WallTime()> now = &ReadWallClock;
};

class SnapshotTransfer {
 public:
  SnapshotTransfer(SnapshotTransferDeps deps, v1::Snapshot snapshot);

  // Returns when the snapshot is final, or on a stop; a later transfer goes on from its record.
  void Run(const std::stop_token& stop);

 private:
  using Clock = std::chrono::steady_clock;

  Status Open();
  // One window. With done_ set all of it is there.
  Status AskOnce(const std::stop_token& stop);
  Status CheckRoom() const;
  Status Store(const v1::SnapshotPart& part);
  void Moved(bool bytes);
  bool Handle(const Error& error, const std::stop_token& stop);
  bool BeginAgain(const std::stop_token& stop);
  void Wait(const std::string& problem, const std::stop_token& stop);
  void VerifySoFar();
  void TakeVerdict(const BundleVerdict& verdict);
  Status Finish(const std::string& broken);
  std::pair<v1::SnapshotState, std::string> Judge(const BundleVerdict& verdict, bool as_said,
                                                  const std::string& broken);
  void Custody(const std::string& action, const std::string& actor, const std::string& note);
  Status Settle(const std::string& broken);
  Status Change(v1::SnapshotState state, std::string problem);

  SnapshotTransferDeps deps_;
  v1::Snapshot snapshot_;
  Uuid agent_id_;
  std::string id_bytes_;
  UniqueFd part_;
  std::uint64_t stored_ = 0;
  std::uint32_t crc_ = 0;
  Status storing_ = Ok();  // of the window
  bool done_ = false, probed_ = false, broke_ = false;
  std::uint64_t verified_ = 0;  // bytes
  v1::SnapshotTotals totals_;
  Clock::time_point moved_ = Clock::now();
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_TRANSFER_H_
