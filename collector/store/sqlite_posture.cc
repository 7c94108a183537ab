// SPDX-License-Identifier: Apache-2.0
// What agents said about SSH: the newest state of a host in each part, and every change.
#include <algorithm>
#include <set>

#include "collector/store/sqlite_part_writer.h"
#include "collector/store/sqlite_store.h"

namespace culprit {

Status PartWriter::PreparePosture() {
  TRY(posture_, db_.Prepare("INSERT INTO posture VALUES(?,?,?) ON CONFLICT DO UPDATE SET "
                            "t=excluded.t, definition=excluded.definition WHERE excluded.t>=t"));
  TRY(posture_change_, db_.Prepare("INSERT INTO posture_change VALUES(NULL,?,?,?,?)"));
  return Ok();
}

Status PartWriter::WritePosture(const PendingBatch& batch) {
  for (const auto& [host, record] : batch.postures) {
    const std::string definition = record.posture.SerializeAsString();
    posture_.Bind(1, host);
    posture_.Bind(2, record.at);
    posture_.BindBlob(3, definition);
    TRY_VOID(posture_.Run());
  }
  for (const PostureChangeRecord& record : batch.posture_changes) {
    const std::string definition = record.change.SerializeAsString();
    posture_change_.Bind(1, record.host);
    posture_change_.Bind(2, record.at);
    posture_change_.BindText(3, record.change.path());
    posture_change_.BindBlob(4, definition);
    TRY_VOID(posture_change_.Run());
  }
  return Ok();
}

Result<std::vector<PostureRecord>> SqliteStore::Postures(std::optional<std::uint32_t> host) const {
  std::vector<PostureRecord> out;
  std::set<std::uint32_t> seen;
  const std::size_t wanted = host ? 1 : Hosts().size();
  for (const SharedPart& part : Parts()) {
    if (seen.size() >= wanted) break;
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s, db->Prepare(std::string("SELECT host,t,definition FROM posture") +
                                       (host ? " WHERE host=?" : "")));
    if (host) s.Bind(1, *host);
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      PostureRecord record;
      record.host = s.U32(0);
      record.at = s.Time(1);
      if (!seen.insert(record.host).second) continue;
      const std::string_view definition = s.Blob(2);
      if (!record.posture.ParseFromArray(definition.data(), static_cast<int>(definition.size())))
        return DataLoss("a state of SSH in the index cannot be read: culprit-collector reindex");
      out.push_back(std::move(record));
    }
  }
  std::ranges::sort(out, {}, &PostureRecord::host);
  return out;
}

Result<std::vector<PostureChangeRecord>> SqliteStore::PostureChanges(
    const PostureChangePredicate& where, std::size_t limit) const {
  std::vector<PostureChangeRecord> out;
  // Parts are in the order of arrival, and a host that was cut off tells old changes late.
  for (const SharedPart& part : Parts()) {
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s,
        db->Prepare("SELECT t,definition FROM posture_change WHERE host=? AND t>=? AND t<? "
                    "ORDER BY t DESC, id DESC LIMIT ?"));
    s.Bind(1, where.host);
    s.Bind(2, where.from.value_or(WallTime::min()));
    s.Bind(3, where.to.value_or(WallTime::max()));
    s.Bind(4, static_cast<std::int64_t>(limit));
    const auto known = static_cast<std::ptrdiff_t>(out.size());
    while (true) {
      TRY(const bool row, s.Step());
      if (!row) break;
      PostureChangeRecord record;
      record.host = where.host;
      record.at = s.Time(0);
      const std::string_view definition = s.Blob(1);
      if (!record.change.ParseFromArray(definition.data(), static_cast<int>(definition.size())))
        return DataLoss("a change of SSH in the index cannot be read: culprit-collector reindex");
      out.push_back(std::move(record));
    }
    std::inplace_merge(out.begin(), out.begin() + known, out.end(),
                       [](const auto& a, const auto& b) { return a.at > b.at; });
    if (out.size() > limit) out.resize(limit);
  }
  return out;
}

}  // namespace culprit
