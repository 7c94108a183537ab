// SPDX-License-Identifier: Apache-2.0
// PartWriter: what a part carries over besides rows: bases of flows, hosts, losses; and the end of a part.
#include <cstring>

#include "collector/store/sqlite_part_codec.h"
#include "collector/store/sqlite_part_writer.h"

namespace culprit {

Status PartWriter::PutBases(const std::vector<std::pair<FlowKey, FlowBase>>& bases, bool carried) {
  if (bases.empty()) return Ok();
  TRY_VOID(db_.Exec("BEGIN IMMEDIATE"));
  Status status = Ok();
  for (const auto& [key, base] : bases) {
    status = PutBase(key, base, carried);
    if (!status) break;
  }
  if (status) status = db_.Exec("COMMIT");
  if (!status) (void)db_.Exec("ROLLBACK");
  return status;
}

Status PartWriter::PutBase(const FlowKey& key, const FlowBase& base, bool carried) {
  const std::string counters = EncodeCounters(base.cumulative);
  base_.Bind(1, key.host);
  base_.Bind(2, key.flow);
  base_.Bind(3, key.process);
  base_.BindBlob(4, counters);
  base_.Bind(5, base.emitted_boot_ns);
  base_.Bind(6, base.final ? 1 : 0);
  base_.Bind(7, base.newest_row.part);
  base_.Bind(8, base.newest_row.row);
  base_.Bind(9, carried ? base.newest_row.part : 0);
  base_.Bind(10, carried ? base.newest_row.row : 0);
  return base_.Run();
}

Status PartWriter::CopySpilled(const std::string& path) {
  TRY(SqliteStatement attach, db_.Prepare("ATTACH ? AS older"));
  attach.BindText(1, path);
  TRY_VOID(attach.Run());
  const Status copied =
      db_.Exec("INSERT OR IGNORE INTO base SELECT host,flow,process,counters,emitted,final,newest_part,"
               "newest_row,newest_part,newest_row FROM older.base WHERE length(counters)>0");
  TRY_VOID(db_.Exec("DETACH older"));
  return copied;
}

std::optional<FlowBase> PartWriter::FetchBase(const FlowKey& key) {
  base_get_.Bind(1, key.host);
  base_get_.Bind(2, key.flow);
  base_get_.Bind(3, key.process);
  std::optional<FlowBase> out;
  if (auto row = base_get_.Step(); row && *row && !base_get_.Blob(0).empty()) {
    out.emplace();
    out->cumulative = DecodeCounters(base_get_.Blob(0));
    out->emitted_boot_ns = base_get_.UInt(1);
    out->newest_row = {base_get_.UInt(2), base_get_.Int(3)};
    out->final = base_get_.Int(4) != 0;
  }
  base_get_.Reset();
  return out;
}

std::optional<MinuteActivity> PartWriter::FetchMinute(const MinuteKey& key) {
  minute_get_.Bind(1, key.host);
  minute_get_.Bind(2, key.minute);
  minute_get_.Bind(3, key.process);
  std::optional<MinuteActivity> out;
  if (auto row = minute_get_.Step(); row && *row) out = ReadMinute(minute_get_, 0);
  minute_get_.Reset();
  return out;
}

Status PartWriter::PutHostsAndLosses(const std::map<std::uint32_t, HostRecord>& hosts,
                                     const std::map<LossKey, LossValue>& losses) {
  for (const auto& [ref, h] : hosts) {
    const std::string info = h.info.SerializeAsString();
    const std::string fidelity = h.fidelity.SerializeAsString();
    const std::string heartbeat = h.heartbeat.SerializeAsString();
    const std::string coverage = h.coverage ? h.coverage->SerializeAsString() : std::string();
    host_.Bind(1, ref);
    host_.BindBlob(2, h.agent_id.AsBytes());
    host_.BindBlob(3, h.agent_name);
    host_.BindBlob(4, info);
    host_.BindBlob(5, fidelity);
    host_.BindBlob(6, heartbeat);
    host_.Bind(7, h.first_received);
    host_.Bind(8, h.last_received);
    host_.Bind(9, h.clock_skew_ns);
    int i = 9;
    for (const std::uint64_t v : {h.frames, h.records, h.gaps, h.forks, h.rollbacks, h.rejected}) {
      host_.Bind(++i, v);
    }
    host_.Bind(16, h.heartbeat_at);
    host_.Bind(17, h.coverage_at);
    host_.BindBlob(18, coverage);
    TRY_VOID(host_.Run());
  }
  for (const auto& [key, loss] : losses) {
    loss_.Bind(1, key.host);
    loss_.BindBlob(2, key.run);
    loss_.Bind(3, key.cause);
    loss_.Bind(4, key.lane_plus_one);
    loss_.Bind(5, key.first_seq);
    loss_.Bind(6, loss.count);
    loss_.Bind(7, loss.bytes);
    loss_.Bind(8, loss.last_seq);
    loss_.BindBlob(9, loss.detail);
    TRY_VOID(loss_.Run());
  }
  return Ok();
}

// A sealed part is one file, without a write-ahead log, and on the disk.
Status PartWriter::Seal() {
  TRY_VOID(WriteMeta("sealed", 1));
  for (SqliteStatement* s : {&flow_, &counter_, &chunk_, &process_, &minute_, &minute_get_, &base_,
                             &base_get_, &carried_, &host_, &loss_, &meta_, &name_, &dns_,
                             &session_, &login_, &login_failure_, &posture_, &posture_change_}) {
    *s = SqliteStatement();
  }
  TRY_VOID(db_.Exec("PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE);"));
  extent_.sealed = true;
  db_.Close();
  return Ok();
}

}  // namespace culprit
