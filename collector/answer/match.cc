// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/match.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>

#include "collector/answer/own_hosts.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kMaxSearches = 300, kMaxMatches = 10, kMaxShown = 5;
constexpr hours kAround{1};
// An event without addresses is told some time after what it is about.
constexpr hours kBefore{24};
constexpr std::uint64_t kConsidering = 16;  // comparisons of times that looking at a flow is worth
constexpr double kWithin = 6, kFits = 3;

ReadingContext ContextOf(const AbuseReport& report, WallTime now) {
  ReadingContext context;
  context.now = now;
  context.default_zone = report.zone;
  context.dates = report.times;
  if (report.sent.empty()) return context;
  // A report of last year is about last year.
  const auto sent = ReadingsOf(report.sent[0], {now, report.zone, {}});
  if (!sent.empty()) context.now = std::min(now, sent[0].to);
  return context;
}

struct Span {
  WallTime from, to;
};

// Overlapping ones become one.
std::vector<Span> Merged(std::vector<Span> spans) {
  std::ranges::sort(spans, {}, &Span::from);
  std::vector<Span> out;
  for (const Span& span : spans) {
    if (!out.empty() && span.from <= out.back().to) {
      out.back().to = std::max(out.back().to, span.to);
    } else {
      out.push_back(span);
    }
  }
  return out;
}

std::vector<Span> SpansOf(const Sighting& sighting, const ReadingContext& context, hours before) {
  std::vector<Span> spans;
  for (const WrittenTime& time : sighting.times) {
    for (const Reading& reading : ReadingsOf(time, context)) {
      spans.push_back({reading.from - before, reading.to + kAround});
    }
  }
  return spans;
}

// The points of a flow's time, and how the report's time was read for them.
struct TimeFit {
  double points = 0;
  std::string why;
};

double PointsOfDistance(std::chrono::nanoseconds distance) {
  if (distance <= seconds(0)) return kWithin;
  if (distance <= seconds(10)) return 5.5;
  if (distance <= minutes(1)) return 5;
  if (distance <= minutes(5)) return 4;
  if (distance <= minutes(15)) return 2;
  if (distance <= hours(1)) return 0;
  return distance <= hours(3) ? -2 : -6;
}

TimeFit FitTime(const std::vector<Reading>& readings, WallTime start, WallTime last,
                std::uint64_t* comparisons) {
  if (readings.empty()) return {};
  TimeFit best{-100, ""};
  const Reading* chosen = nullptr;
  std::chrono::nanoseconds nearest{0};
  for (const Reading& reading : readings) {
    ++*comparisons;
    if (kWithin - reading.doubt <= best.points) break;  // the others are in more doubt
    const auto distance =
        std::max({std::chrono::nanoseconds(0), reading.from - last, start - reading.to});
    const double points = PointsOfDistance(distance) - reading.doubt;
    if (points <= best.points) continue;
    best.points = points;
    chosen = &reading;
    nearest = distance;
  }
  if (chosen == nullptr) return {};
  best.points = std::max(best.points, -8.0);
  const std::string where =
      nearest.count() == 0 ? "within the flow" : FormatDuration(nearest) + " from the flow";
  best.why = fmt::format("time {} ({}): {}", FormatUtc(chosen->from), chosen->why, where);
  return best;
}

class Ranker {
 public:
  Ranker(const AbuseReport& report, const v1::ListHostsResponse& hosts, WallTime now)
      : report_(report), own_(hosts), context_(ContextOf(report, now)) {
    for (const Sighting& sighting : report.sightings) {
      std::vector<Reading> readings;
      for (const WrittenTime& time : sighting.times) {
        for (Reading& reading : ReadingsOf(time, context_)) readings.push_back(std::move(reading));
      }
      std::ranges::stable_sort(readings, {}, &Reading::doubt);
      readings_.push_back(std::move(readings));
    }
  }

  Answer Run(const std::vector<v1::FlowRow>& flows) {
    std::unordered_map<std::string, std::vector<const v1::FlowRow*>> by_remote;
    std::set<std::tuple<std::string, std::string, std::string>> seen;
    std::vector<const v1::FlowRow*> all;
    for (const v1::FlowRow& flow : flows) {
      if (!seen.insert({flow.agent_id(), flow.flow_id(), flow.process_id()}).second) continue;
      by_remote[flow.remote()].push_back(&flow);
      all.push_back(&flow);
    }
    for (std::size_t i = 0; i < report_.sightings.size(); ++i) {
      const Sighting& sighting = report_.sightings[i];
      if (own_.AllOwn(sighting)) {
        for (const v1::FlowRow* flow : all) Consider(i, *flow);
        continue;
      }
      for (const IpAddress& address : sighting.addresses) {
        const auto found = by_remote.find(address.ToString());
        if (found == by_remote.end()) continue;
        for (const v1::FlowRow* flow : found->second) Consider(i, *flow);
      }
    }
    return Finish();
  }

