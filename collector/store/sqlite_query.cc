// SPDX-License-Identifier: Apache-2.0
// SqliteStore: reads.
#include <algorithm>
#include <unordered_map>

#include "collector/store/activity.h"
#include "collector/store/aggregate.h"
#include "collector/store/sqlite_store.h"

namespace culprit {
namespace {

// Longer windows of Activity() are answered from the minutes.
constexpr std::chrono::minutes kRawWindow{10};

class ForEach final : public RowVisitor {
 public:
  explicit ForEach(const std::function<bool(const FlowDelta&)>& visit) : visit_(visit) {}
  bool Row(const StoredFlow& flow) override { return visit_(flow.row); }

 private:
  const std::function<bool(const FlowDelta&)>& visit_;
};

bool Matches(const ProcessPredicate& where, const ProcessRecord& p) {
  const v1::Process& d = p.definition;
  const bool user = where.user.empty() || where.user == d.user() ||
                    where.user == std::to_string(d.uid());
  return user && (where.exe_substring.empty() ||
                  d.exe().find(where.exe_substring) != std::string::npos) &&
         (where.exe_sha256.empty() || where.exe_sha256 == d.exe_sha256()) &&
         (!where.to || p.start < *where.to) && (!where.from || !p.exited() || p.exit >= *where.from);
}

constexpr char kProcessColumns[] =
    "SELECT host,start,exec,exit,wait_status,definition,counters FROM process WHERE 1";

Status FindIn(const PartFile& part, const ProcessPredicate& where,
              const std::function<bool(ProcessRecord)>& visit) {
  TRY(PartFile::Lease db, part.Open());
  std::string sql = kProcessColumns;
  std::vector<std::int64_t> values;
  const auto add = [&](const char* condition, std::uint64_t value) {
    sql += condition;
    values.push_back(static_cast<std::int64_t>(value));
  };
  if (where.id) add(" AND process=?", *where.id);
  if (where.host) add(" AND host=?", *where.host);
  if (where.tgid) add(" AND tgid=?", *where.tgid);
  if (where.parent) add(" AND parent=?", *where.parent);
  if (where.audit_session) add(" AND audit=?", *where.audit_session);
  if (!where.parents.empty()) {
    sql += " AND parent IN (";
    for (const std::uint64_t parent : where.parents) {
      sql += std::to_string(static_cast<std::int64_t>(parent)) + ",";
    }
    sql.back() = ')';
  }
  TRY(SqliteStatement s, db->Prepare(sql));
  for (std::size_t i = 0; i < values.size(); ++i) s.Bind(static_cast<int>(i + 1), values[i]);
  while (true) {
    TRY(const bool row, s.Step());
    if (!row || !visit(ReadProcess(s))) return Ok();
  }
}

}  // namespace

Status SqliteStore::Scan(const FlowPredicate& where, const Cancelled& cancelled,
                         const std::function<bool(const FlowDelta&)>& visit) const {
  ForEach visitor(visit);
  for (const SharedPart& part : Parts()) {
    if (!PartMayMatch(where, part->id(), part->extent())) continue;
    auto more = ScanPart(*part, where, Detail::kFull, cancelled, &visitor);
    if (!more && more.error().code != Code::kDataLoss) return std::move(more).error();
    if (more && !*more) break;
  }
  return Ok();
}

Result<AggregateResult> SqliteStore::Aggregate(const AggregatePlan& plan,
                                               const Cancelled& cancelled) const {
  std::unordered_map<HostProcess, SharedProcess, HostProcessHash> known;
  AggregateContext context{Parts(), cancelled, options_.max_result_groups, nullptr, nullptr};
  context.process = [&](const HostProcess& key) {
    const auto [it, fresh] = known.try_emplace(key);
    if (!fresh) return it->second;
    auto found = FindProcess(key.host, ProcessId{key.process});
    if (found && *found) it->second = std::make_shared<ProcessRecord>(std::move(**found));
    return it->second;
  };
  context.agent_id = [this](std::uint32_t host) {
    const std::lock_guard lock(mutex_);
    const auto it = hosts_.find(host);
    return it == hosts_.end() ? std::string() : it->second.agent_id.ToString();
  };
  AggregatePlan bounded = plan;
  if (!bounded.where.as_of && !context.parts.empty()) {
    const PartExtent newest = context.parts.front()->extent();
    bounded.where.as_of = {newest.first_lsn, static_cast<std::int64_t>(newest.rows)};
  }
  TRY(AggregateResult result, AggregateFlows(bounded, context));
  result.as_of = bounded.where.as_of.value_or(RowPosition{});
  return result;
}

Result<std::vector<ProcessActivity>> SqliteStore::Activity(std::optional<std::uint32_t> host,
                                                           WallTime from, WallTime to,
                                                           const Cancelled& cancelled) const {
  const ActivityQuery query{host, {from, to}, options_.max_result_groups, cancelled};
  return to - from <= kRawWindow ? ActivityFromRows(Parts(), query)
                                 : ActivityFromMinutes(Parts(), query);
}

Result<std::vector<FlowTotal>> SqliteStore::Follow(std::optional<RowPosition>& position,
                                                   std::optional<WallTime> from,
                                                   std::uint32_t limit) const {
  const std::vector<SharedPart> parts = Parts();
  std::vector<FlowTotal> out;
  if (parts.empty()) {
    if (!position) position = RowPosition{};
    return out;
  }
  if (!position) {
    const PartExtent newest = parts.front()->extent();
    position = RowPosition{newest.first_lsn, static_cast<std::int64_t>(newest.rows)};
    return out;
  }
  FlowReader reader(parts);
  for (auto it = parts.rbegin(); it != parts.rend() && out.size() < limit; ++it) {
    const PartExtent extent = (*it)->extent();
    if (extent.first_lsn < position->part) continue;
    if (extent.first_lsn > position->part) position = RowPosition{extent.first_lsn, 0};
    // A row per flow: the newest of those that are new.
    std::map<FlowKey, RowPosition> newest;
    while (position->row < static_cast<std::int64_t>(extent.rows) && newest.size() + out.size() < limit) {
      const RowPosition at{extent.first_lsn, ++position->row};
      TRY(std::optional<FlowKey> key, reader.KeyAt(at));
      if (key) newest[*key] = at;
    }
    std::vector<RowPosition> rows;
    for (const auto& [key, at] : newest) rows.push_back(at);
    std::ranges::sort(rows);
    for (const RowPosition& at : rows) {
      TRY(std::optional<FlowTotal> total, reader.Read(at, {from, std::nullopt}));
      if (total) out.push_back(std::move(*total));
    }
  }
  return out;
}

Result<std::optional<ProcessRecord>> SqliteStore::FindProcess(std::uint32_t host,
                                                              ProcessId id) const {
  ProcessPredicate where;
  where.host = host;
  where.id = id.value();
  std::optional<ProcessRecord> found;
  for (const SharedPart& part : Parts()) {
    const Status status = FindIn(*part, where, [&](ProcessRecord record) {
      found = std::move(record);
      return false;
    });
    if (found) break;
    if (!status) (void)PartError(*part, status.error());
  }
  return found;
}

Result<std::vector<ProcessRecord>> SqliteStore::FindProcesses(const ProcessPredicate& where,
                                                              std::size_t limit) const {
  std::vector<ProcessRecord> out;
  std::unordered_set<HostProcess, HostProcessHash> seen;
  bool overflow = false;
  for (const SharedPart& part : PartsSince(where.told_since)) {
    const Status status = FindIn(*part, where, [&](ProcessRecord record) {
      // Only the newest definition counts, also where it is the one that does not match.
      if (!seen.insert({record.host, record.definition.process_id()}).second) return true;
      if (!Matches(where, record)) return true;
      overflow = out.size() >= limit;
      if (!overflow) out.push_back(std::move(record));
      return !overflow;
    });
    if (!status) (void)PartError(*part, status.error());
    if (overflow) {
      return MakeError(Code::kResourceExhausted, "more than " + std::to_string(limit) +
                                                     " processes match: add a filter");
    }
  }
  return out;
}

}  // namespace culprit
