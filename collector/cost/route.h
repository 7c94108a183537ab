// SPDX-License-Identifier: Apache-2.0
// What kind of way bytes took, as AWS charges for it: from the host's region and zone to the other
// end.
//
// Stage: cost. Pure. Thread: values; HostBook is immutable once filled. What cannot be told is
// kUnknown with the reason, never a guess.
#ifndef CULPRIT_COLLECTOR_COST_ROUTE_H_
#define CULPRIT_COLLECTOR_COST_ROUTE_H_

#include <compare>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "collector/geo/geo_tables.h"
#include "common/net_address.h"

namespace culprit {

enum class RouteKind : std::uint8_t {
  kUnknown,
  kLocal,        // within the host or its link: nobody charges
  kSameZone,     // between hosts of one availability zone
  kCrossZone,    // between zones of one region
  kAwsService,   // a public address of AWS in the same region, or one without region
  kInterRegion,  // another region of AWS
  kInternet,
};

struct Route {
  RouteKind kind = RouteKind::kUnknown;
  std::string from;  // region
  std::string to;    // region of kInterRegion, service of kAwsService, reason of kUnknown
  friend auto operator<=>(const Route&, const Route&) = default;

  // "same zone", "ap-south-1 -> me-south-1", "internet", "unknown: …".
  std::string ToString() const;
};

struct HostSite {
  std::string region, zone;
  bool known() const { return !region.empty(); }
};

// Whose address is whose among the hosts with an agent.
class HostBook {
 public:
  void Add(std::uint32_t host, const HostSite& site, const IpAddress& address);
  // Null = nobody's, or of several hosts with different sites (private ranges repeat).
  const HostSite* Find(const IpAddress& address) const;
  bool IsOwn(std::uint32_t host, const IpAddress& address) const;

 private:
  struct Entry {
    std::uint32_t host = 0;
    HostSite site;
    bool ambiguous = false;
  };
  std::unordered_map<IpAddress, Entry> entries_;
};

Route RouteOf(std::uint32_t host, const HostSite& from, const IpAddress& remote,
              const GeoTables& geo, const HostBook& book);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_COST_ROUTE_H_
