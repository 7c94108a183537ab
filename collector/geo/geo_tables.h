// SPDX-License-Identifier: Apache-2.0
// Where an address is: AWS's list and the operator's databases together.
//
// Stage: geo. Thread: immutable once made, any number of readers; collector.cc swaps whole tables
// when the operator's files change.
#ifndef CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_
#define CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_

#include <memory>
#include <string>

#include "collector/geo/ip_ranges.h"
#include "collector/geo/mmdb.h"

namespace culprit {

struct GeoPlace {
  std::string region, service;  // of AWS; empty = not AWS's, or no list
  std::string country;
  std::uint32_t asn = 0;
  std::string as_name;
};

struct GeoTables {
  std::shared_ptr<const IpRanges> aws;        // null = no list: nothing can be said of AWS
  std::shared_ptr<const MmdbFiles> networks;  // may be null

  GeoPlace Find(const IpAddress& address) const;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_GEO_GEO_TABLES_H_
