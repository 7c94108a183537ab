// SPDX-License-Identifier: Apache-2.0
#include "collector/store/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace culprit {
namespace {

using KeySet = std::unordered_set<FlowKey, FlowKeyHash>;

// Position in the (descending) order: larger value first, then smaller key.
struct Rank {
  std::uint64_t value = 0;
  std::string key;
  bool operator<(const Rank& o) const { return value != o.value ? value > o.value : key < o.key; }
};

bool Behind(const Rank& rank, const std::optional<PageCursor>& after) {
  return !after || Rank{after->value, after->key} < rank;
}

std::string KeyText(const FlowKey& k) {
  return fmt::format("{:08x}{:016x}{:016x}", k.host, k.flow, k.process);
}

// Times as an order: the sign bit flipped, so that times before 1970 sort below.
std::uint64_t TimeValue(WallTime t) {
  return static_cast<std::uint64_t>(ToNs(t)) ^ (std::uint64_t{1} << 63);
}

std::uint64_t ValueOf(OrderBy order, const FlowCounters& sum, std::uint64_t flows, WallTime last) {
  switch (order) {
    case OrderBy::kTime:
      return TimeValue(last);
    case OrderBy::kBytes:
      return sum.tx_wire_bytes + sum.rx_wire_bytes;
    case OrderBy::kTx:
      return sum.tx_wire_bytes;
    case OrderBy::kRx:
      return sum.rx_wire_bytes;
    case OrderBy::kFlows:
      return flows;
  }
  return 0;
}

Error TooMuch(std::size_t limit) {
  return MakeError(Code::kResourceExhausted,
                   fmt::format("the answer has more than {} entries: narrow the time range or add "
                               "a filter",
                               limit));
}

struct Picked {
  Rank rank;
  RowPosition newest;
  bool operator<(const Picked& o) const { return rank < o.rank; }
};

// Keeps the best limit + 1 behind the cursor: the one too many says that there is a next page.
class Page {
 public:
  explicit Page(const AggregatePlan& plan) : plan_(plan) {}
  bool Wants(const Rank& rank) const {
    return Behind(rank, plan_.after) && (!full() || rank < picked_.rbegin()->rank);
  }
  // False if no key of this value is wanted.
  bool MayWant(std::uint64_t value) const {
    return (!plan_.after || value <= plan_.after->value) && (!full() || value >= worst());
  }
  void Put(Picked picked) {
    picked_.insert(std::move(picked));
    if (picked_.size() > plan_.limit + std::size_t{1}) picked_.erase(std::prev(picked_.end()));
  }
  bool full() const { return picked_.size() > plan_.limit; }
  std::uint64_t worst() const { return picked_.rbegin()->rank.value; }
  const std::set<Picked>& picked() const { return picked_; }

 private:
  const AggregatePlan& plan_;
  std::set<Picked> picked_;
};

// Flows by time: the newest rows name them, so that the rest need not be read.
class NewestFlows final : public RowVisitor {
 public:
  NewestFlows(const AggregatePlan& plan, const AggregateContext& context, FlowReader* reader)
      : plan_(plan), context_(context), reader_(reader), page_(plan) {}

  bool Row(const StoredFlow& flow) override {
    if (!seen_.insert(flow.key()).second) return true;
    if (seen_.size() > context_.max_groups) {
      error_ = TooMuch(context_.max_groups);
      return false;
    }
    if (plan_.where.state && *plan_.where.state != flow.row.facts.state) return true;
    const std::uint64_t value = TimeValue(flow.row.facts.last);
    if (!page_.MayWant(value)) return true;  // spares making its text
    Picked picked{{value, KeyText(flow.key())}, {part, flow.id}};
    if (!page_.Wants(picked.rank)) return true;
    if (plan_.where.min_bytes > 0) {
      auto total = reader_->Read(picked.newest, WindowOf(plan_.where));
      if (!total || !*total) return true;
      const FlowCounters& sum = (*total)->sum;
      if (sum.tx_wire_bytes + sum.rx_wire_bytes < plan_.where.min_bytes) return true;
    }
    page_.Put(std::move(picked));
    return true;
  }
  bool More(WallTime newest) override {
    return !page_.full() || TimeValue(newest) >= page_.worst();
  }

