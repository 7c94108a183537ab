// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/episodes.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

#include "collector/detect/bill.h"
#include "collector/detect/rules.h"
#include "common/hex.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxEpisodes = 4096;
constexpr int kMaxTargets = 16, kMaxFlowIds = 32;
constexpr auto kUpdateInterval = std::chrono::seconds(10);
constexpr auto kEpisodeGap =
    std::chrono::hours(1);  // after so long a silence it is another episode

std::uint64_t IdOfHex(const std::string& text) {
  std::uint64_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id, 16);
  return id;
}

// "me-south-1, eu-west-1": regions of the targets, in their order.
std::string RegionsOf(const v1::Finding& finding) {
  std::vector<std::string> regions;
  for (const v1::Target& target : finding.targets()) {
    if (target.region().empty() ||
        std::find(regions.begin(), regions.end(), target.region()) != regions.end()) {
      continue;
    }
    regions.push_back(target.region());
  }
  return fmt::format("{}", fmt::join(regions, ", "));
}

void AddFlowIds(const v1::Finding& before, const std::vector<FlowId>& flows, v1::Finding* next) {
  *next->mutable_flow_ids() = before.flow_ids();
  for (const FlowId flow : flows) {
    const std::string id = HexId(flow.value());
    const auto& ids = next->flow_ids();
    if (next->flow_ids_size() < kMaxFlowIds && std::find(ids.begin(), ids.end(), id) == ids.end()) {
      next->add_flow_ids(id);
    }
  }
}

}  // namespace

// What there is to say of the newest alarm; `before` is empty for a new episode.
v1::Finding Episodes::Describe(const Group& group, Alarm* alarm, const v1::Finding& before) const {
  v1::Finding next;
  const Rule& rule = RuleOf(alarm->rule);
  next.set_rule(alarm->rule);
  next.set_rule_version(rule.version);
  for (const char* id : rule.attack_ids) {
    if (id != nullptr) next.add_attack_ids(id);
  }
  next.set_confidence(alarm->confidence);
  next.set_process_id(HexId(alarm->process.value()));
  next.set_subject(group.key);
  const Weights weights = WeighAlarm(*alarm, group, from_);
  for (const std::string& line : weights.lines) next.add_weights(line);
  next.set_base_severity(alarm->severity);
  next.set_severity(Weighed(alarm->severity, weights.points));
  if (const auto session = from_.sessions.SessionOf(alarm->process, from_.processes)) {
    *next.mutable_session() = *session;
  }
  if (const v1::Process* process = from_.processes.Find(alarm->process); process != nullptr) {
    next.set_pid(process->tgid());
    next.set_exe(process->exe());
    next.set_exe_sha256(HexEncode(process->exe_sha256()));
    next.set_command_line(CommandLineOf(*process));
    next.set_user(process->user());
  }
  for (std::string& line : from_.processes.AncestryOf(alarm->process)) {
    next.add_ancestry(std::move(line));
  }
  for (v1::Measure& measure : alarm->measures) *next.add_measures() = std::move(measure);
  for (v1::Target& target : alarm->targets) {
    if (next.targets_size() < kMaxTargets) *next.add_targets() = std::move(target);
  }
  AddFlowIds(before, alarm->flows, &next);
  if (before.has_cost()) *next.mutable_cost() = before.cost();
  return next;
}

void Episodes::Raise(const Group& group, Alarm alarm) {
  const Key key(alarm.rule, group.key);
  auto it = episodes_.find(key);
  if (it != episodes_.end() &&
      WallTimeFromNs(it->second.finding.last_ns()) + kEpisodeGap < alarm.at) {
    episodes_.erase(it);
    it = episodes_.end();
  }
  const bool fresh = it == episodes_.end();
  if (fresh) it = episodes_.emplace(key, Episode{}).first;
  Episode& episode = it->second;
  const v1::Finding& before = episode.finding;
  v1::Finding next = Describe(group, &alarm, before);
  next.set_first_ns(fresh ? ToNs(std::min(alarm.first, alarm.at)) : before.first_ns());
  next.set_trigger_ns(fresh ? ToNs(alarm.at) : before.trigger_ns());
  next.set_trigger_lsn(fresh ? alarm.lsn : before.trigger_lsn());
  next.set_last_ns(std::max(before.last_ns(), ToNs(alarm.at)));
  next.set_last_lsn(std::max(before.last_lsn(), alarm.lsn));
  if (!fresh) next.set_severity(std::max(next.severity(), before.severity()));
  const bool worse = next.severity() > before.severity() || next.confidence() > before.confidence();
  episode.finding = std::move(next);
  episode.process = alarm.process;
  episode.reason = std::move(alarm.reason);
  episode.unseen.reset();
  if (!fresh && !worse && alarm.at < episode.again) {
    episode.news = true;
    Await(key, &episode);
    return;
  }
  episode.again = alarm.at + kUpdateInterval;
  Settle(group, fresh, &episode);
  Tell(&episode);
}

