// SPDX-License-Identifier: Apache-2.0
// The gRPC services of enrolment: Enrolment, for whoever reaches the port, and Renewal, for agents.
// Stage: enrol (edge: gRPC). Thread: gRPC's. Requests over kMaxEnrolMessageBytes do not get here (the
// server's limit); of the others so many a second are looked at, over all askers.
#ifndef CULPRIT_COLLECTOR_ENROL_ENROL_SERVICE_H_
#define CULPRIT_COLLECTOR_ENROL_ENROL_SERVICE_H_

#include <memory>

#include "collector/enrol/enroller.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

inline constexpr int kMaxEnrolMessageBytes = 65'536;
inline constexpr double kEnrolsPerSecond = 100, kEnrolBurst = 500;  // a fleet that boots at once

// The enroller outlives both.
std::unique_ptr<grpc::Service> MakeEnrolmentService(Enroller* enroller);
std::unique_ptr<grpc::Service> MakeRenewalService(Enroller* enroller);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_ENROL_SERVICE_H_
