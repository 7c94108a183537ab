// SPDX-License-Identifier: Apache-2.0
#include "collector/geo/geo_tables.h"

namespace culprit {

GeoPlace GeoTables::Find(const IpAddress& address) const {
  GeoPlace out;
  if (const AwsPlace* place = aws ? aws->Find(address) : nullptr) {
    out.region = place->region;
    out.service = place->service;
  }
  if (networks == nullptr) return out;
  NetworkPlace network = networks->Find(address);
  out.country = std::move(network.country);
  out.asn = network.asn;
  out.as_name = std::move(network.as_name);
  return out;
}

}  // namespace culprit
