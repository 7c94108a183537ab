// SPDX-License-Identifier: Apache-2.0
// The operator's tables of places and prices as one value, and who has the newest.
//
// Stage: cost. Pure. Thread: tables are immutable once made; a source answers from any thread.
// Failure: none. What could not be read is missing from the tables and named in `problems`.
#ifndef CULPRIT_COLLECTOR_COST_PLACE_TABLES_H_
#define CULPRIT_COLLECTOR_COST_PLACE_TABLES_H_

#include <memory>
#include <string>
#include <vector>

#include "collector/cost/price_table.h"
#include "collector/geo/geo_tables.h"

namespace culprit {

struct PlaceTables {
  GeoTables geo;
  std::shared_ptr<const PriceTable> prices;  // null = no table: every cost is unknown
  std::string ip_ranges_file, prices_file;
  std::string region;                 // of hosts that do not tell theirs; may be empty
  std::vector<std::string> problems;  // a file that is missing or bad, with what to do
};

class PlaceSource {
 public:
  virtual ~PlaceSource() = default;
  // Never null.
  virtual std::shared_ptr<const PlaceTables> Read() const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_COST_PLACE_TABLES_H_
