// SPDX-License-Identifier: Apache-2.0
// QueryEngine: where addresses are.
#include <fmt/format.h>

#include "collector/query/engine.h"
#include "collector/query/places.h"
#include "collector/query/render.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr int kMaxAddresses = 1000;
constexpr std::chrono::hours kOldRanges{24 * 30};

// Who has an address; several have it where private ranges repeat.
std::string HostsOf(const std::vector<HostRecord>& hosts, const IpAddress& address) {
  std::string out;
  for (const HostRecord& host : hosts) {
    for (const std::string& bytes : host.info.addresses()) {
      const auto own = IpAddress::FromBytes(bytes);
      if (!own || *own != address) continue;
      out += (out.empty() ? "" : ", ") + HostLabel(&host);
      break;
    }
  }
  return out;
}

void RenderTables(const PlaceTables& tables, WallTime now, v1::WhereResponse* out) {
  out->set_ip_ranges_file(tables.ip_ranges_file);
  out->set_prices_file(tables.prices_file);
  for (const std::string& problem : tables.problems) out->add_problems(problem);
  if (const IpRanges* aws = tables.geo.aws.get()) {
    out->set_ip_ranges_created_ns(ToNs(aws->created()));
    out->set_ip_ranges_prefixes(aws->prefixes());
    if (now - aws->created() > kOldRanges) {
      out->add_problems(
          fmt::format("{} is {} old: regions of addresses that moved since are wrong; fetch "
                      "https://ip-ranges.amazonaws.com/ip-ranges.json to that place again",
                      tables.ip_ranges_file, FormatDuration(now - aws->created())));
    }
  }
  if (tables.prices != nullptr) out->set_prices_date(tables.prices->date());
  if (tables.geo.networks == nullptr) return;
  for (const MmdbFiles::Info& info : tables.geo.networks->info()) {
    auto* database = out->add_databases();
    database->set_path(info.path);
    database->set_type(info.type);
    database->set_built_ns(ToNs(info.built));
  }
}

}  // namespace

Result<v1::WhereResponse> QueryEngine::Where(const v1::WhereRequest& request) const {
  if (request.addresses_size() > kMaxAddresses) {
    return InvalidArgument(fmt::format("addresses: at most {}", kMaxAddresses));
  }
  Places places(deps_.store, deps_.places);
  const std::vector<HostRecord> hosts = deps_.store.Hosts();
  v1::WhereResponse out;
  for (const std::string& text : request.addresses()) {
    auto address = IpAddress::Parse(text);
    if (!address) return std::move(address).error().Context("addresses");
    const GeoPlace& place = places.Find(*address);
    auto* row = out.add_places();
    row->set_address(address->ToString());
    row->set_region(place.region);
    row->set_service(place.service);
    row->set_country(place.country);
    row->set_asn(place.asn);
    row->set_as_name(place.as_name);
    row->set_host(HostsOf(hosts, *address));
  }
  RenderTables(places.tables(), deps_.now(), &out);
  return out;
}

}  // namespace culprit
