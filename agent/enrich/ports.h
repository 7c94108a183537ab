// SPDX-License-Identifier: Apache-2.0
// What enrich asks of the outside. Stage: enrich. Thread: called from the enricher's thread.
#ifndef CULPRIT_AGENT_ENRICH_PORTS_H_
#define CULPRIT_AGENT_ENRICH_PORTS_H_

#include <string>

#include "common/ids.h"

namespace culprit {

class UserNames {
 public:
  virtual ~UserNames() = default;
  // Name of `uid` in the host's passwd; empty if there is none. Called for each definition: keep it in memory.
  virtual std::string NameOf(Uid uid) = 0;
};

// Knows nobody. For tests and for replay of a recording from another host.
class NoUserNames final : public UserNames {
 public:
  std::string NameOf(Uid) override { return {}; }
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_PORTS_H_
