// SPDX-License-Identifier: Apache-2.0
#include "collector/store/part_scan.h"

#include <algorithm>
#include <limits>

namespace culprit {
namespace {

constexpr std::uint64_t kRowsPerCancelCheck = 4096;
// Blocks wider than this are left to the zone map: a /16 of IPv4, a /32 of IPv6.
constexpr std::uint8_t kIndexedPrefixV4 = 96 + 16;
constexpr std::uint8_t kIndexedPrefixV6 = 32;
// A time range of so few rows is read as it is.
constexpr std::int64_t kFewRows = 20'000;
// To read over so many rows costs less than to look up the next.
constexpr std::int64_t kMaxGap = 4;

struct RowRange {
  std::int64_t first = 0, last = 0;
};

struct ChunkRow {
  std::int64_t first = 0, last = 0;
  WallTime newest_below;  // largest max_last of this chunk and all before it
};

std::int64_t Saturate(WallTime t, std::chrono::nanoseconds more) {
  const __int128 sum = static_cast<__int128>(ToNs(t)) + more.count();
  return static_cast<std::int64_t>(
      std::min<__int128>(sum, std::numeric_limits<std::int64_t>::max()));
}

class Scan {
 public:
  Scan(const PartFile& part, const FlowPredicate& where, Detail detail, const Cancelled& cancelled,
       RowVisitor* visitor)
      : part_(part),
        extent_(part.extent()),
        where_(where),
        detail_(detail),
        cancelled_(cancelled),
        visitor_(visitor) {}

  Result<bool> Run() {
    TRY(PartFile::Lease db, part_.Open());
    std::int64_t rows = 0;
    TRY(const std::vector<ChunkRow> chunks, Chunks(*db, &rows));
    if (UseIndex(rows)) return ByIndex(*db, chunks);
    return ByChunks(*db, chunks);
  }

 private:
  std::int64_t MaxRow() const {
    const bool bounded = where_.as_of && where_.as_of->part == part_.id();
    return bounded ? where_.as_of->row : std::numeric_limits<std::int64_t>::max();
  }

  // Newest first.
  Result<std::vector<ChunkRow>> Chunks(const SqliteDb& db, std::int64_t* rows) const {
    TRY(SqliteStatement s, db.Prepare("SELECT first_row,last_row,max_last,processes FROM chunk "
                                      "WHERE max_t1>=? AND min_t0<=? AND first_row<=? "
                                      "AND last_row>=first_row ORDER BY first_row"));
    s.Bind(1, where_.from.value_or(WallTime::min()));
    s.Bind(2, where_.to.value_or(WallTime::max()));
    s.Bind(3, MaxRow());
    std::vector<ChunkRow> out;
    WallTime newest = WallTime::min();
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      newest = std::max(newest, s.Time(2));
      if (where_.processes && !ProcessBloom::MayContainAny(s.Blob(3), *where_.processes)) continue;
      out.push_back({s.Int(0), std::min(s.Int(1), MaxRow()), newest});
      *rows += out.back().last - out.back().first + 1;
    }
    std::ranges::reverse(out);
    return out;
  }

  bool UseIndex(std::int64_t rows) const {
    if (!where_.remote || rows <= kFewRows) return false;
    const bool v4 = where_.remote->base.IsV4();
    return where_.remote->prefix_length >= (v4 ? kIndexedPrefixV4 : kIndexedPrefixV6);
  }

