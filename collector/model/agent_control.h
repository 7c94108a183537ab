// SPDX-License-Identifier: Apache-2.0
// AgentControl: asking an agent that is connected, as the query service sees it and ingest provides
// it. Stage: model. Thread: any. What an agent answers is a claim: its form has been checked, its
// content has not.
#ifndef CULPRIT_COLLECTOR_MODEL_AGENT_CONTROL_H_
#define CULPRIT_COLLECTOR_MODEL_AGENT_CONTROL_H_

#include <functional>
#include <string>

#include "common/ids.h"
#include "common/result.h"
#include "culprit/v1/control.pb.h"

namespace culprit {

class AgentControl {
 public:
  using IsCancelled = std::function<bool()>;
  using TakePart = std::function<bool(v1::PacketPart&& part)>;  // false: no more is wanted
  using TakeSnapshotPart = std::function<bool(v1::SnapshotPart&& part)>;

  virtual ~AgentControl() = default;
  virtual bool IsConnected(const Uuid& agent_id) const = 0;
  // Asks for one window of packets and gives its parts as they come, until the window ends. At most
  // a window is in memory. Errors: kUnavailable (not connected, or no longer), kDeadlineExceeded
  // (it does not answer: too old, or it hangs), kResourceExhausted (too many questions),
  // kFailedPrecondition (it says why not), kDataLoss (its answer broke the rules), kCancelled.
  virtual Status AskForPackets(const Uuid& agent_id, const v1::PacketRequest& request,
                               const TakePart& take, const IsCancelled& is_cancelled) = 0;
  // Tells the agent that it may forget a fetch, if it is there.
  virtual void ReleasePackets(const Uuid& agent_id, const std::string& fetch_id) = 0;
  // The same for one window of a snapshot; kNotFound: the agent has it no longer, or other bytes of
  // it.
  virtual Status AskForSnapshot(const Uuid& agent_id, const v1::SnapshotRequest& request,
                                const TakeSnapshotPart& take,
                                const IsCancelled& is_cancelled) = 0;
  virtual void ReleaseSnapshot(const Uuid& agent_id, const std::string& snapshot_id) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_AGENT_CONTROL_H_
