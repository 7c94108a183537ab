// SPDX-License-Identifier: Apache-2.0
// SenderLink: the sensor's side of the boundary to the sender process, which alone speaks gRPC, TLS
// and S3.
//
// The sender (program culprit-agent-sender, own user, no capabilities) gets one end of a
// SOCK_SEQPACKET socketpair as descriptor 3. It is told what the spool holds, asks for segments and
// gets read-only descriptors (SCM_RIGHTS), sends frames to the collector and hands the collector's
// acks back. It may crash: it is restarted with a growing delay, and the sensor goes on into the
// spool.
//
// Stage: stream (edge: processes). Thread: the sensor's. Borrows the spool, which must outlive it.
#ifndef CULPRIT_AGENT_STREAM_SENDER_LINK_H_
#define CULPRIT_AGENT_STREAM_SENDER_LINK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/model/control.h"
#include "agent/s3/sink_options.h"
#include "agent/spool/spool.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct SenderOptions {
  std::string program;    // path of culprit-agent-sender
  std::string collector;  // "host:port"
  std::string
      server_name;  // name expected in the collector's certificate; empty = the host of `collector`
  std::string ca_path, certificate_path,
      key_path;                 // PEM; read by the sender before it drops privileges
  std::string enrol_address;    // where a certificate that has run out is renewed; empty = nowhere
  bool enrolling = false;       // key and certificate may come later
  std::string user = "nobody";  // the sender's user when the sensor is root
  Uuid boot_id, run_id;
  std::string agent_version;
  SinkOptions sink;  // enabled: a bucket instead of a collector, and nothing of it but `program`,
                     // `user` and the identities
};

struct SenderStatus {
  int pid = -1;
  bool connected = false;  // of a sink: the newest object was stored
  std::string last_error;  // why it is not connected; empty = fine
  std::uint64_t restarts = 0;
  std::uint64_t frames_sent = 0, bytes_sent = 0, reconnects = 0;
  std::int64_t collector_skew_ns = 0;  // our wall clock minus the collector's
  std::uint64_t rejected_records = 0;
};

class SenderLink {
 public:
  // What Start() would say of its files, without starting anything.
  static Status Check(const SenderOptions& options);
  // Starts the sender. Errors: program missing, unreadable certificate or key (each names the file
  // and the remedy).
  static Result<std::unique_ptr<SenderLink>> Start(const SenderOptions& options, Spool* spool);
  virtual ~SenderLink() = default;

  // Readable when Pump() has something to do.
  virtual int poll_fd() const = 0;
  // Never blocks: takes acks (Spool::Acknowledge), answers requests for segments, tells the sender
  // about appended frames, reaps and restarts the sender. A collector that is ahead of the spool
  // makes it call BeginNewStream.
  virtual Status Pump() = 0;
  virtual SenderStatus status() const = 0;
  // What the collector has asked for since the last call. Not taken in time: dropped, which the
  // collector notices by its own clock.
  virtual std::vector<ControlQuestion> TakeRequests() = 0;
  // A part of an answer, for the collector that asked. Dropped if the sender is away or does not
  // take what is given: whoever asked asks again.
  virtual void Answer(const ControlAnswer& answer) = 0;
  // Frames that the collector refused three times since the last call: to be declared as losses
  // (cause QUARANTINED).
  virtual std::vector<SpoolLoss> TakeQuarantined() = 0;
  // Gives the sender up to `drain` to get acks for what is in the spool, then ends it.
  virtual void Stop(std::chrono::milliseconds drain) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SENDER_LINK_H_