  // The conditions that SQLite can judge, and their values.
  std::string Conditions(std::vector<std::int64_t>* values) const {
    std::string sql;
    const auto add = [&](const char* condition, std::int64_t value) {
      sql += std::string(" AND ") + condition;
      values->push_back(value);
    };
    if (where_.host) add("host=?", *where_.host);
    if (where_.processes && where_.processes->size() == 1) {
      add("process=?", static_cast<std::int64_t>(*where_.processes->begin()));
    }
    if (where_.flows && where_.flows->size() == 1) {
      add("flow=?", static_cast<std::int64_t>(*where_.flows->begin()));
    }
    if (where_.from) add("t1>=?", ToNs(*where_.from));
    if (where_.to) add("t1-dt<=?", ToNs(*where_.to));
    if (where_.remote_port) add("rport=?", *where_.remote_port);
    if (where_.protocol) add("proto=?", *where_.protocol);
    if (where_.direction) add("dir=?", *where_.direction);
    if (where_.exclude_listeners) add("dir<>?", v1::FLOW_DIRECTION_LISTEN);
    if (where_.exclude_flags != 0) add("flags&?=0", where_.exclude_flags);
    if (where_.local_port) add("lport=?", *where_.local_port);
    return sql;
  }

  // Reads what `s` yields. True = the visitor wants more.
  Result<bool> Drain(SqliteStatement* s) {
    while (true) {
      if (seen_++ % kRowsPerCancelCheck == 0 && cancelled_ && cancelled_()) {
        return MakeError(Code::kCancelled, "query cancelled");
      }
      TRY(const bool row, s->Step());
      if (!row) return true;
      ReadFlow(*s, detail_, &flow_);
      if (RowMatches(where_, flow_.row) && !visitor_->Row(flow_)) return false;
    }
  }

  // Rows of an id range that meet the conditions, newest first. Parameters 1 and 2 are the range.
  Result<SqliteStatement> PrepareRange(const SqliteDb& db) const {
    std::vector<std::int64_t> values;
    const std::string sql = "SELECT " + FlowColumns(detail_) +
                            " FROM flow WHERE id BETWEEN ? AND ?" + Conditions(&values) +
                            " ORDER BY id DESC";
    TRY(SqliteStatement s, db.Prepare(sql));
    int parameter = 2;
    for (const std::int64_t value : values) s.Bind(++parameter, value);
    return s;
  }

  Result<bool> DrainRange(SqliteStatement* s, std::int64_t first, std::int64_t last) {
    s->Bind(1, first);
    s->Bind(2, last);
    TRY(const bool more, Drain(s));
    s->Reset();
    return more;
  }

  Result<bool> ByChunks(const SqliteDb& db, const std::vector<ChunkRow>& chunks) {
    TRY(SqliteStatement s, PrepareRange(db));
    for (const ChunkRow& chunk : chunks) {
      if (!visitor_->More(chunk.newest_below)) return false;
      TRY(const bool more, DrainRange(&s, chunk.first, chunk.last));
      if (!more) return false;
    }
    return true;
  }

  // Where the index says that rows are, newest first. Transactions are sorted by address, so its
  // rows lie side by side: ranges are read in one go, with a few rows between that do not match.
  Result<std::vector<RowRange>> IndexedRanges(const SqliteDb& db) const {
    TRY(const std::vector<std::int64_t> ids, IndexedRows(db));
    std::vector<RowRange> out;
    for (const std::int64_t id : ids) {
      if (out.empty() || out.back().first - id > kMaxGap) out.push_back({id, id});
      out.back().first = id;
    }
    return out;
  }

  // Row ids from the index alone, newest first.
  Result<std::vector<std::int64_t>> IndexedRows(const SqliteDb& db) const {
    const bool one = where_.remote->prefix_length == 128;
    std::string sql = "SELECT id FROM flow INDEXED BY flow_remote WHERE raddr";
    sql += one ? "=?1" : " BETWEEN ?1 AND ?5";
    if (where_.remote_port) sql += " AND rport=?4";
    sql += " AND t1>=?2 AND t1<=?3";
    TRY(SqliteStatement s, db.Prepare(sql));
    s.Bind(1, where_.remote->First());
    s.Bind(2, where_.from.value_or(WallTime::min()));
    s.Bind(3, where_.to ? Saturate(*where_.to, extent_.max_dt)
                        : std::numeric_limits<std::int64_t>::max());
    if (where_.remote_port) s.Bind(4, int{*where_.remote_port});
    if (!one) s.Bind(5, where_.remote->Last());
    std::vector<std::int64_t> ids;
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      if (s.Int(0) <= MaxRow()) ids.push_back(s.Int(0));
      if (ids.size() % kRowsPerCancelCheck == 0 && cancelled_ && cancelled_()) {
        return MakeError(Code::kCancelled, "query cancelled");
      }
    }
    std::ranges::sort(ids, std::greater<>{});
    return ids;
  }

