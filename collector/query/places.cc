// SPDX-License-Identifier: Apache-2.0
#include "collector/query/places.h"

#include <algorithm>

#include "collector/query/render.h"

namespace culprit {
namespace {

// An answer over more addresses than this looks them up again.
constexpr std::size_t kMaxRemembered = 1'000'000;

}  // namespace

Places::Places(const EvidenceStore& store, const PlaceSource* source)
    : tables_(source != nullptr ? source->Read() : std::make_shared<const PlaceTables>()) {
  for (const HostRecord& host : store.Hosts()) {
    HostSite site{host.info.region(), host.info.availability_zone()};
    if (!site.known()) site.region = tables_->region;
    for (const std::string& bytes : host.info.addresses()) {
      const auto address = IpAddress::FromBytes(bytes);
      if (address && !address->IsLoopback()) book_.Add(host.ref, site, *address);
    }
    sites_.emplace(host.ref, std::move(site));
  }
}

const GeoPlace& Places::Find(const IpAddress& address) {
  if (places_.size() >= kMaxRemembered) places_.clear();
  const auto [it, fresh] = places_.try_emplace(address);
  if (fresh) it->second = tables_->geo.Find(address);
  return it->second;
}

std::string Places::RegionKey(const IpAddress& remote) {
  if (!remote.IsPublic()) return "private";
  const GeoPlace& place = Find(remote);
  if (!place.region.empty()) return place.region;
  if (tables_->geo.aws == nullptr) return "unknown";
  return place.country.empty() ? "internet" : "internet " + place.country;
}

std::uint32_t Places::RouteNumber(std::uint32_t host, const IpAddress& remote) {
  if (numbers_.size() >= kMaxRemembered) numbers_.clear();
  const auto [it, fresh] = numbers_.try_emplace({host, remote}, 0);
  if (!fresh) return it->second;
  const auto site = sites_.find(host);
  const Route route =
      RouteOf(host, site == sites_.end() ? HostSite{} : site->second, remote, tables_->geo, book_);
  const auto next = static_cast<std::uint32_t>(routes_.size());
  const auto [known, new_route] = known_.try_emplace(route, next);
  if (new_route) routes_.push_back(route);
  return it->second = known->second;
}

Places::Sum Places::Price(const std::vector<RouteBytes>& routes) const {
  Sum sum;
  for (const RouteBytes& bytes : routes) {
    const auto cost = tables_->prices == nullptr
                          ? std::nullopt
                          : tables_->prices->CostOf(routes_[bytes.route], bytes.tx, bytes.rx);
    if (cost) {
      sum.micro_usd += *cost;
    } else if (routes_[bytes.route].kind != RouteKind::kLocal) {
      sum.unknown_bytes += bytes.tx;
    }
  }
  return sum;
}

void Places::Annotate(const FlowTotal& flow, v1::FlowRow* row) {
  const GeoPlace& place = Find(flow.facts.remote);
  row->set_region(place.region);
  row->set_service(place.service);
  row->set_country(place.country);
  row->set_asn(place.asn);
  row->set_as_name(place.as_name);
  const Route& route = routes_[RouteNumber(flow.host, flow.facts.remote)];
  row->set_route(route.ToString());
  if (tables_->prices == nullptr) return;
  const auto cost = tables_->prices->CostOf(route, flow.sum.tx_wire_bytes, flow.sum.rx_wire_bytes);
  row->set_cost_known(cost.has_value());
  row->set_cost_micro_usd(cost.value_or(0));
}

void Places::AnnotateDestination(const IpAddress& remote, v1::FlowGroup* group) {
  const GeoPlace& place = Find(remote);
  group->set_region(place.region);
  group->set_service(place.service);
  group->set_country(place.country);
  group->set_asn(place.asn);
  group->set_as_name(place.as_name);
}

void Places::AnnotateCost(const std::vector<RouteBytes>& routes, v1::FlowGroup* group) const {
  const Sum sum = Price(routes);
  group->set_has_cost(true);
  group->set_cost_micro_usd(sum.micro_usd);
  group->set_cost_unknown_bytes(sum.unknown_bytes);
}

void Places::AnnotateTotal(const std::vector<GroupTotal>& groups,
                           v1::ListFlowsResponse* out) const {
  std::map<std::uint32_t, RouteBytes> by_route;
  for (const GroupTotal& group : groups) {
    for (const RouteBytes& bytes : group.routes) {
      RouteBytes& sum = by_route[bytes.route];
      sum.route = bytes.route;
      sum.tx += bytes.tx;
      sum.rx += bytes.rx;
    }
  }
  std::vector<RouteBytes> all;
  std::map<Route, std::uint64_t> internet;
  for (const auto& [number, bytes] : by_route) {
    all.push_back(bytes);
    if (routes_[number].kind == RouteKind::kInternet) internet[routes_[number]] += bytes.tx;
  }
  const Sum sum = Price(all);
  out->set_cost_micro_usd(sum.micro_usd);
  out->set_cost_unknown_bytes(sum.unknown_bytes);
  if (tables_->prices == nullptr) return;
  out->set_free_tier_micro_usd(tables_->prices->FreeTier(internet));
  out->set_prices_date(tables_->prices->date());
}

void Places::AddTo(AggregatePlan* plan) {
  plan->route_of = [this](std::uint32_t host, const IpAddress& remote) {
    return RouteNumber(host, remote);
  };
  plan->place_of = [this](const IpAddress& remote) { return RegionKey(remote); };
}

}  // namespace culprit