  const Page& page() const { return page_; }
  const std::optional<Error>& error() const { return error_; }
  std::uint64_t part = 0;

 private:
  const AggregatePlan& plan_;
  const AggregateContext& context_;
  FlowReader* reader_;
  Page page_;
  KeySet seen_;
  std::optional<Error> error_;
};

struct FlowSum {
  std::uint64_t tx = 0, rx = 0;
  WallTime last;
  v1::FlowState state = v1::FLOW_STATE_UNSPECIFIED;
  RowPosition newest;
};
using FlowSums = std::unordered_map<FlowKey, FlowSum, FlowKeyHash>;

class SumFlows final : public RowVisitor {
 public:
  SumFlows(const FlowPredicate& where, std::size_t max) : window_(WindowOf(where)), max_(max) {}
  bool Row(const StoredFlow& flow) override {
    const auto [it, fresh] = sums.try_emplace(flow.key());
    FlowSum& sum = it->second;
    if (fresh) {
      if (sums.size() > max_) return false;
      sum.last = flow.row.facts.last;
      sum.state = flow.row.facts.state;
      sum.newest = {part, flow.id};
    }
    const FlowDelta& r = flow.row;
    sum.tx += Share(r.added.tx_wire_bytes, r.t0, r.t1, window_);
    sum.rx += Share(r.added.rx_wire_bytes, r.t0, r.t1, window_);
    return true;
  }
  bool overflow() const { return sums.size() > max_; }
  FlowSums sums;
  std::uint64_t part = 0;

 private:
  const Window window_;
  const std::size_t max_;
};

bool Passes(const FlowPredicate& where, const FlowSum& sum) {
  return (!where.state || *where.state == sum.state) && sum.tx + sum.rx >= where.min_bytes;
}

class Groups final : public RowVisitor {
 public:
  Groups(const AggregatePlan& plan, const AggregateContext& context, const FlowSums* chosen)
      : plan_(plan), context_(context), chosen_(chosen), window_(WindowOf(plan.where)) {}

  bool Row(const StoredFlow& flow) override {
    const FlowKey key = flow.key();
    if (chosen_ != nullptr) {
      const auto sum = chosen_->find(key);
      if (sum == chosen_->end() || !Passes(plan_.where, sum->second)) return true;
    }
    const std::size_t index = GroupOf(flow);
    GroupTotal& group = groups[index];
    const FlowFacts& facts = flow.row.facts;
    const FlowCounters added = Share(flow.row.added, flow.row.t0, flow.row.t1, window_);
    Add(&group.sum, added);
    if (plan_.route_of) {
      AddRoute(&group.routes, plan_.route_of(flow.row.host, facts.remote), added);
    }
    if (flows_.insert(key).second) {
      ++group.flows;
      group.failed += facts.state == v1::FLOW_STATE_FAILED ? 1 : 0;
      group.forwarded += facts.direction == v1::FLOW_DIRECTION_FORWARDED ? 1 : 0;
      if (destinations_.insert({index, facts.remote}).second) ++group.destinations;
    }
    group.last = std::max(group.last, facts.last);
    group.first = std::min(group.first, flow.row.t0);
    return flows_.size() <= context_.max_groups;
  }
  bool overflow() const { return flows_.size() > context_.max_groups; }
  std::vector<GroupTotal> groups;
  std::uint64_t part = 0;

 private:
  struct Destination {
    std::size_t group;
    IpAddress remote;
    bool operator==(const Destination&) const = default;
  };
  struct DestinationHash {
    std::size_t operator()(const Destination& d) const noexcept {
      return std::hash<IpAddress>{}(d.remote) ^ (d.group * 0x9e3779b97f4a7c15ULL);
    }
  };

