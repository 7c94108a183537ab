// SPDX-License-Identifier: Apache-2.0
// What of the configuration can change while the collector runs, and what is in force.
// Stage: wiring. Thread: InForceBox from any, the rest are values.
#ifndef CULPRIT_COLLECTOR_RELOAD_H_
#define CULPRIT_COLLECTOR_RELOAD_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "collector/config.h"
#include "common/credentials.h"
#include "common/time.h"

namespace culprit {

struct InForce {
  CollectorConfig config;
  Credentials credentials;
  WallTime loaded;
  std::vector<std::string> pending;  // keys that the file has otherwise: after a restart
  std::string refused;  // why the file was not taken when it was read last; empty = it was
};

// Takes from `file` what can change in a running collector. Returns the keys that differ still.
std::vector<std::string> AdoptLive(const CollectorConfig& file, CollectorConfig* config);

// One value that is exchanged as a whole.
class InForceBox {
 public:
  explicit InForceBox(InForce first) : now_(std::make_shared<const InForce>(std::move(first))) {}
  std::shared_ptr<const InForce> Get() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void Set(InForce next) {
    auto made = std::make_shared<const InForce>(std::move(next));
    const std::lock_guard lock(mutex_);
    now_ = std::move(made);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const InForce> now_;  // guarded by mutex_
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_RELOAD_H_