 private:
  using Key = std::pair<std::string, std::string>;  // agent, process
  struct Candidate {
    std::map<std::size_t, FlowMatch> by_sighting;  // the best of each
    std::map<std::size_t, std::set<std::string>> remotes_of;
    std::map<std::string, FlowMatch> by_flow;  // that fit, with their best points
  };

  void Consider(std::size_t sighting, const v1::FlowRow& flow) {
    comparisons_ += kConsidering;
    if (comparisons_ > kMaxComparisons) {
      answer_.cut = true;
      return;
    }
    FlowMatch match;
    match.sighting = sighting;
    Judge(report_.sightings[sighting], readings_[sighting], flow, &match);
    if (match.points < kFits) return;
    match.flow = flow;
    Candidate& candidate = candidates_[{flow.agent_id(), flow.process_id()}];
    candidate.remotes_of[sighting].insert(flow.remote());
    const auto better = [&match](FlowMatch* old) {
      if (match.points > old->points) *old = match;
    };
    better(&candidate.by_sighting.try_emplace(sighting, match).first->second);
    better(&candidate.by_flow.try_emplace(flow.flow_id(), match).first->second);
  }

  void Judge(const Sighting& sighting, const std::vector<Reading>& readings,
             const v1::FlowRow& flow, FlowMatch* match) {
    const auto add = [match](double points, std::string why) {
      match->points += points;
      if (!why.empty()) match->why.push_back(std::move(why));
    };
    if (own_.AllOwn(sighting)) {
      JudgeActivity(sighting, flow, match);
    } else {
      add(0, "remote address " + flow.remote());
    }
    JudgePorts(sighting, flow, match);
    if (!sighting.protocols.empty()) {
      const bool same = own_.HasProtocol(sighting.protocols, flow.protocol());
      add(same ? 1 : -5, same ? "protocol " + flow.protocol() : "another protocol");
    }
    own_.JudgeHost(sighting, flow, add);
    if (flow.direction() == "out") match->points += 1;
    const TimeFit fit = sighting.addresses.empty()
                            ? TimeFit{}
                            : FitTime(readings, WallTimeFromNs(flow.start_ns()),
                                      WallTimeFromNs(flow.last_ns()), &comparisons_);
    add(fit.points, fit.why);
    // Of equal ones, who sent more.
    match->points += 0.1 * std::log10(1.0 + static_cast<double>(flow.tx_wire_bytes()));
  }

  // Only our end is known: what it sent out, to whom.
  void JudgeActivity(const Sighting& sighting, const v1::FlowRow& flow, FlowMatch* match) const {
    const auto remote = IpAddress::Parse(flow.remote());
    if (!remote || !remote->IsPublic() || flow.direction() != "out") {
      match->points -= 6;
      return;
    }
    const bool named = !own_.IsOwn(*remote) &&
                       std::ranges::find(report_.addresses, *remote) != report_.addresses.end();
    if (named) {
      match->points += 3;
      match->why.push_back("remote address " + flow.remote() + ", which the report names");
    }
    if (!sighting.addresses.empty()) return;
    match->points += 0.4 * std::log10(1.0 + static_cast<double>(flow.tx_wire_bytes()));
    match->why.push_back("sent to a public address before the event");
  }

  void JudgePorts(const Sighting& sighting, const v1::FlowRow& flow, FlowMatch* match) const {
    const auto among = [](const std::set<std::uint16_t>& ports, std::uint32_t port) {
      return port != 0 && ports.count(static_cast<std::uint16_t>(port)) != 0;
    };
    std::set<std::uint16_t> any = sighting.ports;
    any.insert(sighting.numbers.begin(), sighting.numbers.end());
    const bool remote = among(any, flow.remote_port()), local = among(any, flow.local_port());
    if (remote) match->why.push_back(fmt::format("remote port {}", flow.remote_port()));
    if (local) match->why.push_back(fmt::format("local port {}", flow.local_port()));
    if (remote && local && flow.remote_port() != flow.local_port()) {
      match->points += 6;
    } else if (remote || local) {
      match->points += 4;
      if (remote && sighting.ports.size() > 1) {
        match->why.push_back("the other port is not this flow's: a NAT may have changed it");
      }
    } else if (!sighting.ports.empty()) {
      match->points -= 6;
    }
    if (!remote && among(sighting.services, flow.remote_port())) {
      match->points += 2;
      match->why.push_back(fmt::format("port {} of the service that is named", flow.remote_port()));
    }
  }

  Answer Finish() {
    for (auto& [key, candidate] : candidates_) Add(key, &candidate);
    std::ranges::stable_sort(answer_.matches, [](const ProcessMatch& a, const ProcessMatch& b) {
      return std::tuple(a.points, a.tx_wire_bytes) > std::tuple(b.points, b.tx_wire_bytes);
    });
    for (std::size_t i = 0; i < answer_.matches.size(); ++i) Grade(i);
    if (answer_.matches.size() > kMaxMatches) answer_.matches.resize(kMaxMatches);
    Note();
    return std::move(answer_);
  }

