// SPDX-License-Identifier: Apache-2.0
// Enrolment over the network: finds the collector's CA by its fingerprint, asks for a certificate.
// Stage: stream (edge: network), in the sender process. Thread: the caller's; each call ends within
// about 40 s. Nothing is sent to a collector that the CA does not vouch for.
#ifndef CULPRIT_AGENT_STREAM_ENROL_CLIENT_H_
#define CULPRIT_AGENT_STREAM_ENROL_CLIENT_H_

#include <string>

#include "agent/stream/diagnose.h"
#include "common/result.h"
#include "culprit/internal/v1/link.pb.h"

namespace culprit {

// PEM of the certificate with this SHA-256 in the chain that the server shows. Only then may the
// server be believed, and only by a connection that is verified against it. Errors: kUnavailable (no
// connection), kPermissionDenied (another CA).
Result<std::string> FindCa(const DialTarget& target, const std::string& ca_sha256);

// What the collector answers. Errors: its own, with its words; kUnavailable with the reason.
Result<v1::EnrolResponse> AskToEnrol(const DialTarget& target, const std::string& ca_pem,
                                     const v1::EnrolRequest& request);

// Both, as the sensor asks for it.
internal::v1::EnrolResult RunEnrolTask(const internal::v1::EnrolTask& task);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_ENROL_CLIENT_H_
