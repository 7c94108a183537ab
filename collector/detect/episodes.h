// SPDX-License-Identifier: Apache-2.0
// Episodes: alarms of one host made into findings: one a rule and group while it goes on, with who,
// where, what it costs and what weighs, told when it begins and again as it moves on.
//
// Stage: detect. Pure: the time is that of the records. Thread: one caller. Bounded: of more
// episodes than it holds the one that is silent longest is forgotten (its finding is stored).
// Restart: an episode that is stored is taken up where it was last told (Rejoin); until the
// evidence has come that far again it is held, and nothing is told of it.
#ifndef CULPRIT_COLLECTOR_DETECT_EPISODES_H_
#define CULPRIT_COLLECTOR_DETECT_EPISODES_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collector/detect/spend.h"
#include "collector/detect/weights.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

// Takes a finding that is new or has moved on. `id` and state are not for the detector to set.
using FindingSink = std::function<void(const v1::Finding&)>;

// Of the event by which a rule would look at its group.
struct FlowMoment {
  FlowId flow;
  ProcessId process;
  WallTime at;
  Lsn lsn = 0;
};

class Episodes {
 public:
  // All of `sources` and `ways` outlive it.
  Episodes(const WeighSources& sources, WayBook* ways, FindingSink sink)
      : from_(sources), ways_(*ways), sink_(std::move(sink)) {}

  void Raise(const Group& group, Alarm alarm);
  // Whether the next alarm would be told. If not, `flow` is what the rule has to look at once more.
  bool IsDue(const Group& group, const char* rule, const FlowMoment& flow);

  // What has moved on since it was told, and may be told again by `now`.
  struct Waiting {
    std::string rule, group;
    std::optional<FlowMoment> flow;  // that the rule has not looked at yet
  };
  std::vector<Waiting> TakeWaiting(WallTime now);
  void TellNews(const Group& group, const std::string& rule);

  // Logins are known a little later than what is done in them.
  void SessionsMoved(Lsn lsn);

  void Hold(const v1::Finding& stored);
  void Rejoin(const v1::Finding& stored, const Group& group);
  void Forget();

 private:
  using Key = std::pair<std::string, std::string>;  // rule, group
  struct Episode {
    v1::Finding finding;
    ProcessId process;                  // of the newest evidence
    std::optional<std::string> reason;  // without what Tell() adds; none = as it was stored
    WallTime again;                    // when it may be told next
    bool news = false;                 // since it was told
    bool waits = false;                // is among waiting_
    std::optional<FlowMoment> unseen;  // by the rule
    std::vector<WayBytes> spent;       // since it began
    std::vector<WayBytes> seen;        // of the group, when it was looked at last
  };
  v1::Finding Describe(const Group& group, Alarm* alarm, const v1::Finding& before) const;
  void Settle(const Group& group, bool fresh, Episode* episode) const;
  void Place(v1::Finding* finding) const;
  void Tell(Episode* episode);
  void Await(const Key& key, Episode* episode);

  const WeighSources from_;
  WayBook& ways_;
  FindingSink sink_;
  std::map<Key, Episode> episodes_;
  std::set<Key> held_;
  std::vector<Key> waiting_;
  WallTime next_ = WallTime::max();  // when the first of those may be told, or earlier
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_EPISODES_H_
