// SPDX-License-Identifier: Apache-2.0
// The operator's files about places and prices: ip-ranges.json, MaxMind databases, the price table.
// Loaded at the start and again when they change.
//
// Stage: wiring (edge: files). Thread: Refresh() from one thread, Read() from any.
// Failure: never fails. What cannot be read is missing from the tables and named in `problems`; a
// file that went bad leaves the tables that were read before in force.
#ifndef CULPRIT_COLLECTOR_PLACE_FILES_H_
#define CULPRIT_COLLECTOR_PLACE_FILES_H_

#include <memory>
#include <mutex>
#include <string>

#include "collector/config.h"
#include "collector/cost/place_tables.h"

namespace culprit {

class PlaceFiles final : public PlaceSource {
 public:
  explicit PlaceFiles(const CollectorConfig& config);

  // Reads files again whose size, time or inode changed.
  void Refresh();
  std::shared_ptr<const PlaceTables> Read() const override;

 private:
  std::string Signature() const;
  PlaceTables Load(const PlaceTables* before) const;

  const std::string ip_ranges_, prices_, region_;
  const std::vector<std::string> mmdb_;
  std::string signature_;
  mutable std::mutex mutex_;  // of tables_
  std::shared_ptr<const PlaceTables> tables_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PLACE_FILES_H_
