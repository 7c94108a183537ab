// SPDX-License-Identifier: Apache-2.0
// What the integrity detector remembers of each agent. Stage: detect. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_DETECT_INTEGRITY_STATE_H_
#define CULPRIT_COLLECTOR_DETECT_INTEGRITY_STATE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collector/model/stored.h"
#include "common/frame.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"
#include "culprit/v1/evidence.pb.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

// A heartbeat, and when and by whom it came.
struct Beat {
  v1::Heartbeat facts;
  Uuid run_id, boot_id;
  ClockPair clock;
  WallTime received;
  std::string peer, version;
  Lsn lsn = 0;
};

// One spool's history. An agent has one at a time.
struct WatchedStream {
  Uuid id;
  bool replay = false;                   // of a recording: its clock is not that of today
  std::string reason;                    // why it was begun, until that was judged
  bool rolled_back = false;              // the one before had more than its spool
  std::optional<Beat> beat;              // the newest
  bool interrupted = false;              // what lies between that and the next one is not whole
  std::set<std::string> hooks;           // active, as of the newest heartbeat
  std::optional<v1::Fidelity> fidelity;  // that came since
  std::string peer;
  Lsn used = 0;
};

// Frames that are missing and were not declared as lost, yet.
struct WatchedGap {
  Uuid stream;
  Lane lane = Lane::kEvidence;
  std::uint64_t first = 0, last = 0;
  WallTime seen;
  Lsn lsn = 0;
};

struct RecentFlow {
  FlowId id;
  Endpoint remote;
  std::uint64_t tx_bytes = 0, rx_bytes = 0;
};

struct WatchedAgent {
  Uuid id;
  std::string name, host, version;
  bool live = false;      // gives heartbeats of its own host
  bool imported = false;  // its newest frame came from a file: nothing follows by itself
  Uuid current;           // stream
  std::vector<WatchedStream> streams;
  std::vector<WatchedGap> gaps;
  std::deque<RecentFlow> flows;
  WallTime last_received;
  Lsn last_lsn = 0;
  struct Stop {
    Uuid run_id;
    std::string reason;
    WallTime at;
    Lsn lsn = 0;
    bool told_absent = false;
  };
  std::optional<Stop> stopped;
  // Records of processes that were summed up for want of room.
  struct Shed {
    Uuid run_id;
    std::map<v1::LossCause, std::uint64_t> known;
    WallTime since;
    std::uint64_t records = 0;  // since then
  };
  Shed shed;
  WallTime silent_since;  // zero: it speaks
  v1::Severity silence = v1::SEVERITY_UNSPECIFIED;
  std::uint64_t refused_forks = 0;
  struct Episode {
    v1::Finding finding;
    std::uint64_t times = 0;
  };
  std::map<std::string, Episode> episodes;  // by rule
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_INTEGRITY_STATE_H_