  Result<bool> ByIndex(const SqliteDb& db, const std::vector<ChunkRow>& chunks) {
    TRY(const std::vector<RowRange> ranges, IndexedRanges(db));
    TRY(SqliteStatement s, PrepareRange(db));
    auto range = ranges.begin();
    for (const ChunkRow& chunk : chunks) {
      while (range != ranges.end() && range->first > chunk.last) ++range;
      if (range == ranges.end()) break;
      if (range->last < chunk.first) continue;
      if (!visitor_->More(chunk.newest_below)) return false;
      for (auto r = range; r != ranges.end() && r->last >= chunk.first; ++r) {
        TRY(const bool more,
            DrainRange(&s, std::max(r->first, chunk.first), std::min(r->last, chunk.last)));
        if (!more) return false;
      }
    }
    return true;
  }

  const PartFile& part_;
  const PartExtent extent_;
  const FlowPredicate& where_;
  const Detail detail_;
  const Cancelled& cancelled_;
  RowVisitor* visitor_;
  StoredFlow flow_;
  std::uint64_t seen_ = 0;
};

}  // namespace

Window WindowOf(const FlowPredicate& where) { return {where.from, where.to}; }

bool RowMatches(const FlowPredicate& where, const FlowDelta& row) {
  const FlowFacts& f = row.facts;
  return WindowOf(where).Touches(row.t0, row.t1) && (!where.host || *where.host == row.host) &&
         (!where.processes || where.processes->count(f.process.value()) != 0) &&
         (!where.flows || where.flows->count(f.flow.value()) != 0) &&
         (!where.not_flow || *where.not_flow != f.flow.value()) &&
         (!where.remote || where.remote->Contains(f.remote)) &&
         (!where.remote_port || *where.remote_port == f.remote_port) &&
         (!where.local_port || *where.local_port == f.local_port) &&
         (!where.protocol || *where.protocol == f.protocol) &&
         (!where.direction || *where.direction == f.direction) &&
         (f.flags & where.exclude_flags) == 0 &&
         !(where.exclude_listeners && f.direction == v1::FLOW_DIRECTION_LISTEN);
}

bool FlowMatches(const FlowPredicate& where, const FlowTotal& flow) {
  FlowPredicate timeless = where;
  timeless.from.reset();
  timeless.to.reset();
  const FlowDelta row{flow.host, flow.facts.last, flow.facts.last, flow.facts, {}};
  return RowMatches(timeless, row) && (!where.state || *where.state == flow.facts.state) &&
         flow.sum.tx_wire_bytes + flow.sum.rx_wire_bytes >= where.min_bytes;
}

bool PartMayMatch(const FlowPredicate& where, std::uint64_t part, const PartExtent& extent) {
  if (where.as_of && part > where.as_of->part) return false;
  return (!where.from || extent.max_t1 >= *where.from) && (!where.to || extent.min_t0 <= *where.to);
}

Error PartError(const PartFile& part, Error error) {
  if (error.code != Code::kDataLoss) return error;
  return DataLoss(part.SetDamageFrom(error.message));
}

Result<bool> ScanPart(const PartFile& part, const FlowPredicate& where, Detail detail,
                      const Cancelled& cancelled, RowVisitor* visitor) {
  auto result = Scan(part, where, detail, cancelled, visitor).Run();
  if (!result) return PartError(part, std::move(result).error());
  return result;
}

}  // namespace culprit
