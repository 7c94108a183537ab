// SPDX-License-Identifier: Apache-2.0
// Regions and costs of one answer: looks an address up once, and numbers the ways that bytes took.
// Stage: query. Thread: one query.
#ifndef CULPRIT_COLLECTOR_QUERY_PLACES_H_
#define CULPRIT_COLLECTOR_QUERY_PLACES_H_

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "collector/query/ports.h"
#include "collector/store/evidence_store.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

class Places {
 public:
  // `source` may be null: then nothing is known.
  Places(const EvidenceStore& store, const PlaceSource* source);

  const PlaceTables& tables() const { return *tables_; }
  const GeoPlace& Find(const IpAddress& address);
  // "me-south-1"; "internet" and the country, "private", or "unknown" without AWS's list.
  std::string RegionKey(const IpAddress& remote);
  std::uint32_t RouteNumber(std::uint32_t host, const IpAddress& remote);

  // Fills the fields of place and cost in.
  void Annotate(const FlowTotal& flow, v1::FlowRow* row);
  void AnnotateDestination(const IpAddress& remote, v1::FlowGroup* group);
  void AnnotateCost(const std::vector<RouteBytes>& routes, v1::FlowGroup* group) const;
  // Of all groups together.
  void AnnotateTotal(const std::vector<GroupTotal>& groups, v1::ListFlowsResponse* out) const;

  // Asks for the sums that costs are made of. The plan must not outlive this object.
  void AddTo(AggregatePlan* plan);

 private:
  struct HostRemote {
    std::uint32_t host;
    IpAddress remote;
    bool operator==(const HostRemote&) const = default;
  };
  struct HostRemoteHash {
    std::size_t operator()(const HostRemote& key) const noexcept {
      return std::hash<IpAddress>{}(key.remote) ^ (key.host * 0x9e3779b97f4a7c15ULL);
    }
  };
  struct Sum {
    std::uint64_t micro_usd = 0, unknown_bytes = 0;
  };
  Sum Price(const std::vector<RouteBytes>& routes) const;

  std::shared_ptr<const PlaceTables> tables_;
  std::unordered_map<std::uint32_t, HostSite> sites_;
  HostBook book_;
  std::unordered_map<IpAddress, GeoPlace> places_;
  std::unordered_map<HostRemote, std::uint32_t, HostRemoteHash> numbers_;
  std::map<Route, std::uint32_t> known_;
  std::vector<Route> routes_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_PLACES_H_
