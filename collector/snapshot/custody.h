// SPDX-License-Identifier: Apache-2.0
// The custody record of a snapshot: who had it when, each entry with the hash of the one before.
// Stage: snapshot. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_SNAPSHOT_CUSTODY_H_
#define CULPRIT_COLLECTOR_SNAPSHOT_CUSTODY_H_

#include <string>

#include "common/result.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit {

inline constexpr int kMaxCustody = 1000;

// "read" is left out of a record that has kMaxCustody entries; what changes the bundle is not.
void AddCustody(v1::CustodyEntry entry, v1::Snapshot* snapshot);
// Errors: kDataLoss, naming the entry that does not follow from the one before it.
Status CheckCustody(const v1::Snapshot& snapshot);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SNAPSHOT_CUSTODY_H_