  static void AddRoute(std::vector<RouteBytes>* routes, std::uint32_t route,
                       const FlowCounters& added) {
    auto it = std::ranges::find(*routes, route, &RouteBytes::route);
    if (it == routes->end()) it = routes->insert(it, {route, 0, 0});
    it->tx += added.tx_wire_bytes;
    it->rx += added.rx_wire_bytes;
  }
  std::size_t GroupOfRemote(const IpAddress& remote) {
    const auto [it, fresh] = by_remote_.try_emplace(remote, groups.size());
    if (!fresh) return it->second;
    if (plan_.by == GroupBy::kDestination) {
      Begin(remote.ToString());
      return it->second;
    }
    const auto [named, fresh_name] = by_name_.try_emplace(plan_.place_of(remote), groups.size());
    if (fresh_name) Begin(named->first);
    return it->second = named->second;
  }
  std::size_t GroupOf(const StoredFlow& flow) {
    const FlowDelta& r = flow.row;
    const HostProcess process{r.host, r.facts.process.value()};
    if (plan_.by == GroupBy::kDestination || plan_.by == GroupBy::kPlace) {
      return GroupOfRemote(r.facts.remote);
    }
    const bool host = plan_.by == GroupBy::kHost;
    const auto [it, fresh] =
        by_process_.try_emplace(host ? HostProcess{r.host, 0} : process, groups.size());
    if (!fresh) return it->second;
    if (plan_.by == GroupBy::kProcess || host) {
      Begin(host ? context_.agent_id(r.host) : fmt::format("{:016x}", process.process));
      groups.back().host = r.host;
      if (!host) groups.back().process = r.facts.process;
      return it->second;
    }
    const auto [named, fresh_name] = by_name_.try_emplace(NameOf(process), groups.size());
    if (fresh_name) Begin(named->first);
    return it->second = named->second;
  }
  std::string NameOf(const HostProcess& process) const {
    const SharedProcess record = context_.process(process);
    if (record == nullptr) return "";
    const v1::Process& p = record->definition;
    if (plan_.by == GroupBy::kExe) return p.exe();
    return UserOf(p);
  }
  void Begin(std::string key) {
    GroupTotal group;
    group.key = std::move(key);
    group.first = WallTime::max();
    group.last = WallTime::min();
    groups.push_back(std::move(group));
  }

