// SPDX-License-Identifier: Apache-2.0
// Scene: what the detectors know beside the evidence of one host: the operator's tables of places
// and prices, whose address is whose, the working hours, and what hosts have done before.
//
// Stage: detect. Pure but for its port (PlaceSource). Thread: one caller. Bounded: of more hosts
// than it holds all are learned anew (each tells who it is once an hour).
#ifndef CULPRIT_COLLECTOR_DETECT_SCENE_H_
#define CULPRIT_COLLECTOR_DETECT_SCENE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "collector/cost/place_tables.h"
#include "collector/detect/baseline.h"
#include "collector/detect/work_hours.h"
#include "common/ids.h"
#include "culprit/v1/host.pb.h"

namespace culprit {

struct SceneInputs {
  const PlaceSource* places = nullptr;  // outlives the scene; null: no place, no price is known
  WorkHours hours;
};

class Scene {
 public:
  Scene(const BaselineThresholds& thresholds, SceneInputs inputs);

  // To be called before a frame is taken: newer tables hold from there on.
  void Refresh();
  void TakeHost(const Uuid& agent, const v1::HostInfo& info);

  const PlaceTables& tables() const { return *tables_; }
  // Moves on when a way that was worked out may be another now.
  std::uint64_t version() const { return version_; }
  Route RouteTo(const Uuid& agent, const IpAddress& remote) const;
  // "me-south-1", "country DE"; empty = not known.
  std::string RegionOf(const IpAddress& remote) const;
  const WorkHours& hours() const { return inputs_.hours; }
  Baseline& baseline() { return baseline_; }
  const Baseline& baseline() const { return baseline_; }

 private:
  struct Host {
    std::uint32_t number = 0;
    v1::HostInfo info;  // what of it says where it is
  };
  HostSite SiteOf(const v1::HostInfo& info) const;
  void AddToBook(const Host& host);
  void Rebuild();

  SceneInputs inputs_;
  std::shared_ptr<const PlaceTables> tables_;
  std::map<Uuid, Host> hosts_;
  HostBook book_;
  std::uint32_t next_number_ = 1;
  std::uint64_t version_ = 1;
  Baseline baseline_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_SCENE_H_
