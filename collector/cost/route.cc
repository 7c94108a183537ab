// SPDX-License-Identifier: Apache-2.0
#include "collector/cost/route.h"

#include <spdlog/fmt/fmt.h>

namespace culprit {
namespace {

// Link-local, multicast, broadcast: does not leave the network that the host is in. On EC2 the
// services behind 169.254.0.0/16 (metadata, DNS, time) are free.
bool StaysOnLink(const IpAddress& address) {
  const auto& b = address.bytes();
  if (address.IsV4()) {
    return (b[12] == 169 && b[13] == 254) || b[12] >= 224 || b[12] == 0;
  }
  return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0U) == 0x80);
}

Route Unknown(const HostSite& from, std::string why) {
  return {RouteKind::kUnknown, from.region, std::move(why)};
}

Route BetweenHosts(const HostSite& from, const HostSite& to) {
  if (!to.known()) return Unknown(from, "region of the other host is not known");
  if (from.region != to.region) return {RouteKind::kInterRegion, from.region, to.region};
  if (from.zone.empty() || to.zone.empty()) {
    return Unknown(from, "availability zone is not known");
  }
  const bool same = from.zone == to.zone;
  return {same ? RouteKind::kSameZone : RouteKind::kCrossZone, from.region, {}};
}

}  // namespace

std::string Route::ToString() const {
  switch (kind) {
    case RouteKind::kUnknown:
      return "unknown: " + to;
    case RouteKind::kLocal:
      return "local";
    case RouteKind::kSameZone:
      return "same zone";
    case RouteKind::kCrossZone:
      return "cross zone";
    case RouteKind::kAwsService:
      return fmt::format("AWS {} in {}", to, from);
    case RouteKind::kInterRegion:
      return fmt::format("{} -> {}", from, to);
    case RouteKind::kInternet:
      return fmt::format("{} -> internet", from);
  }
  return "";
}

void HostBook::Add(std::uint32_t host, const HostSite& site, const IpAddress& address) {
  const auto [it, fresh] = entries_.try_emplace(address, Entry{host, site, false});
  if (fresh || it->second.host == host) return;
  it->second.ambiguous = true;
}

const HostSite* HostBook::Find(const IpAddress& address) const {
  const auto it = entries_.find(address);
  return it == entries_.end() || it->second.ambiguous ? nullptr : &it->second.site;
}

bool HostBook::IsOwn(std::uint32_t host, const IpAddress& address) const {
  const auto it = entries_.find(address);
  return it != entries_.end() && it->second.host == host && !it->second.ambiguous;
}

Route RouteOf(std::uint32_t host, const HostSite& from, const IpAddress& remote,
              const GeoTables& geo, const HostBook& book) {
  if (remote.IsLoopback() || remote.IsUnspecified() || StaysOnLink(remote) ||
      book.IsOwn(host, remote)) {
    return {RouteKind::kLocal, from.region, {}};
  }
  if (!from.known()) return Unknown(from, "region of the host is not known");
  if (const HostSite* to = book.Find(remote)) return BetweenHosts(from, *to);
  if (!remote.IsPublic()) return Unknown(from, "private address of no host with an agent");
  if (!geo.aws) return Unknown(from, "no ip-ranges.json");
  const AwsPlace* place = geo.aws->Find(remote);
  if (place == nullptr) return {RouteKind::kInternet, from.region, {}};
  if (place->region == from.region || place->region == "GLOBAL") {
    return {RouteKind::kAwsService, from.region, place->service};
  }
  return {RouteKind::kInterRegion, from.region, place->region};
}

}  // namespace culprit
