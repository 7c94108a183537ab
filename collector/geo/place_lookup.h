// SPDX-License-Identifier: Apache-2.0
// Where an address is: what a stage needs that has to know a region and nothing of files.
//
// Stage: geo. Thread: implementations answer from any thread. Failure: none; empty is not known.
#ifndef CULPRIT_COLLECTOR_GEO_PLACE_LOOKUP_H_
#define CULPRIT_COLLECTOR_GEO_PLACE_LOOKUP_H_

#include <cstdint>
#include <string>

#include "common/net_address.h"

namespace culprit {

struct GeoPlace {
  std::string region, service;  // of AWS; empty = not AWS's, or no list
  std::string country;          // ISO 3166-1 code
  std::uint32_t asn = 0;
  std::string as_name;
};

class PlaceLookup {
 public:
  virtual ~PlaceLookup() = default;
  virtual GeoPlace Find(const IpAddress& address) const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_GEO_PLACE_LOOKUP_H_
