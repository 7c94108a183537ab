// SPDX-License-Identifier: Apache-2.0
#include "collector/store/sqlite_part_writer.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "collector/store/sqlite_part_codec.h"
#include "collector/store/sqlite_schema.h"

namespace culprit {
namespace {

constexpr std::int64_t kChunkRows = 20'000;

// Synchronous is off because the journal is the evidence; WAL lets queries read while rows are written.
constexpr char kPragmas[] =
    "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;";

std::int64_t Signed(std::uint64_t v) { return static_cast<std::int64_t>(v); }

void CoverNames(const PendingBatch& batch, PartExtent* extent) {
  const auto cover = [extent](WallTime at) {
    extent->min_named = std::min(extent->min_named, at);
    extent->max_named = std::max(extent->max_named, at);
  };
  for (const FlowNameRecord& name : batch.names) cover(name.at);
  for (const DnsRecord& question : batch.dns) cover(question.at);
}

}  // namespace

Result<PartExtent> ReadExtent(const SqliteDb& db) {
  PartExtent out;
  TRY(const std::int64_t version, db.QueryInt("PRAGMA user_version"));
  if (version != kSchemaVersion) {
    return FailedPrecondition("index schema version " + std::to_string(version) + ", this program's is " +
                              std::to_string(kSchemaVersion) + ": run culprit-collector reindex");
  }
  TRY(const std::int64_t first, db.QueryInt("SELECT value FROM meta WHERE key='first_lsn'"));
  TRY(const std::int64_t applied, db.QueryInt("SELECT value FROM meta WHERE key='applied_lsn'"));
  TRY(const std::int64_t created, db.QueryInt("SELECT value FROM meta WHERE key='created'"));
  TRY(const std::int64_t sealed, db.QueryInt("SELECT value FROM meta WHERE key='sealed'"));
  TRY(const std::int64_t rows, db.QueryInt("SELECT coalesce(max(id), 0) FROM flow"));
  out.first_lsn = static_cast<Lsn>(first);
  out.applied_lsn = static_cast<Lsn>(applied);
  out.created = WallTimeFromNs(created);
  out.sealed = sealed != 0;
  out.rows = static_cast<std::uint64_t>(rows);
  TRY(SqliteStatement span,
      db.Prepare("SELECT count(*), min(min_t0), max(max_t1), max(max_last), max(max_dt) FROM chunk"));
  TRY(const bool any, span.Step());
  if (any && span.Int(0) > 0) {
    out.min_t0 = span.Time(1);
    out.max_t1 = span.Time(2);
    out.max_last = span.Time(3);
    out.max_dt = std::chrono::nanoseconds(span.Int(4));
  }
  TRY(SqliteStatement named,
      db.Prepare("SELECT key,value FROM meta WHERE key IN ('min_named','max_named')"));
  while (true) {
    TRY(const bool row, named.Step());
    if (!row) break;
    (named.Blob(0) == "min_named" ? out.min_named : out.max_named) = named.Time(1);
  }
  return out;
}

Result<std::unique_ptr<PartWriter>> PartWriter::Create(const std::string& path, Lsn first_lsn,
                                                       WallTime created) {
  std::unique_ptr<PartWriter> w(new PartWriter);
  TRY(w->db_, SqliteDb::Open(path, SqliteDb::Mode::kCreate));
  TRY_VOID(w->db_.Exec(kPragmas));
  TRY_VOID(w->db_.Exec("BEGIN IMMEDIATE"));
  TRY_VOID(w->db_.Exec(kSchemaSql));
  TRY_VOID(w->db_.Exec(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str()));
  TRY_VOID(w->Prepare());
  TRY_VOID(w->WriteMeta("first_lsn", Signed(first_lsn)));
  TRY_VOID(w->WriteMeta("applied_lsn", Signed(first_lsn - 1)));
  TRY_VOID(w->WriteMeta("created", ToNs(created)));
  TRY_VOID(w->db_.Exec("COMMIT"));
  w->extent_.first_lsn = first_lsn;
  w->extent_.applied_lsn = first_lsn - 1;
  w->extent_.created = created;
  return w;
}

Result<std::unique_ptr<PartWriter>> PartWriter::Open(const std::string& path) {
  std::unique_ptr<PartWriter> w(new PartWriter);
  TRY(w->db_, SqliteDb::Open(path, SqliteDb::Mode::kReadWrite));
  TRY_VOID(w->db_.Exec(kPragmas));
  TRY(w->extent_, ReadExtent(w->db_));
  TRY_VOID(w->Prepare());
  TRY(const std::int64_t counters, w->db_.QueryInt("SELECT coalesce(max(id), 0) FROM counter"));
  w->open_chunk_.first_row = Signed(w->extent_.rows) + 1;
  w->open_chunk_.last_row = Signed(w->extent_.rows);
  w->open_chunk_.first_counter = counters + 1;
  w->open_chunk_.last_counter = counters;
  return w;
}

Status PartWriter::Prepare() {
  TRY(flow_, db_.Prepare("INSERT INTO flow VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                         "?,?,?,?,?,?,?,?)"));
  TRY(counter_, db_.Prepare("INSERT INTO counter VALUES(?,?,?,?,?,?,?,?)"));
  TRY(chunk_, db_.Prepare("INSERT OR REPLACE INTO chunk VALUES(?,?,?,?,?,?,?,?,?)"));
  TRY(process_, db_.Prepare("INSERT OR REPLACE INTO process VALUES(?,?,?,?,?,?,?,?,?,?,?)"));
  TRY(minute_, db_.Prepare("INSERT OR REPLACE INTO minute VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  TRY(minute_get_, db_.Prepare("SELECT started,active,tx,rx,attempts,failed,is_agent,busiest,"
                               "busiest_bytes,destinations,crafted FROM minute "
                               "WHERE host=? AND minute=? AND process=?"));
  TRY(base_, db_.Prepare("INSERT INTO base VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                         "counters=excluded.counters, emitted=excluded.emitted, "
                         "final=excluded.final, "
                         "newest_part=excluded.newest_part, newest_row=excluded.newest_row"));
  TRY(base_get_, db_.Prepare("SELECT counters,emitted,newest_part,newest_row,final FROM base "
                             "WHERE host=? AND flow=? AND process=?"));
  TRY(carried_, db_.Prepare("INSERT INTO base VALUES(?,?,?,x'',0,0,0,0,?,?) ON CONFLICT DO UPDATE SET "
                            "carried_part=excluded.carried_part, carried_row=excluded.carried_row"));
  TRY(host_,
      db_.Prepare("INSERT OR REPLACE INTO host VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  TRY(loss_, db_.Prepare("INSERT OR REPLACE INTO loss VALUES(?,?,?,?,?,?,?,?,?)"));
  TRY(name_, db_.Prepare("INSERT INTO flow_name VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                         "t=excluded.t, process=excluded.process, confidence=excluded.confidence, "
                         "port=excluded.port, command=excluded.command, name=excluded.name, "
                         "alpn=excluded.alpn WHERE excluded.confidence>=confidence"));
  TRY(dns_, db_.Prepare("INSERT INTO dns VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  TRY_VOID(PrepareLogins());
  TRY_VOID(PreparePosture());
  TRY(meta_, db_.Prepare("INSERT OR REPLACE INTO meta VALUES(?,?)"));
  return Ok();
}

void PartWriter::Chunk::Cover(WallTime t0, WallTime t1, std::uint64_t process) {
  min_t0 = std::min(min_t0, t0);
  max_t1 = std::max(max_t1, t1);
  max_dt = std::max<std::chrono::nanoseconds>(max_dt, t1 - t0);
  processes.Insert(process);
}

Status PartWriter::Write(PendingBatch* batch) {
  Chunk chunk = open_chunk_;
  if (chunk.rows() >= kChunkRows) {
    chunk = Chunk{};
    chunk.first_row = open_chunk_.last_row + 1;
    chunk.last_row = open_chunk_.last_row;
    chunk.first_counter = open_chunk_.last_counter + 1;
    chunk.last_counter = open_chunk_.last_counter;
  }
  std::vector<std::int64_t> ids(batch->flows.size());
  TRY_VOID(db_.Exec("BEGIN IMMEDIATE"));
  Status status = WriteAll(batch, &chunk, &ids);
  if (status) status = db_.Exec("COMMIT");
  if (!status) {
    (void)db_.Exec("ROLLBACK");
    return status;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    batch->flows[i].base->newest_row = {extent_.first_lsn, ids[i]};
  }
  open_chunk_ = chunk;
  extent_.applied_lsn = batch->last_lsn;
  extent_.rows = static_cast<std::uint64_t>(chunk.last_row);
  extent_.min_t0 = std::min(extent_.min_t0, chunk.min_t0);
  extent_.max_t1 = std::max(extent_.max_t1, chunk.max_t1);
  extent_.max_last = std::max(extent_.max_last, chunk.max_last);
  extent_.max_dt = std::max(extent_.max_dt, chunk.max_dt);
  CoverNames(*batch, &extent_);
  return Ok();
}

Status PartWriter::WriteAll(PendingBatch* batch, Chunk* chunk, std::vector<std::int64_t>* ids) {
  TRY_VOID(WriteFlows(batch, chunk, ids));
  TRY_VOID(WriteCounters(*batch, chunk));
  if (chunk->rows() > 0) TRY_VOID(WriteChunk(*chunk));
  TRY_VOID(WriteProcesses(*batch));
  TRY_VOID(WriteMinutes(*batch));
  TRY_VOID(WriteNames(*batch));
  TRY_VOID(WriteLogins(*batch));
  TRY_VOID(WritePosture(*batch));
  if (!batch->names.empty() || !batch->dns.empty()) {
    PartExtent extent = extent_;
    CoverNames(*batch, &extent);
    TRY_VOID(WriteMeta("min_named", ToNs(extent.min_named)));
    TRY_VOID(WriteMeta("max_named", ToNs(extent.max_named)));
  }
  TRY_VOID(PutHostsAndLosses(batch->hosts, batch->losses));
  return WriteMeta("applied_lsn", Signed(batch->last_lsn));
}

// Rows of one flow stay in their order: its address and port are the same, and the sort is stable.
Status PartWriter::WriteFlows(PendingBatch* batch, Chunk* chunk, std::vector<std::int64_t>* ids) {
  std::vector<std::uint32_t> order(batch->flows.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const FlowDelta& x = batch->flows[a].row;
    const FlowDelta& y = batch->flows[b].row;
    if (x.facts.remote.IsV4() != y.facts.remote.IsV4()) return x.facts.remote.IsV4();
    if (const auto c = x.facts.remote <=> y.facts.remote; c != 0) return c < 0;
    return x.facts.remote_port < y.facts.remote_port;
  });
  for (const std::uint32_t index : order) (*ids)[index] = ++chunk->last_row;
  for (const std::uint32_t index : order) {
    const PendingFlow& flow = batch->flows[index];
    TRY(const std::int64_t prev, PrevOf(flow, *ids));
    TRY_VOID(WriteFlow(flow, (*ids)[index], prev));
    chunk->Cover(flow.row.t0, flow.row.t1, flow.row.facts.process.value());
    chunk->max_last = std::max(chunk->max_last, flow.row.facts.last);
  }
  return Ok();
}

Result<std::int64_t> PartWriter::PrevOf(const PendingFlow& flow,
                                        const std::vector<std::int64_t>& ids) {
  if (flow.prev.part == kPendingPart) return ids[static_cast<std::size_t>(flow.prev.row)];
  if (flow.prev.part == extent_.first_lsn || flow.prev.row == 0) return flow.prev.row;
  carried_.Bind(1, flow.row.host);
  carried_.Bind(2, flow.row.facts.flow.value());
  carried_.Bind(3, flow.row.facts.process.value());
  carried_.Bind(4, flow.prev.part);
  carried_.Bind(5, flow.prev.row);
  TRY_VOID(carried_.Run());
  return -1;
}

Status PartWriter::WriteFlow(const PendingFlow& flow, std::int64_t id, std::int64_t prev) {
  const FlowDelta& r = flow.row;
  const FlowFacts& f = r.facts;
  const FlowCounters& c = r.added;
  int i = 0;
  const auto put = [&](auto value) { flow_.Bind(++i, value); };
  put(id);
  put(r.host);
  put(f.process.value());
  put(f.flow.value());
  put(r.t1);
  put(static_cast<std::int64_t>((r.t1 - r.t0).count()));
  put(static_cast<std::int64_t>((r.t1 - f.last).count()));
  put(f.remote);
  put(int{f.remote_port});
  put(int{f.protocol});
  put(static_cast<int>(f.direction));
  put(static_cast<int>(f.state));
  put(f.flags);
  put(int{f.local_port});
  put(c.tx_wire_bytes);
  put(c.rx_wire_bytes);
  put(c.tx_payload_bytes);
  put(c.rx_payload_bytes);
  put(c.tx_packets);
  put(c.rx_packets);
  put(c.tx_skb_bytes - c.tx_wire_bytes);
  put(c.rx_skb_bytes - c.rx_wire_bytes);
  put(c.retransmitted_bytes);
  put(static_cast<std::int64_t>((r.t1 - f.start).count()));
  put(CreatorColumn(f));
  put(f.local);
  put(f.error);
  put(f.cookie);
  put(f.netns);
  put(f.n_senders);
  put(flow.emitted_boot_ns);
  put(prev);
  put(flow.rebased ? 1 : 0);
  return flow_.Run();
}

Status PartWriter::WriteCounters(const PendingBatch& batch, Chunk* chunk) {
  for (const PendingCounter& c : batch.counters) {
    counter_.Bind(1, ++chunk->last_counter);
    counter_.Bind(2, c.host);
    counter_.Bind(3, c.process);
    counter_.Bind(4, c.t1);
    counter_.Bind(5, static_cast<std::int64_t>((c.t1 - c.t0).count()));
    counter_.Bind(6, c.attempts);
    counter_.Bind(7, c.failed);
    counter_.Bind(8, c.crafted);
    TRY_VOID(counter_.Run());
    chunk->Cover(c.t0, c.t1, c.process);
  }
  return Ok();
}

Status PartWriter::WriteChunk(const Chunk& chunk) {
  chunk_.Bind(1, chunk.first_row);
  chunk_.Bind(2, chunk.last_row);
  chunk_.Bind(3, chunk.first_counter);
  chunk_.Bind(4, chunk.last_counter);
  chunk_.Bind(5, chunk.min_t0);
  chunk_.Bind(6, chunk.max_t1);
  chunk_.Bind(7, chunk.max_last);
  chunk_.Bind(8, static_cast<std::int64_t>(chunk.max_dt.count()));
  chunk_.BindBlob(9, chunk.processes.bytes());
  return chunk_.Run();
}

Status PartWriter::WriteProcesses(const PendingBatch& batch) {
  for (const auto& [key, record] : batch.processes) {
    const std::string definition = record->definition.SerializeAsString();
    const std::string counters = record->counters.SerializeAsString();
    process_.Bind(1, key.host);
    process_.Bind(2, key.process);
    process_.Bind(3, record->definition.tgid());
    process_.Bind(4, std::uint64_t{record->definition.parent_id()});
    process_.Bind(5, record->start);
    process_.Bind(6, record->exec);
    process_.Bind(7, record->exit);
    process_.Bind(8, record->wait_status);
    process_.BindBlob(9, definition);
    process_.BindBlob(10, counters);
    process_.BindNull(11);
    if (record->definition.session_id() != kNoSession) {
      process_.Bind(11, std::uint32_t{record->definition.session_id()});
    }
    TRY_VOID(process_.Run());
  }
  return Ok();
}

Status PartWriter::WriteMinutes(const PendingBatch& batch) {
  for (const auto& [key, a] : batch.minutes) {
    const std::string destinations = a.destinations.Encode();
    minute_.Bind(1, key.host);
    minute_.Bind(2, key.minute);
    minute_.Bind(3, key.process);
    minute_.Bind(4, a.started);
    minute_.Bind(5, a.active);
    minute_.Bind(6, a.tx);
    minute_.Bind(7, a.rx);
    minute_.Bind(8, a.attempts);
    minute_.Bind(9, a.failed);
    minute_.Bind(10, a.is_agent ? 1 : 0);
    minute_.Bind(11, a.busiest);
    minute_.Bind(12, a.busiest_bytes);
    minute_.BindBlob(13, destinations);
    minute_.Bind(14, a.crafted);
    TRY_VOID(minute_.Run());
  }
  return Ok();
}

Status PartWriter::WriteNames(const PendingBatch& batch) {
  for (const FlowNameRecord& n : batch.names) {
    name_.Bind(1, n.host);
    name_.Bind(2, n.flow.value());
    name_.Bind(3, static_cast<int>(n.source));
    name_.Bind(4, n.at);
    name_.Bind(5, n.process.value());
    name_.Bind(6, static_cast<int>(n.confidence));
    name_.Bind(7, int{n.port});
    name_.Bind(8, int{n.command});
    name_.BindText(9, n.name);
    name_.BindText(10, n.alpn);
    TRY_VOID(name_.Run());
  }
  for (const DnsRecord& d : batch.dns) {
    dns_.Bind(1, d.host);
    dns_.Bind(2, d.process.value());
    dns_.Bind(3, d.flow.value());
    dns_.Bind(4, d.at);
    dns_.Bind(5, d.server.address);
    dns_.Bind(6, int{d.server.port});
    dns_.BindText(7, d.name);
    dns_.Bind(8, int{d.type});
    dns_.Bind(9, d.rcode);
    dns_.BindText(10, d.answers);
    dns_.Bind(11, d.questions);
    dns_.Bind(12, d.query_bytes);
    dns_.Bind(13, d.answer_bytes);
    dns_.Bind(14, d.suppressed);
    TRY_VOID(dns_.Run());
  }
  return Ok();
}

Status PartWriter::WriteMeta(const char* key, std::int64_t value) {
  meta_.BindText(1, key);
  meta_.Bind(2, value);
  return meta_.Run();
}

}  // namespace culprit
