// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/scene.h"

#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kMaxHosts = 8192;

// What of a host decides the ways to and from it.
v1::HostInfo PlaceOnly(const v1::HostInfo& info) {
  v1::HostInfo place;
  place.set_region(info.region());
  place.set_availability_zone(info.availability_zone());
  *place.mutable_addresses() = info.addresses();
  return place;
}

}  // namespace

Scene::Scene(const BaselineThresholds& thresholds, SceneInputs inputs)
    : inputs_(std::move(inputs)),
      tables_(inputs_.places != nullptr ? inputs_.places->Read()
                                        : std::make_shared<const PlaceTables>()),
      baseline_(thresholds) {}

void Scene::Refresh() {
  if (inputs_.places == nullptr) return;
  auto newest = inputs_.places->Read();
  if (newest == tables_) return;
  tables_ = std::move(newest);
  Rebuild();
}

HostSite Scene::SiteOf(const v1::HostInfo& info) const {
  HostSite site{info.region(), info.availability_zone()};
  if (!site.known()) site.region = tables_->region;
  return site;
}

void Scene::AddToBook(const Host& host) {
  const HostSite site = SiteOf(host.info);
  for (const std::string& bytes : host.info.addresses()) {
    const auto address = IpAddress::FromBytes(bytes);
    if (address && !address->IsLoopback()) book_.Add(host.number, site, *address);
  }
}

void Scene::Rebuild() {
  ++version_;
  book_ = HostBook();
  for (const auto& [agent, host] : hosts_) AddToBook(host);
}

void Scene::TakeHost(const Uuid& agent, const v1::HostInfo& info) {
  if (hosts_.size() > kMaxHosts) {
    hosts_.clear();
    Rebuild();
  }
  const auto [it, fresh] = hosts_.try_emplace(agent);
  Host& host = it->second;
  v1::HostInfo place = PlaceOnly(info);
  if (!fresh && place.SerializeAsString() == host.info.SerializeAsString()) return;
  host.info = std::move(place);
  if (!fresh) return Rebuild();
  host.number = next_number_++;
  ++version_;
  AddToBook(host);
}

Route Scene::RouteTo(const Uuid& agent, const IpAddress& remote) const {
  const auto it = hosts_.find(agent);
  const HostSite site = it == hosts_.end() ? HostSite{tables_->region, {}} : SiteOf(it->second.info);
  return RouteOf(it == hosts_.end() ? 0 : it->second.number, site, remote, tables_->geo, book_);
}

std::string Scene::RegionOf(const IpAddress& remote) const {
  if (!remote.IsPublic()) return "";
  const GeoPlace place = tables_->geo.Find(remote);
  if (!place.region.empty()) return place.region;
  return place.country.empty() ? "" : "country " + place.country;
}

}  // namespace culprit
