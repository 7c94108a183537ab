// SPDX-License-Identifier: Apache-2.0
// The Audit gRPC service: the audit log, read and checked anew for each question. Stage: query (edge:
// gRPC, files). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_AUDIT_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_AUDIT_SERVICE_H_

#include <memory>
#include <string>

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

std::unique_ptr<grpc::Service> MakeAuditService(std::string directory);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_AUDIT_SERVICE_H_
