// SPDX-License-Identifier: Apache-2.0
// Where an address is: AWS's list and the operator's databases together.
//
// Stage: geo. Thread: immutable once made, any number of readers; collector.cc swaps whole tables
// when the operator's files change.
#ifndef CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_
#define CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_

#include <memory>

#include "collector/geo/ip_ranges.h"
#include "collector/geo/mmdb.h"
#include "collector/geo/place_lookup.h"

namespace culprit {

struct GeoTables final : PlaceLookup {
  std::shared_ptr<const IpRanges> aws;        // null = no list: nothing can be said of AWS
  std::shared_ptr<const MmdbFiles> networks;  // may be null

  GeoPlace Find(const IpAddress& address) const override;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_
