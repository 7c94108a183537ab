// SPDX-License-Identifier: Apache-2.0
// SqliteStore: what payload said. A name is looked for by equality or by suffix; both read the
// names alone.
#include <algorithm>
#include <set>
#include <tuple>

#include "collector/store/aggregate.h"
#include "collector/store/sqlite_store.h"

namespace culprit {
namespace {

// Names are told about when their flow is, but not in one frame with its rows.
constexpr std::chrono::minutes kApart{1};

WallTime Plus(WallTime time, std::chrono::nanoseconds span) {
  return time > WallTime::max() - span ? WallTime::max() : time + span;
}

bool MayHold(const PartExtent& extent, const NamePredicate& where) {
  return (!where.from || extent.max_named >= *where.from) &&
         (!where.to || extent.min_named < *where.to);
}

bool MayName(const PartExtent& extent, WallTime since, WallTime until) {
  return extent.min_named <= extent.max_named &&
         Plus(std::max(extent.max_named, extent.max_t1), kApart) >= since &&
         std::min(extent.min_named, extent.min_t0) <= Plus(until, kApart);
}

// A condition and its values, in the order in which they are bound.
class Condition {
 public:
  explicit Condition(const NamePredicate& where) : where_(where) {
    if (where.host) sql_ += " AND host=?";
    if (where.from) sql_ += " AND t>=?";
    if (where.to) sql_ += " AND t<?";
    if (where.name.starts_with('.')) {
      sql_ += " AND (name=? OR substr(name, -?)=?)";
    } else if (!where.name.empty()) {
      sql_ += " AND name=?";
    }
  }
  const std::string& sql() const { return sql_; }
  void Bind(SqliteStatement* s) const {
    int i = 0;
    if (where_.host) s->Bind(++i, *where_.host);
    if (where_.from) s->Bind(++i, *where_.from);
    if (where_.to) s->Bind(++i, *where_.to);
    if (where_.name.empty()) return;
    const bool below = where_.name.starts_with('.');
    const std::string_view name(where_.name);
    s->BindText(++i, below ? name.substr(1) : name);
    if (!below) return;
    s->Bind(++i, static_cast<std::int64_t>(name.size()));
    s->BindText(++i, name);
  }

 private:
  const NamePredicate& where_;
  std::string sql_;
};

FlowNameRecord ReadName(const SqliteStatement& s, std::uint32_t host, FlowId flow) {
  FlowNameRecord out;
  out.host = host;
  out.flow = flow;
  out.source = static_cast<v1::NameSource>(s.Int(0));
  out.at = s.Time(1);
  out.process = ProcessId{s.UInt(2)};
  out.confidence = static_cast<v1::NameConfidence>(s.Int(3));
  out.port = static_cast<std::uint16_t>(s.Int(4));
  out.command = static_cast<std::uint8_t>(s.Int(5));
  out.name = std::string(s.Blob(6));
  out.alpn = std::string(s.Blob(7));
  return out;
}

DnsRecord ReadDns(const SqliteStatement& s) {
  DnsRecord out;
  out.host = s.U32(0);
  out.process = ProcessId{s.UInt(1)};
  out.flow = FlowId{s.UInt(2)};
  out.at = s.Time(3);
  out.server = {s.Address(4), static_cast<std::uint16_t>(s.Int(5))};
  out.name = std::string(s.Blob(6));
  out.type = static_cast<std::uint16_t>(s.Int(7));
  out.rcode = static_cast<std::int32_t>(s.Int(8));
  out.answers = std::string(s.Blob(9));
  out.questions = s.U32(10);
  out.query_bytes = s.UInt(11);
  out.answer_bytes = s.UInt(12);
  out.suppressed = s.U32(13);
  return out;
}

}  // namespace

Result<std::vector<FlowNameRecord>> SqliteStore::FlowNames(std::uint32_t host, FlowId flow,
                                                           WallTime since, WallTime until) const {
  std::vector<FlowNameRecord> out;
  for (const SharedPart& part : Parts()) {
    if (!MayName(part->extent(), since, until)) continue;
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s, db->Prepare("SELECT source,t,process,confidence,port,command,name,alpn "
                                       "FROM flow_name WHERE host=? AND flow=?"));
    s.Bind(1, host);
    s.Bind(2, flow.value());
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      FlowNameRecord name = ReadName(s, host, flow);
      const auto known = std::ranges::find(out, name.source, &FlowNameRecord::source);
      if (known == out.end()) {
        out.push_back(std::move(name));
      } else if (known->confidence < name.confidence) {  // parts come newest first
        *known = std::move(name);
      }
    }
  }
  std::ranges::stable_sort(out, [](const FlowNameRecord& a, const FlowNameRecord& b) {
    return a.confidence > b.confidence;
  });
  return out;
}

Result<std::unordered_set<std::uint64_t>> SqliteStore::FlowsNamed(const NamePredicate& where,
                                                                  std::size_t limit) const {
  std::unordered_set<std::uint64_t> out;
  // A flow may have been named long before the range: time is the flows' matter.
  NamePredicate by_name = where;
  by_name.from = by_name.to = std::nullopt;
  const Condition condition(by_name);
  for (const SharedPart& part : Parts()) {
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s, db->Prepare("SELECT flow FROM flow_name WHERE 1" + condition.sql()));
    condition.Bind(&s);
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      out.insert(s.UInt(0));
      if (out.size() > limit) {
        return MakeError(Code::kResourceExhausted, "more than " + std::to_string(limit) +
                                                       " flows have such a name: narrow it");
      }
    }
  }
  return out;
}

Result<std::vector<DnsRecord>> SqliteStore::Dns(const NamePredicate& where,
                                                std::size_t limit) const {
  std::vector<DnsRecord> out;
  // A record that was sent twice (a capture replayed again) lies here twice and counts once.
  std::set<std::tuple<std::uint32_t, ProcessId, FlowId, WallTime, std::string, std::uint16_t,
                      std::uint64_t, std::uint64_t>>
      told;
  const Condition condition(where);
  const auto newer = [](const DnsRecord& a, const DnsRecord& b) { return a.at > b.at; };
  for (const SharedPart& part : Parts()) {
    if (!MayHold(part->extent(), where)) continue;
    // Parts are in the order of arrival: a host that was cut off tells old questions late.
    const auto known = static_cast<std::ptrdiff_t>(out.size());
    const bool full = !out.empty() && out.size() >= limit;
    if (full && part->extent().max_named <= out.back().at) continue;
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s,
        db->Prepare("SELECT host,process,flow,t,server,server_port,name,type,rcode,answers,"
                    "questions,query_bytes,answer_bytes,suppressed FROM dns WHERE 1" +
                    condition.sql() + " ORDER BY t DESC, id DESC"));
    condition.Bind(&s);
    for (std::size_t taken = 0; taken < limit;) {
      TRY(const bool row, s.Step());
      if (!row || (full && s.Time(3) <= out[static_cast<std::size_t>(known) - 1].at)) break;
      if (where.processes && !where.processes->contains(s.UInt(1))) continue;
      DnsRecord record = ReadDns(s);
      if (!told.emplace(record.host, record.process, record.flow, record.at, record.name,
                        record.type, record.query_bytes, record.answer_bytes)
               .second) {
        continue;
      }
      out.push_back(std::move(record));
      ++taken;
    }
    std::inplace_merge(out.begin(), out.begin() + known, out.end(), newer);
    if (out.size() > limit) out.resize(limit);
  }
  return out;
}

}  // namespace culprit
