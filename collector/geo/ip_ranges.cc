// SPDX-License-Identifier: Apache-2.0
#include "collector/geo/ip_ranges.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace culprit {
namespace {

using Json = nlohmann::json;
using Bytes = std::array<std::uint8_t, 16>;

constexpr std::size_t kMaxWord = 64;
constexpr const char* kWhere =
    "expected AWS's own file, as https://ip-ranges.amazonaws.com/ip-ranges.json gives it";

struct Prefix {
  Bytes first, last;
  std::uint8_t length = 0;
  std::string region, service;
};

// What is said closer than AMAZON wins among equals, and a service's end over anyone's instance.
int Closeness(const std::string& service) {
  if (service == "AMAZON") return 0;
  return service == "EC2" ? 1 : 2;
}

// The address after `bytes`; false behind the last one.
bool Increment(Bytes* bytes) {
  for (auto it = bytes->rbegin(); it != bytes->rend(); ++it) {
    if (++*it != 0) return true;
  }
  return false;
}

Result<std::string> Word(const Json& row, const char* key, const std::string& where) {
  const auto it = row.find(key);
  const auto* text = it == row.end() ? nullptr : it->get_ptr<const std::string*>();
  const bool plain = text != nullptr && !text->empty() && text->size() <= kMaxWord &&
                     std::ranges::all_of(*text, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!plain) return InvalidArgument(fmt::format("{}: no \"{}\"; {}", where, key, kWhere));
  return *text;
}

Status TakePrefixes(const Json& root, const char* list, const char* key, std::vector<Prefix>* out) {
  const auto it = root.find(list);
  if (it == root.end() || !it->is_array()) {
    return InvalidArgument(fmt::format("no list \"{}\"; {}", list, kWhere));
  }
  if (out->size() + it->size() > kMaxIpRanges) {
    return InvalidArgument(fmt::format("more than {} prefixes", kMaxIpRanges));
  }
  for (std::size_t i = 0; i < it->size(); ++i) {
    const std::string where = fmt::format("{}[{}]", list, i);
    TRY(const std::string text, Word((*it)[i], key, where));
    auto cidr = Cidr::Parse(text);
    if (!cidr) return std::move(cidr).error().Context(where);
    Prefix prefix{cidr->First().bytes(), cidr->Last().bytes(), cidr->prefix_length, {}, {}};
    TRY(prefix.region, Word((*it)[i], "region", where));
    TRY(prefix.service, Word((*it)[i], "service", where));
    out->push_back(std::move(prefix));
  }
  return Ok();
}

// "2026-08-22-15-17-05", UTC.
Result<WallTime> ParseCreated(const Json& root) {
  TRY(const std::string text, Word(root, "createDate", "the top"));
  std::array<int, 6> parts{};
  const char* at = text.data();
  const char* end = at + text.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, parts[i]);
    const bool last = i + 1 == parts.size();
    const bool ended = last ? next == end : next != end && *next == '-';
    if (error != std::errc() || !ended) {
      return InvalidArgument(fmt::format("createDate: expected YYYY-MM-DD-hh-mm-ss; {}", kWhere));
    }
    at = last ? next : next + 1;
  }
  const std::chrono::year_month_day day{std::chrono::year(parts[0]),
                                        std::chrono::month(static_cast<unsigned>(parts[1])),
                                        std::chrono::day(static_cast<unsigned>(parts[2]))};
  const bool clock = parts[3] >= 0 && parts[3] < 24 && parts[4] >= 0 && parts[4] < 60 &&
                     parts[5] >= 0 && parts[5] <= 60;
  if (!day.ok() || parts[0] < 1970 || parts[0] > 2200 || parts[1] < 0 || parts[2] < 0 || !clock) {
    return InvalidArgument(fmt::format("createDate: no date; {}", kWhere));
  }
  return WallTime(std::chrono::sys_days(day)) + std::chrono::hours(parts[3]) +
         std::chrono::minutes(parts[4]) + std::chrono::seconds(parts[5]);
}

}  // namespace

// Nested prefixes -> borders between disjoint ranges, in the order of addresses.
class IpRanges::Builder {
 public:
  explicit Builder(IpRanges* out) : out_(*out) {}

  // `prefixes` in the order of their first address, the shorter before the longer.
  void Run(const std::vector<Prefix>& prefixes) {
    for (const Prefix& prefix : prefixes) {
      CloseBefore(prefix.first);
      open_.push_back({prefix.last, PlaceOf(prefix)});
      Mark(prefix.first, open_.back().place);
    }
    while (!open_.empty()) CloseTop();
    out_.borders_.shrink_to_fit();
  }

 private:
  struct Open {
    Bytes last;
    std::uint32_t place;
  };

  void CloseBefore(const Bytes& first) {
    while (!open_.empty() && open_.back().last < first) CloseTop();
  }
  void CloseTop() {
    Bytes behind = open_.back().last;
    open_.pop_back();
    if (Increment(&behind)) Mark(behind, open_.empty() ? kNowhere : open_.back().place);
  }
  void Mark(const Bytes& first, std::uint32_t place) {
    if (!out_.borders_.empty() && out_.borders_.back().first == first) out_.borders_.pop_back();
    if (!out_.borders_.empty() && out_.borders_.back().place == place) return;
    out_.borders_.push_back({first, place});
  }
  std::uint32_t PlaceOf(const Prefix& prefix) {
    std::string service = prefix.service;
    for (auto it = open_.rbegin(); it != open_.rend() && service == "AMAZON"; ++it) {
      const AwsPlace& outer = out_.places_[it->place];
      if (outer.region == prefix.region) service = outer.service;
    }
    const auto next = static_cast<std::uint32_t>(out_.places_.size());
    const auto [it, fresh] = known_.try_emplace({prefix.region, service}, next);
    if (fresh) out_.places_.push_back({prefix.region, service});
    return it->second;
  }

  IpRanges& out_;
  std::vector<Open> open_;
  std::map<std::pair<std::string, std::string>, std::uint32_t> known_;
};

Result<IpRanges> IpRanges::Parse(std::string_view json) {
  const Json root = Json::parse(json, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return InvalidArgument(fmt::format("not a JSON object (was it cut off?); {}", kWhere));
  }
  IpRanges out;
  TRY(out.created_, ParseCreated(root));
  std::vector<Prefix> prefixes;
  TRY_VOID(TakePrefixes(root, "prefixes", "ip_prefix", &prefixes));
  TRY_VOID(TakePrefixes(root, "ipv6_prefixes", "ipv6_prefix", &prefixes));
  if (prefixes.empty()) return InvalidArgument(fmt::format("no prefix in it; {}", kWhere));
  std::ranges::sort(prefixes, [](const Prefix& a, const Prefix& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.length != b.length) return a.length < b.length;
    // Of equal ones the last is innermost and therefore holds.
    const int x = Closeness(a.service), y = Closeness(b.service);
    return x != y ? x < y : std::tie(a.service, a.region) > std::tie(b.service, b.region);
  });
  out.prefixes_ = prefixes.size();
  Builder(&out).Run(prefixes);
  return out;
}

const AwsPlace* IpRanges::Find(const IpAddress& address) const {
  const auto behind =
      std::ranges::upper_bound(borders_, address.bytes(), std::ranges::less(), &Border::first);
  if (behind == borders_.begin()) return nullptr;
  const std::uint32_t place = std::prev(behind)->place;
  return place == kNowhere ? nullptr : &places_[place];
}

}  // namespace culprit
