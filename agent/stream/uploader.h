// SPDX-License-Identifier: Apache-2.0
// Sends the spool's frames to the collector over gRPC and hands its acks to the sensor. The only
// user of gRPC in the agent.
//
// Stage: stream (edge: network), in the sender process. Thread: Run() on one thread, with one more
// reading a connection; Cancel() from any. Reconnects with growing delays; memory is bounded by the
// window and one frame.
#ifndef CULPRIT_AGENT_STREAM_UPLOADER_H_
#define CULPRIT_AGENT_STREAM_UPLOADER_H_

#include <memory>

#include "agent/stream/sensor_port.h"
#include "common/credentials.h"

namespace culprit {

class Uploader {
 public:
  static std::unique_ptr<Uploader> Create(const internal::v1::LinkConfig& config,
                                          Credentials credentials, SensorPort* port);
  virtual ~Uploader() = default;
  // Returns once the sensor asked to stop and everything was acked, or the time for that is over.
  virtual void Run() = 0;
  // Ends what blocks in the network.
  virtual void Cancel() = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_UPLOADER_H_
