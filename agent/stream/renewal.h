// SPDX-License-Identifier: Apache-2.0
// Keeps the agent's certificate young: at half of its life a new one is asked for over the connection
// that there is; one that ran out while the host was off is asked for where hosts enrol, by the key
// alone. Certificates made by hand are left alone.
// Stage: stream (edge: network), in the sender process. Thread: the uploader's.
#ifndef CULPRIT_AGENT_STREAM_RENEWAL_H_
#define CULPRIT_AGENT_STREAM_RENEWAL_H_

#include <memory>
#include <string>

#include "agent/stream/sensor_port.h"
#include "common/credentials.h"
#include "common/result.h"
#include "common/time.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace culprit {

class Renewal {
 public:
  // Changes `credentials` when there is a new certificate, and gives it to the sensor. Borrows both.
  Renewal(const internal::v1::LinkConfig& config, Credentials* credentials, SensorPort* port);

  bool Due(WallTime now) const { return enrolled_ && now >= due_; }
  bool Expired(WallTime now) const {
    return enrolled_ && now > credentials_.certificate.not_after;
  }
  // An error says why not; the next try is some time later.
  Status Renew(const std::shared_ptr<grpc::Channel>& channel);
  Status Rejoin();

 private:
  Result<std::string> Request() const;
  Status Take(const std::string& certificate_pem);
  void Schedule();
  void Postpone();

  const internal::v1::LinkConfig& config_;
  Credentials& credentials_;
  SensorPort& port_;
  bool enrolled_ = false;
  WallTime due_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_RENEWAL_H_
