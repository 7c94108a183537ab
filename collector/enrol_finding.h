// SPDX-License-Identifier: Apache-2.0
// A second enrolment of one host, as a finding: it was reinstalled, or somebody plays it. Stage:
// wiring. Thread: any.
#ifndef CULPRIT_COLLECTOR_ENROL_FINDING_H_
#define CULPRIT_COLLECTOR_ENROL_FINDING_H_

#include "collector/detect/finding_store.h"
#include "collector/enrol/enroller.h"

namespace culprit {

// All attempts against one enrolment are one finding.
v1::Finding FindingOf(const SecondEnrolment& second);
// What cannot be stored is logged: the audit log has it in any case.
void ReportSecondEnrolment(const SecondEnrolment& second, FindingStore* findings);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_FINDING_H_
