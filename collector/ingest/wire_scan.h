// SPDX-License-Identifier: Apache-2.0
// Counts the parts of a serialised EvidenceBatch before protobuf allocates an object for each: two
// bytes on the wire can become hundreds in memory. Stage: ingest. Pure. Thread: any. Total on any
// bytes, linear.
#ifndef CULPRIT_COLLECTOR_INGEST_WIRE_SCAN_H_
#define CULPRIT_COLLECTOR_INGEST_WIRE_SCAN_H_

#include <cstddef>
#include <string_view>

namespace culprit {

struct WireCount {
  bool well_formed = false;
  std::size_t top_level = 0;  // length-delimited fields of the batch
  std::size_t nested = 0;     // length-delimited fields inside those
};
WireCount CountWireParts(std::string_view batch);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_WIRE_SCAN_H_
