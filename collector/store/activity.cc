// SPDX-License-Identifier: Apache-2.0
#include "collector/store/activity.h"

#include <algorithm>
#include <unordered_map>

namespace culprit {
namespace {

struct Sum {
  ProcessActivity activity;
  std::unordered_map<IpAddress, std::uint64_t> by_remote;
  DistinctSketch sketch;
};
using Sums = std::unordered_map<HostProcess, Sum, HostProcessHash>;

Sum& SumOf(Sums* sums, const HostProcess& key) {
  const auto [it, fresh] = sums->try_emplace(key);
  if (fresh) {
    it->second.activity.host = key.host;
    it->second.activity.process = ProcessId{key.process};
  }
  return it->second;
}

class SumRows final : public RowVisitor {
 public:
  SumRows(const ActivityQuery& query, Sums* sums) : query_(query), sums_(sums) {}
  bool Row(const StoredFlow& flow) override {
    const FlowDelta& r = flow.row;
    Sum& sum = SumOf(sums_, {r.host, r.facts.process.value()});
    const std::uint64_t tx = Share(r.added.tx_wire_bytes, r.t0, r.t1, query_.window);
    const std::uint64_t rx = Share(r.added.rx_wire_bytes, r.t0, r.t1, query_.window);
    sum.activity.tx_wire_bytes += tx;
    sum.activity.rx_wire_bytes += rx;
    if ((r.facts.flags & v1::FLOW_FLAG_AGENT) != 0) sum.activity.is_agent = true;
    if (r.facts.direction == v1::FLOW_DIRECTION_LISTEN) return true;
    sum.by_remote[r.facts.remote] += tx + rx;
    if (flows_.insert(flow.key()).second) ++sum.activity.flows;
    return flows_.size() <= query_.max_groups;
  }
  bool overflow() const { return flows_.size() > query_.max_groups; }

