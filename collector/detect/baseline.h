// SPDX-License-Identifier: Apache-2.0
// Baseline: what hosts have done before: destinations that answered, regions, programs that use the
// network, each with when it was first and last seen. Outlives boots of a host and restarts of the
// collector (FindingStore keeps it; without that, it comes again with the journal).
//
// Stage: detect. Pure: the time is that of the records. Thread: one caller. Bounded: so many of a
// kind a host, so many hosts; the longest unused go. A host that is younger than what it takes to
// learn is judged by its siblings (hosts of the same image that are old enough), or not at all.
#ifndef CULPRIT_COLLECTOR_DETECT_BASELINE_H_
#define CULPRIT_COLLECTOR_DETECT_BASELINE_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/detect/thresholds.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

// Numbers are stored.
enum class SeenKind : std::uint8_t { kHost = 0, kRegion = 1, kDestination = 2, kProgram = 3 };
inline constexpr std::size_t kSeenKinds = 4;

// A line of the baseline. `name`: of kHost the image, of kDestination 16 bytes, else text.
struct SeenRow {
  Uuid agent;
  SeenKind kind = SeenKind::kHost;
  std::string name;
  WallTime first, last;
  bool gone = false;  // forgotten
};

enum class Familiarity : std::uint8_t {
  kNotJudged,  // nothing to compare with
  kNew,        // first seen a short while ago
  kSeen,
  kKnown,  // for long
};

class Baseline {
 public:
  explicit Baseline(const BaselineThresholds& thresholds) : thresholds_(thresholds) {}

  // The host lives at `at`. `image` may be empty.
  void NoteHost(const Uuid& agent, const std::string& image, WallTime at);
  void Note(const Uuid& agent, SeenKind kind, const std::string& name, WallTime at);

  Familiarity Judge(const Uuid& agent, SeenKind kind, const std::string& name, WallTime at) const;
  // First time that it was seen, by the host itself.
  std::optional<WallTime> FirstSeen(const Uuid& agent, SeenKind kind,
                                    const std::string& name) const;

  void Load(const std::vector<SeenRow>& rows);
  // What is new or has moved on by an hour since the last call.
  std::vector<SeenRow> TakeChanges();

 private:
  struct Seen {
    WallTime first, last, told;
  };
  using Table = std::unordered_map<std::string, Seen>;
  struct Host {
    WallTime first = WallTime::max(), last;
    WallTime told;
    std::string image;
    std::array<Table, kSeenKinds> tables;
  };
  Host& Touch(const Uuid& agent, WallTime at);
  void SetImage(const Uuid& agent, Host* host, const std::string& image);
  void Change(SeenRow row);
  void Shrink(const Uuid& agent, SeenKind kind, Table* table);
  void ForgetHosts();
  bool IsGrown(const Host& host, WallTime at) const;
  Familiarity BySiblings(const Uuid& agent, const Host& host, SeenKind kind,
                         const std::string& name, WallTime at) const;

  const BaselineThresholds thresholds_;
  std::map<Uuid, Host> hosts_;
  std::map<std::string, std::set<Uuid>> by_image_;
  std::vector<SeenRow> changes_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_BASELINE_H_