void Episodes::Await(const Key& key, Episode* episode) {
  if (std::exchange(episode->waits, true)) return;
  waiting_.push_back(key);
  next_ = std::min(next_, episode->again);
}

std::vector<Episodes::Waiting> Episodes::TakeWaiting(WallTime now) {
  std::vector<Waiting> due;
  if (now < next_) return due;
  next_ = WallTime::max();
  std::erase_if(waiting_, [&](const Key& key) {
    const auto it = episodes_.find(key);
    if (it == episodes_.end()) return true;
    Episode& episode = it->second;
    if (now < episode.again) {
      next_ = std::min(next_, episode.again);
      return false;
    }
    episode.waits = false;
    if (episode.news || episode.unseen) {
      due.push_back({key.first, key.second, std::exchange(episode.unseen, std::nullopt)});
    }
    return true;
  });
  return due;
}

// `again` stays: what comes next is told at once, whether or not this was.
void Episodes::TellNews(const Group& group, const std::string& rule) {
  const auto it = episodes_.find({rule, group.key});
  if (it == episodes_.end() || !it->second.news) return;
  Settle(group, false, &it->second);
  Tell(&it->second);
}

// Brings what was spent up to now.
void Episodes::Settle(const Group& group, bool fresh, Episode* episode) const {
  v1::Finding& finding = episode->finding;
  if (group.spend != nullptr) {
    const std::vector<WayBytes> now = group.spend->Totals();
    if (fresh) {
      episode->spent = group.spend->Since(WallTimeFromNs(finding.first_ns()));
    } else {
      AddDifference(now, episode->seen, &episode->spent);
    }
    episode->seen = now;
    const v1::FindingCost cost = CostOf(
        episode->spent, group.spend->LastHour(WallTimeFromNs(finding.last_ns())), ways_);
    if (cost.shares_size() > 0) *finding.mutable_cost() = cost;
  }
  PriceFinding(from_.scene.tables().prices.get(), &finding);
  Place(&finding);
}

void Episodes::Place(v1::Finding* finding) const {
  for (v1::Target& target : *finding->mutable_targets()) {
    const auto address = IpAddress::Parse(target.address());
    if (!address) continue;
    const GeoPlace place = from_.scene.tables().geo.Find(*address);
    target.set_region(place.region);
    target.set_service(place.service);
  }
}

void Episodes::Tell(Episode* episode) {
  episode->news = false;
  v1::Finding& finding = episode->finding;
  if (episode->reason) {
    std::string reason = *episode->reason;
    if (const std::string regions = RegionsOf(finding); !regions.empty()) {
      reason += "; to AWS " + regions;
    }
    if (const std::string bill = BillText(finding.cost()); !bill.empty()) reason += "; " + bill;
    if (finding.has_session()) reason += "; in " + SessionText(finding.session());
    finding.set_reason(std::move(reason));
  }
  if (held_.count({finding.rule(), finding.subject()}) == 0) sink_(finding);
}

bool Episodes::IsDue(const Group& group, const char* rule, const FlowMoment& flow) {
  const auto it = episodes_.find({rule, group.key});
  if (it == episodes_.end() || it->second.again <= flow.at) return true;
  it->second.unseen = flow;
  Await(it->first, &it->second);
  return false;
}

void Episodes::SessionsMoved(Lsn lsn) {
  for (auto& [key, episode] : episodes_) {
    v1::Finding& finding = episode.finding;
    const auto session = from_.sessions.SessionOf(episode.process, from_.processes);
    if (!session || session->SerializeAsString() == finding.session().SerializeAsString()) continue;
    *finding.mutable_session() = *session;
    finding.set_last_lsn(std::max(finding.last_lsn(), lsn));
    Tell(&episode);
  }
}

void Episodes::Hold(const v1::Finding& stored) { held_.insert({stored.rule(), stored.subject()}); }

void Episodes::Rejoin(const v1::Finding& stored, const Group& group) {
  const Key key(stored.rule(), stored.subject());
  held_.erase(key);
  Episode& episode = episodes_[key];
  const ProcessId process{IdOfHex(stored.process_id())};
  episode = Episode{};
  episode.finding = stored;
  episode.process = process;
  episode.again = WallTimeFromNs(stored.last_ns()) + kUpdateInterval;
  episode.spent = BytesOf(stored.cost(), &ways_);
  if (group.spend != nullptr) episode.seen = group.spend->Totals();
}

void Episodes::Forget() {
  if (episodes_.size() <= kMaxEpisodes) return;
  const auto oldest =
      std::min_element(episodes_.begin(), episodes_.end(), [](const auto& a, const auto& b) {
        return a.second.finding.last_ns() < b.second.finding.last_ns();
      });
  episodes_.erase(oldest);
}

}  // namespace culprit