 private:
  const ActivityQuery& query_;
  Sums* sums_;
  std::unordered_set<FlowKey, FlowKeyHash> flows_;
};

Status AddCounters(const PartFile& part, const ActivityQuery& query, Sums* sums) {
  TRY(PartFile::Lease db, part.Open());
  TRY(SqliteStatement chunks,
      db->Prepare("SELECT first_counter,last_counter FROM chunk WHERE "
                  "max_t1>=? AND min_t0<=? AND last_counter>=first_counter"));
  chunks.Bind(1, *query.window.from);
  chunks.Bind(2, *query.window.to);
  TRY(SqliteStatement rows,
      db->Prepare("SELECT host,process,t1,dt,attempts,failed,crafted FROM counter "
                  "WHERE id BETWEEN ? AND ? AND t1>=?"));
  while (true) {
    TRY(const bool chunk, chunks.Step());
    if (!chunk) return Ok();
    rows.Reset();
    rows.Bind(1, chunks.Int(0));
    rows.Bind(2, chunks.Int(1));
    rows.Bind(3, *query.window.from);
    while (true) {
      TRY(const bool row, rows.Step());
      if (!row) break;
      const WallTime t1 = rows.Time(2);
      const WallTime t0 = t1 - std::chrono::nanoseconds(rows.Int(3));
      if (!query.window.Touches(t0, t1) || (query.host && *query.host != rows.U32(0))) continue;
      ProcessActivity& a = SumOf(sums, {rows.U32(0), rows.UInt(1)}).activity;
      a.attempts += Share(rows.UInt(4), t0, t1, query.window);
      a.failed += Share(rows.UInt(5), t0, t1, query.window);
      a.crafted_packets += Share(rows.UInt(6), t0, t1, query.window);
    }
  }
}

Status AddMinutes(const PartFile& part, const ActivityQuery& query, Sums* sums) {
  TRY(PartFile::Lease db, part.Open());
  // A minute at a time per host: the key begins with the host.
  std::string sql =
      "SELECT host,minute,process,started,active,tx,rx,attempts,failed,is_agent,busiest,"
      "busiest_bytes,destinations,crafted FROM minute WHERE minute>=? AND minute<=?";
  if (query.host) sql += " AND host=?";
  TRY(SqliteStatement s, db->Prepare(sql));
  const std::int64_t first = MinuteOf(*query.window.from);
  s.Bind(1, first);
  s.Bind(2, MinuteOf(*query.window.to - std::chrono::nanoseconds(1)));
  if (query.host) s.Bind(3, *query.host);
  std::uint64_t seen = 0;
  while (true) {
    TRY(const bool row, s.Step());
    if (!row) return Ok();
    if (++seen % 4096 == 0 && query.cancelled && query.cancelled()) {
      return MakeError(Code::kCancelled, "query cancelled");
    }
    const MinuteActivity m = ReadMinute(s, 3);
    Sum& sum = SumOf(sums, {s.U32(0), s.UInt(2)});
    ProcessActivity& a = sum.activity;
    a.flows += s.Int(1) == first ? m.active : m.started;
    a.tx_wire_bytes += m.tx;
    a.rx_wire_bytes += m.rx;
    a.attempts += m.attempts;
    a.failed += m.failed;
    a.crafted_packets += m.crafted;
    a.is_agent = a.is_agent || m.is_agent;
    sum.sketch.Merge(m.destinations);
    sum.by_remote[m.busiest] += m.busiest_bytes;
  }
}

std::vector<ProcessActivity> Collect(Sums* sums) {
  std::vector<ProcessActivity> out;
  out.reserve(sums->size());
  for (auto& [key, sum] : *sums) {
    ProcessActivity& a = sum.activity;
    a.destinations = std::max<std::uint64_t>(a.destinations, sum.sketch.Count());
    for (const auto& [remote, bytes] : sum.by_remote) {
      if (bytes > a.busiest_bytes ||
          (bytes == a.busiest_bytes && bytes > 0 && remote < a.busiest_remote)) {
        a.busiest_remote = remote;
        a.busiest_bytes = bytes;
      }
    }
    out.push_back(a);
  }
  return out;
}

bool Overlaps(const PartFile& part, const Window& window) {
  const PartExtent extent = part.extent();
  return extent.max_t1 >= *window.from && extent.min_t0 <= *window.to;
}

}  // namespace

Result<std::vector<ProcessActivity>> ActivityFromRows(const std::vector<SharedPart>& parts,
                                                      const ActivityQuery& query) {
  Sums sums;
  SumRows visitor(query, &sums);
  FlowPredicate where;
  where.from = query.window.from;
  where.to = query.window.to;
  where.host = query.host;
  for (const SharedPart& part : parts) {
    if (!Overlaps(*part, query.window)) continue;
    auto more = ScanPart(*part, where, Detail::kBytes, query.cancelled, &visitor);
    if (!more && more.error().code != Code::kDataLoss) return std::move(more).error();
    if (visitor.overflow()) {
      return MakeError(Code::kResourceExhausted, "too many flows: ask for a shorter window");
    }
    if (const Status added = AddCounters(*part, query, &sums); !added) {
      (void)PartError(*part, added.error());
    }
  }
  for (auto& [key, sum] : sums) sum.activity.destinations = sum.by_remote.size();
  return Collect(&sums);
}

Result<std::vector<ProcessActivity>> ActivityFromMinutes(const std::vector<SharedPart>& parts,
                                                         const ActivityQuery& query) {
  Sums sums;
  for (const SharedPart& part : parts) {
    if (!Overlaps(*part, query.window)) continue;
    const Status added = AddMinutes(*part, query, &sums);
    if (!added && added.error().code == Code::kCancelled) return added.error();
    if (!added) (void)PartError(*part, added.error());
    if (sums.size() > query.max_groups) {
      return MakeError(Code::kResourceExhausted, "too many processes: ask for a shorter window");
    }
  }
  return Collect(&sums);
}

}  // namespace culprit
