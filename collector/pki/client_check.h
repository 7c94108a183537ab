// SPDX-License-Identifier: Apache-2.0
// Whether a client's certificate is one that this collector's CA vouches for at a time, and in which way
// not: each has its own words, for the log and for the peer. Stage: pki. Pure. Thread: any. Total on
// any bytes.
#ifndef CULPRIT_COLLECTOR_PKI_CLIENT_CHECK_H_
#define CULPRIT_COLLECTOR_PKI_CLIENT_CHECK_H_

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct CertificateRefusal {
  std::string_view reason;  // one word: "no_certificate", "expired", "not_yet_valid", "other_ca", ...
  std::string message;
};

// `certificate_pem`: its first certificate is looked at, as a TLS client's; no intermediates.
// An empty reason: it is fine.
CertificateRefusal CheckClientCertificate(std::string_view certificate_pem, std::string_view ca_pem,
                                          WallTime now);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_CLIENT_CHECK_H_
