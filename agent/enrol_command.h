// SPDX-License-Identifier: Apache-2.0
// `culprit-agent enrol`: makes this host an agent of a collector. The key is made here and stays
// here; the sender process, which has no rights, asks the collector; what it brings is checked and
// written beside the key. Doing it again is harmless: with a certificate that is good nothing is
// done, with a key whose answer was lost the same key is used.
// Stage: wiring (edge: files, IMDS, processes). Thread: the caller's, which waits.
#ifndef CULPRIT_AGENT_ENROL_COMMAND_H_
#define CULPRIT_AGENT_ENROL_COMMAND_H_

#include <chrono>
#include <stop_token>
#include <string>

#include "agent/config.h"
#include "common/result.h"

namespace culprit {

struct EnrolCommand {
  AgentConfig config;
  std::string version;
  std::string token;           // empty: the instance identity document
  std::string ca_file;         // the collector is known by this CA,
  std::string ca_fingerprint;  // or by the SHA-256 of its CA's certificate (hex, colons allowed);
                               // neither: by the ca.pem that is there
  std::string host_id;         // empty: the instance id, or one made of the machine id
  bool again = false;          // with a new key, also where there is a certificate that is good
  std::chrono::milliseconds wait{0};  // how long to go on while the collector cannot be reached
  bool json = false;
  std::stop_token stop;  // ends the waiting
};

// What is to be printed. Errors: kUnavailable and kDeadlineExceeded (not reached: try again),
// kInvalidArgument, and the collector's.
Result<std::string> RunEnrol(const EnrolCommand& command);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENROL_COMMAND_H_