  // Who touched more of the addresses that stand together.
  double PointsOfSpread(std::size_t sighting, std::size_t remotes) const {
    const Sighting& its = report_.sightings[sighting];
    if (!its.addresses.empty() && own_.AllOwn(its)) return 0;
    return (its.addresses.empty() ? 1 : 2) * std::log2(static_cast<double>(remotes));
  }

  void Add(const Key& key, Candidate* candidate) {
    ProcessMatch match;
    std::tie(match.agent_id, match.process_id) = key;
    match.sightings = candidate->by_sighting.size();
    for (const auto& [sighting, flow] : candidate->by_sighting) {
      match.points +=
          flow.points + PointsOfSpread(sighting, candidate->remotes_of[sighting].size());
    }
    match.points /= static_cast<double>(std::max<std::size_t>(report_.sightings.size(), 1));
    for (auto& [id, flow] : candidate->by_flow) {
      ++match.flows;
      match.tx_wire_bytes += flow.flow.tx_wire_bytes();
      match.rx_wire_bytes += flow.flow.rx_wire_bytes();
      const std::int64_t start = flow.flow.start_ns(), last = flow.flow.last_ns();
      match.first_ns = match.first_ns == 0 ? start : std::min(match.first_ns, start);
      match.last_ns = std::max(match.last_ns, last);
      match.host = flow.flow.host();
      match.best.push_back(std::move(flow));
    }
    std::ranges::stable_sort(match.best, std::greater<>(), &FlowMatch::points);
    if (match.best.size() > kMaxShown) match.best.resize(kMaxShown);
    answer_.matches.push_back(std::move(match));
  }

  void Grade(std::size_t i) {
    ProcessMatch& match = answer_.matches[i];
    const double best = match.best[0].points;
    const bool alone =
        i == 0 && (answer_.matches.size() == 1 || match.points - answer_.matches[1].points >= 2);
    const bool addressed = !report_.sightings[match.best[0].sighting].addresses.empty();
    match.confidence = !addressed           ? "weak"
                       : best >= 9 && alone ? "strong"
                       : best >= 6          ? "likely"
                                            : "weak";
  }

  void Note() {
    for (const IpAddress& address : report_.addresses) own_.NoteAddress(address, &answer_.notes);
    for (const std::string& instance : report_.instances) {
      own_.NoteInstance(instance, &answer_.notes);
    }
    if (report_.times.empty()) answer_.notes.emplace_back("the report names no time");
    if (report_.cut) answer_.notes.emplace_back("the report is longer than what was read of it");
  }

  const AbuseReport& report_;
  const OwnHosts own_;
  const ReadingContext context_;
  std::vector<std::vector<Reading>> readings_;
  std::map<Key, Candidate> candidates_;
  std::uint64_t comparisons_ = 0;
  Answer answer_;
};

// Of a line that names none but ours.
std::set<std::string> HostsOf(const Sighting& sighting, const OwnHosts& own) {
  std::set<std::string> out;
  for (const std::string& instance : sighting.instances) {
    if (own.HasInstance(instance)) out.insert(instance);
  }
  if (!out.empty()) return out;
  for (const IpAddress& address : sighting.addresses) out.merge(own.AgentsOf(address));
  return out;
}

}  // namespace

std::vector<Search> SearchesOf(const AbuseReport& report, const v1::ListHostsResponse& hosts,
                               WallTime now) {
  const OwnHosts own(hosts);
  const ReadingContext context = ContextOf(report, now);
  const bool only_own =
      std::ranges::all_of(report.addresses, [&own](const IpAddress& a) { return own.IsOwn(a); });
  std::map<IpAddress, std::vector<Span>> spans;
  std::map<std::string, std::vector<Span>> by_host;
  std::vector<Search> out;
  for (const Sighting& sighting : report.sightings) {
    for (const IpAddress& address : sighting.addresses) {
      if (own.IsOwn(address) && !only_own) continue;
      std::vector<Span>& all = spans[address];
      const std::vector<Span> here = SpansOf(sighting, context, kAround);
      if (here.empty()) all.push_back({WallTime{}, now + hours(24)});
      all.insert(all.end(), here.begin(), here.end());
    }
    if (!own.AllOwn(sighting)) continue;
    const std::vector<Span> here =
        SpansOf(sighting, context, sighting.addresses.empty() ? kBefore : kAround);
    for (const std::string& host : HostsOf(sighting, own)) {
      std::vector<Span>& all = by_host[host];
      all.insert(all.end(), here.begin(), here.end());
    }
  }
  for (auto& [host, all] : by_host) {
    for (const Span& span : Merged(std::move(all))) {
      if (out.size() < kMaxSearches) out.push_back({std::nullopt, host, span.from, span.to});
    }
  }
  for (auto& [address, all] : spans) {
    for (const Span& span : Merged(std::move(all))) {
      if (out.size() < kMaxSearches) out.push_back({address, "", span.from, span.to});
    }
  }
  return out;
}

Answer RankMatches(const AbuseReport& report, const v1::ListHostsResponse& hosts,
                   const std::vector<v1::FlowRow>& flows, WallTime now) {
  return Ranker(report, hosts, now).Run(flows);
}

}  // namespace culprit