  const AggregatePlan& plan_;
  const AggregateContext& context_;
  const FlowSums* chosen_;
  const Window window_;
  std::unordered_map<IpAddress, std::size_t> by_remote_;
  std::unordered_map<HostProcess, std::size_t, HostProcessHash> by_process_;
  std::unordered_map<std::string, std::size_t> by_name_;
  KeySet flows_;
  std::unordered_set<Destination, DestinationHash> destinations_;
};

// Runs `visitor` over the parts that may match. True = none was stopped early.
template <class Visitor>
Result<bool> Visit(const AggregatePlan& plan, const AggregateContext& context, Detail detail,
                   Visitor* visitor, std::uint32_t* parts_scanned) {
  for (std::size_t i = 0; i < context.parts.size(); ++i) {
    const PartFile& part = *context.parts[i];
    if (!PartMayMatch(plan.where, part.id(), part.extent())) continue;
    WallTime newest = WallTime::min();
    for (std::size_t j = i; j < context.parts.size(); ++j) {
      newest = std::max(newest, context.parts[j]->extent().max_last);
    }
    if (!visitor->More(newest)) return false;
    ++*parts_scanned;
    visitor->part = part.id();
    auto more = ScanPart(part, plan.where, detail, context.cancelled, visitor);
    // A damaged part is passed over and reported by stats().
    if (!more && more.error().code != Code::kDataLoss) return std::move(more).error();
  }
  return true;
}

void Finish(const AggregatePlan& plan, const Page& page, AggregateResult* out,
            std::vector<const Picked*>* rows) {
  for (const Picked& picked : page.picked()) {
    if (rows->size() == plan.limit) {
      const Rank& last = rows->back()->rank;
      out->next = PageCursor{last.value, last.key};
      break;
    }
    rows->push_back(&picked);
  }
}

Result<AggregateResult> ListFlows(const AggregatePlan& plan, const AggregateContext& context) {
  AggregateResult out;
  FlowReader reader(context.parts);
  NewestFlows newest(plan, context, &reader);
  Page by_sum(plan);
  const bool by_time = plan.order == OrderBy::kTime || plan.order == OrderBy::kFlows;
  if (by_time) {
    TRY_VOID(Visit(plan, context, Detail::kFacts, &newest, &out.parts_scanned));
    if (newest.error()) return *newest.error();
  } else {
    SumFlows sums(plan.where, context.max_groups);
    TRY_VOID(Visit(plan, context, Detail::kBytes, &sums, &out.parts_scanned));
    if (sums.overflow()) return TooMuch(context.max_groups);
    for (const auto& [key, sum] : sums.sums) {
      if (!Passes(plan.where, sum)) continue;
      FlowCounters counters;
      counters.tx_wire_bytes = sum.tx;
      counters.rx_wire_bytes = sum.rx;
      const std::uint64_t value = ValueOf(plan.order, counters, 1, sum.last);
      if (!by_sum.MayWant(value)) continue;
      Picked picked{{value, KeyText(key)}, sum.newest};
      if (by_sum.Wants(picked.rank)) by_sum.Put(std::move(picked));
    }
  }
  std::vector<const Picked*> rows;
  Finish(plan, by_time ? newest.page() : by_sum, &out, &rows);
  for (const Picked* picked : rows) {
    if (context.cancelled && context.cancelled()) {
      return MakeError(Code::kCancelled, "query cancelled");
    }
    TRY(std::optional<FlowTotal> total, reader.Read(picked->newest, WindowOf(plan.where)));
    if (total) out.flows.push_back(std::move(*total));
  }
  return out;
}

Result<AggregateResult> ListGroups(const AggregatePlan& plan, const AggregateContext& context) {
  AggregateResult out;
  SumFlows sums(plan.where, context.max_groups);
  const bool of_flows = plan.where.state || plan.where.min_bytes > 0;
  if (of_flows) {
    TRY_VOID(Visit(plan, context, Detail::kBytes, &sums, &out.parts_scanned));
    if (sums.overflow()) return TooMuch(context.max_groups);
    out.parts_scanned = 0;
  }
  Groups groups(plan, context, of_flows ? &sums.sums : nullptr);
  TRY_VOID(Visit(plan, context, Detail::kCounts, &groups, &out.parts_scanned));
  if (groups.overflow()) return TooMuch(context.max_groups);
  Page page(plan);
  for (std::size_t i = 0; i < groups.groups.size(); ++i) {
    const GroupTotal& g = groups.groups[i];
    const std::string key = g.key + "@" + std::to_string(g.host);
    Picked picked{{ValueOf(plan.order, g.sum, g.flows, g.last), key},
                  {0, static_cast<std::int64_t>(i)}};
    if (page.Wants(picked.rank)) page.Put(std::move(picked));
  }
  std::vector<const Picked*> rows;
  Finish(plan, page, &out, &rows);
  for (const Picked* picked : rows) {
    out.groups.push_back(std::move(groups.groups[static_cast<std::size_t>(picked->newest.row)]));
  }
  return out;
}

}  // namespace

Result<AggregateResult> AggregateFlows(const AggregatePlan& plan, const AggregateContext& context) {
  return plan.by == GroupBy::kFlow ? ListFlows(plan, context) : ListGroups(plan, context);
}

}  // namespace culprit
