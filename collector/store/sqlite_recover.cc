// SPDX-License-Identifier: Apache-2.0
// SqliteStore: opening and closing: which parts are there, which can be trusted, and the writer's
// memory of them.
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "collector/store/sqlite_part_codec.h"
#include "collector/store/sqlite_store.h"
#include "common/number.h"

namespace culprit {
namespace {

namespace fs = std::filesystem;

std::string ReadLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string ThisBoot() { return ReadLine("/proc/sys/kernel/random/boot_id"); }
std::string BootFile(const std::string& directory) { return directory + "/BOOT"; }

std::optional<Lsn> LsnOfName(const std::string& name) {
  if (!name.starts_with("part-") || !name.ends_with(".db") || name.size() != 24) return {};
  return AsNumber<Lsn>(std::string_view(name).substr(5, 16), 16);
}

Result<UniqueFd> LockDirectory(const std::string& directory) {
  const std::string path = directory + "/LOCK";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return ErrnoError(path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return FailedPrecondition("index " + directory + " is in use: stop the collector first");
  }
  return fd;
}

Result<PartExtent> Inspect(const std::string& path) {
  TRY(SqliteDb db, SqliteDb::Open(path, SqliteDb::Mode::kReadOnly));
  return ReadExtent(db);
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::Open(const SqliteStoreOptions& options) {
  std::unique_ptr<SqliteStore> store(new SqliteStore(options));
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) return ErrnoError("create " + options.directory, error.value());
  TRY(store->lock_, LockDirectory(options.directory));
  TRY_VOID(store->Recover());
  return store;
}

SqliteStore::~SqliteStore() {
  if (writer_ == nullptr || !lock_) return;
  const bool clean = Flush() && writer_->db().Exec(
                                    "PRAGMA synchronous=FULL; "
                                    "PRAGMA wal_checkpoint(TRUNCATE);");
  std::error_code ignored;
  if (clean) fs::remove(BootFile(options_.directory), ignored);
}

Status SqliteStore::Recover() {
  TRY_VOID(LoadParts());
  TRY_VOID(DropUnclean());
  std::ofstream(BootFile(options_.directory)) << ThisBoot() << "\n";
  while (!parts_.empty()) {
    const Status resumed = ResumeNewest();
    if (resumed) break;
    // What only the newest part knew is applied again from the journal.
    writer_.reset();
    const std::string path = parts_.back()->path();
    notes_.push_back("index part " + path + " could not be read (" + resumed.error().message +
                     "): set aside as *.corrupt, its range is indexed again");
    std::error_code ignored;
    fs::rename(path, path + ".corrupt", ignored);
    RemovePartFiles(path);
    parts_.pop_back();
  }
  taken_lsn_ = parts_.empty() ? 0 : parts_.back()->extent().applied_lsn;
  applied_lsn_ = taken_lsn_;
  hosts_ = maker_.hosts();
  return Ok();
}

Status SqliteStore::LoadParts() {
  std::error_code error;
  std::vector<Lsn> found;
  for (const auto& entry : fs::directory_iterator(options_.directory, error)) {
    if (const auto lsn = LsnOfName(entry.path().filename().string())) found.push_back(*lsn);
  }
  if (error) return ErrnoError("read " + options_.directory, error.value());
  std::ranges::sort(found);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string path = options_.directory + "/" + PartFileName(found[i]);
    auto extent = Inspect(path);
    if (!extent && extent.error().code == Code::kFailedPrecondition) {
      return std::move(extent).error();
    }
    PartExtent known = extent ? *extent : PartExtent{};
    const bool readable = extent && known.first_lsn == found[i];
    known.first_lsn = found[i];
    if (!readable && i + 1 < found.size()) known.applied_lsn = found[i + 1] - 1;
    auto part = std::make_shared<PartFile>(path, known);
    if (!readable) {
      (void)part->SetDamageFrom(extent ? "wrong first LSN" : extent.error().message);
    }
    parts_.push_back(std::move(part));
  }
  return Ok();
}

Status SqliteStore::DropUnclean() {
  const std::string boot = ReadLine(BootFile(options_.directory));
  if (boot.empty() || boot == ThisBoot() || parts_.empty()) return Ok();
  const PartExtent newest = parts_.back()->extent();
  if (newest.sealed) return Ok();
  notes_.push_back("the machine went down with index part " + parts_.back()->path() +
                   " open: its range is indexed again");
  RemovePartFiles(parts_.back()->path());
  parts_.pop_back();
  return Ok();
}

// The writer's memory of the newest part. A sealed one is read only: the next frame begins a new
// part.
Status SqliteStore::ResumeNewest() {
  const SharedPart& newest = parts_.back();
  if (!newest->damage().empty()) return DataLoss(newest->damage());
  maker_.Reset();
  TRY(std::unique_ptr<PartWriter> part, PartWriter::Open(newest->path()));
  TRY_VOID(RestoreState(*part));
  TRY_VOID(RestoreBases(*part));
  newest->SetExtent(part->extent());
  if (!part->extent().sealed) writer_ = std::move(part);
  return Ok();
}

Status SqliteStore::RestoreState(PartWriter& part) {
  TRY(SqliteStatement hosts, part.db().Prepare("SELECT * FROM host"));
  while (true) {
    TRY(const bool row, hosts.Step());
    if (!row) break;
    maker_.RestoreHost(ReadHost(hosts));
  }
  TRY(SqliteStatement losses,
      part.db().Prepare(
          "SELECT host,run,cause,lane,first_seq,count,bytes,last_seq,detail FROM loss"));
  while (true) {
    TRY(const bool row, losses.Step());
    if (!row) break;
    maker_.RestoreLoss(
        {losses.U32(0), std::string(losses.Blob(1)), static_cast<int>(losses.Int(2)), losses.U32(3),
         losses.UInt(4)},
        {losses.UInt(5), losses.UInt(6), losses.UInt(7), std::string(losses.Blob(8))});
  }
  TRY(SqliteStatement processes,
      part.db().Prepare("SELECT host,start,exec,exit,wait_status,definition,counters FROM process "
                        "ORDER BY rowid DESC LIMIT 50000"));
  while (true) {
    TRY(const bool row, processes.Step());
    if (!row) break;
    maker_.RestoreProcess(ReadProcess(processes));
  }
  return Ok();
}

Status SqliteStore::RestoreBases(PartWriter& part) {
  TRY(SqliteStatement bases,
      part.db().Prepare(
          "SELECT host,flow,process,counters,emitted,newest_part,newest_row,final FROM base "
          "WHERE length(counters)>0"));
  while (true) {
    TRY(const bool row, bases.Step());
    if (!row) break;
    maker_.deltas().Restore({bases.U32(0), bases.UInt(1), bases.UInt(2)},
                            {DecodeCounters(bases.Blob(3)),
                             bases.UInt(4),
                             bases.Int(7) != 0,
                             {bases.UInt(5), bases.Int(6)}});
  }
  TRY(SqliteStatement rows,
      part.db().Prepare("SELECT " + FlowColumns(Detail::kFull) + " FROM flow ORDER BY id"));
  StoredFlow flow;
  const std::uint64_t id = part.extent().first_lsn;
  while (true) {
    TRY(const bool row, rows.Step());
    if (!row) break;
    ReadFlow(rows, Detail::kFull, &flow);
    const FlowBase* known = maker_.deltas().Find(flow.key());
    FlowBase base = known != nullptr ? *known : FlowBase{};
    if (base.newest_row.part == id && base.newest_row.row >= flow.id) continue;
    if (flow.rebased) base.cumulative = FlowCounters{};
    Add(&base.cumulative, flow.row.added);
    base.emitted_boot_ns = std::max(base.emitted_boot_ns, flow.emitted_boot_ns);
    base.final = IsFinal(flow.row.facts.state);
    base.newest_row = {id, flow.id};
    maker_.deltas().Restore(flow.key(), base);
  }
  return Ok();
}

}  // namespace culprit
