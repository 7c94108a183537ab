// SPDX-License-Identifier: Apache-2.0
// Who may make which call. One table for all services, and what is not in it is for admins alone, so
// that a service that somebody forgets here is closed and not open. Stage: pki. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_PKI_ACCESS_H_
#define CULPRIT_COLLECTOR_PKI_ACCESS_H_

#include <string_view>

#include "collector/pki/peer_identity.h"
#include "common/result.h"

namespace culprit {

// `method` as gRPC writes it: "/culprit.v1.Query/ListHosts". Errors: kPermissionDenied, which says
// what the call needs.
Status MayCall(const PeerIdentity& peer, std::string_view method);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_ACCESS_H_
