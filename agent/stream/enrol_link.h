// SPDX-License-Identifier: Apache-2.0
// Lets a sender process, which has no rights, enrol this host: hands it the request, and takes the
// answer. The answer is not believed before the caller has checked it (CheckCredentials).
// Stage: stream (edge: processes). Thread: the caller's, which waits.
#ifndef CULPRIT_AGENT_STREAM_ENROL_LINK_H_
#define CULPRIT_AGENT_STREAM_ENROL_LINK_H_

#include <chrono>
#include <stop_token>
#include <string>

#include "common/result.h"

namespace culprit {

struct EnrolJob {
  std::string program;  // path of culprit-agent-sender
  std::string user = "nobody";
  std::string address, server_name;  // of the port where hosts enrol
  std::string ca_pem, ca_sha256;     // one of them; the latter 32 bytes
  std::string signing_request;       // DER
  std::string host_id, hostname, agent_version;
  std::string token;                // empty = none
  std::string document, signature;  // likewise
};
struct EnrolAnswer {
  std::string certificate_pem, ca_pem, agent_id;
};

// Errors: the collector's, or why it could not be asked; kDeadlineExceeded, also at a stop.
Result<EnrolAnswer> EnrolBySender(const EnrolJob& job, std::chrono::milliseconds timeout,
                                  const std::stop_token& stop);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_ENROL_LINK_H_
