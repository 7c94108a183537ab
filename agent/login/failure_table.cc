// SPDX-License-Identifier: Apache-2.0
#include "agent/login/failure_table.h"

#include <algorithm>
#include <limits>

namespace culprit {
namespace {

constexpr std::size_t kMaxText = 256;
constexpr std::chrono::seconds kMinuteOver{90};  // lines of a minute may come a little later

std::int64_t MinuteOf(WallTime wall) {
  return ToNs(WallTime(std::chrono::floor<std::chrono::minutes>(wall)));
}

}  // namespace

FailureTable::Key FailureTable::KeyOf(const LoginLine& line, WallTime wall) {
  Key key{MinuteOf(wall), line.from ? line.from->address : IpAddress{},
          line.method.substr(0, kMaxText), line.user.substr(0, kMaxText), line.invalid_user};
  if (records_.contains(key)) return key;
  if (records_.size() >= limits_.max_records) {
    return {key.minute, {}, {}, "*", false};
  }
  std::size_t& users = users_[{key.minute, key.address}];
  if (users >= limits_.max_users_an_address) {
    key.user = "*";
    key.invalid_user = false;
  } else {
    ++users;
  }
  return key;
}

void FailureTable::On(const LoginLine& line, BootTime now, WallTime wall) {
  failures_ += line.times;
  Record& record = records_[KeyOf(line, wall)];
  if (record.count == 0) record.first = record.told_at = now;
  record.count += line.times;
  record.last = now;
  if (line.kind == LoginLineKind::kFailed) Remember(line, now);
}

void FailureTable::Remember(const LoginLine& line, BootTime now) {
  if (!line.from) return;
  const auto found = sources_.find(line.from->address);
  if (found == sources_.end() && sources_.size() >= limits_.max_sources) {
    std::erase_if(sources_, [&](const auto& s) { return now - s.second.last > limits_.remember; });
    if (sources_.size() >= limits_.max_sources) sources_.erase(sources_.begin());
  }
  Source& source = sources_[line.from->address];
  if (now - source.last > limits_.remember) source.count = 0;
  source.count += line.times;
  source.last = now;
}

std::uint32_t FailureTable::FailuresFrom(const IpAddress& address, BootTime now) const {
  const auto found = sources_.find(address);
  if (found == sources_.end() || now - found->second.last > limits_.remember) return 0;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(found->second.count, kMost));
}

LoginFailureFacts FailureTable::Facts(const Key& key, const Record& record) {
  LoginFailureFacts facts;
  facts.minute_wall_ns = key.minute;
  if (!key.address.IsUnspecified()) facts.address = key.address;
  facts.user = key.user;
  facts.invalid_user = key.invalid_user;
  facts.method = key.method;
  facts.count = record.count;
  facts.last = record.last;
  return facts;
}

void FailureTable::Tick(BootTime now, std::vector<LoginFailureFacts>* out) {
  for (auto it = records_.begin(); it != records_.end();) {
    Record& record = it->second;
    const bool over = now - record.first > kMinuteOver;
    if (record.count != record.told && (over || now - record.told_at >= limits_.flush)) {
      out->push_back(Facts(it->first, record));
      record.told = record.count;
      record.told_at = now;
    }
    if (!over) {
      ++it;
      continue;
    }
    users_.erase({it->first.minute, it->first.address});
    it = records_.erase(it);
  }
}

void FailureTable::Flush(std::vector<LoginFailureFacts>* out) {
  for (auto& [key, record] : records_) {
    if (record.count != record.told) out->push_back(Facts(key, record));
    record.told = record.count;
  }
}

}  // namespace culprit
