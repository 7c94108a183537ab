// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/baseline.h"

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kMaxHosts = 8192;
constexpr std::array<std::size_t, kSeenKinds> kMaxSeen = {1, 64, 1024, 512};
constexpr std::size_t kMaxSiblings = 16;  // that are asked
constexpr std::size_t kMaxChanges = 262'144;  // that nobody takes
constexpr auto kTellAgain = std::chrono::hours(1);

std::size_t IndexOf(SeenKind kind) { return static_cast<std::size_t>(kind); }

}  // namespace

Baseline::Host& Baseline::Touch(const Uuid& agent, WallTime at) {
  const auto [it, fresh] = hosts_.try_emplace(agent);
  Host& host = it->second;
  host.first = std::min(host.first, at);
  host.last = std::max(host.last, at);
  return host;
}

void Baseline::SetImage(const Uuid& agent, Host* host, const std::string& image) {
  if (image.empty() || image == host->image) return;
  by_image_[host->image].erase(agent);
  host->image = image;
  host->told = WallTime{};
  by_image_[image].insert(agent);
}

void Baseline::Change(SeenRow row) {
  if (changes_.size() < kMaxChanges) changes_.push_back(std::move(row));
}

void Baseline::NoteHost(const Uuid& agent, const std::string& image, WallTime at) {
  Host& host = Touch(agent, at);
  SetImage(agent, &host, image);
  if (host.told != WallTime{} && at < host.told + kTellAgain) return;
  host.told = at;
  Change({agent, SeenKind::kHost, host.image, host.first, host.last, false});
  ForgetHosts();
}

void Baseline::Note(const Uuid& agent, SeenKind kind, const std::string& name, WallTime at) {
  Host& host = Touch(agent, at);
  Table& table = host.tables[IndexOf(kind)];
  const auto [it, fresh] = table.try_emplace(name, Seen{at, at, {}});
  Seen& seen = it->second;
  const bool earlier = at < seen.first;
  seen.first = std::min(seen.first, at);
  seen.last = std::max(seen.last, at);
  if (!fresh && !earlier && at < seen.told + kTellAgain) return;
  seen.told = at;
  Change({agent, kind, name, seen.first, seen.last, false});
  if (fresh && table.size() > kMaxSeen[IndexOf(kind)]) Shrink(agent, kind, &table);
}

// The quarter that was not seen for longest goes.
void Baseline::Shrink(const Uuid& agent, SeenKind kind, Table* table) {
  std::vector<WallTime> times;
  times.reserve(table->size());
  for (const auto& [name, seen] : *table) times.push_back(seen.last);
  const auto quarter = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  std::size_t over = table->size() / 4;
  for (auto it = table->begin(); it != table->end() && over > 0;) {
    if (it->second.last > *quarter) {
      ++it;
      continue;
    }
    Change({agent, kind, it->first, it->second.first, it->second.last, true});
    it = table->erase(it);
    --over;
  }
}

void Baseline::ForgetHosts() {
  if (hosts_.size() <= kMaxHosts) return;
  const auto silent = std::min_element(
      hosts_.begin(), hosts_.end(),
      [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  Change({silent->first, SeenKind::kHost, {}, {}, {}, true});
  by_image_[silent->second.image].erase(silent->first);
  hosts_.erase(silent);
}

bool Baseline::IsGrown(const Host& host, WallTime at) const {
  return host.first != WallTime::max() &&
         host.first + std::chrono::hours(thresholds_.learn_hours) <= at;
}

Familiarity Baseline::Judge(const Uuid& agent, SeenKind kind, const std::string& name,
                            WallTime at) const {
  const auto host = hosts_.find(agent);
  if (host == hosts_.end()) return Familiarity::kNotJudged;
  const Table& table = host->second.tables[IndexOf(kind)];
  const auto seen = table.find(name);
  if (seen != table.end()) {
    const auto age = at - seen->second.first;
    if (age >= std::chrono::hours(thresholds_.known_hours)) return Familiarity::kKnown;
    if (age >= std::chrono::hours(thresholds_.fresh_hours)) return Familiarity::kSeen;
  }
  if (IsGrown(host->second, at)) return Familiarity::kNew;
  return BySiblings(agent, host->second, kind, name, at);
}

Familiarity Baseline::BySiblings(const Uuid& agent, const Host& host, SeenKind kind,
                                 const std::string& name, WallTime at) const {
  const auto image = by_image_.find(host.image);
  if (host.image.empty() || image == by_image_.end()) return Familiarity::kNotJudged;
  std::size_t asked = 0;
  for (const Uuid& other : image->second) {
    const auto sibling = hosts_.find(other);
    if (other == agent || sibling == hosts_.end() || !IsGrown(sibling->second, at)) continue;
    const Table& table = sibling->second.tables[IndexOf(kind)];
    const auto seen = table.find(name);
    const auto fresh = std::chrono::hours(thresholds_.fresh_hours);
    if (seen != table.end() && seen->second.first + fresh <= at) return Familiarity::kSeen;
    if (++asked == kMaxSiblings) break;
  }
  return asked == 0 ? Familiarity::kNotJudged : Familiarity::kNew;
}

std::optional<WallTime> Baseline::FirstSeen(const Uuid& agent, SeenKind kind,
                                            const std::string& name) const {
  const auto host = hosts_.find(agent);
  if (host == hosts_.end()) return std::nullopt;
  const Table& table = host->second.tables[IndexOf(kind)];
  const auto seen = table.find(name);
  if (seen == table.end()) return std::nullopt;
  return seen->second.first;
}

void Baseline::Load(const std::vector<SeenRow>& rows) {
  for (const SeenRow& row : rows) {
    Host& host = Touch(row.agent, row.last);
    if (row.kind == SeenKind::kHost) {
      host.first = std::min(host.first, row.first);
      SetImage(row.agent, &host, row.name);
      host.told = row.last;
      continue;
    }
    const auto [it, fresh] =
        host.tables[IndexOf(row.kind)].try_emplace(row.name, Seen{row.first, row.last, row.last});
    if (!fresh) it->second.first = std::min(it->second.first, row.first);
  }
}

std::vector<SeenRow> Baseline::TakeChanges() { return std::exchange(changes_, {}); }

}  // namespace culprit
