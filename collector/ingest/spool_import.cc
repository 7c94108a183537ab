// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/spool_import.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "collector/ingest/sequence.h"
#include "collector/ingest/validate.h"
#include "collector/model/imported.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxInFlight = 512;  // frames that are not durable yet

using LaneId = std::pair<Uuid, Lane>;  // stream, lane

// Ranges of numbers, ascending and apart.
class Ranges {
 public:
  void Add(std::uint64_t seq) {
    if (!ranges_.empty() && seq == ranges_.back().last + 1) {
      ranges_.back().last = seq;
    } else if (ranges_.empty() || seq > ranges_.back().last) {
      ranges_.push_back({seq, seq});
    }
  }
  bool Contains(std::uint64_t seq) const {
    const auto behind = std::ranges::upper_bound(ranges_, seq, {}, &SeqRange::first);
    return behind != ranges_.begin() && std::prev(behind)->last >= seq;
  }
  std::vector<SeqRange> Missing() const {
    std::vector<SeqRange> missing;
    std::uint64_t next = 1;
    for (const SeqRange& range : ranges_) {
      if (range.first > next) missing.push_back({next, range.first - 1});
      next = range.last + 1;
    }
    return missing;
  }

 private:
  std::vector<SeqRange> ranges_;
};

struct Cursor {
  SpoolLane lane;
  FrameValidator validator;
  ImportedLane told;
};

class Importer {
 public:
  Importer(const ImportOptions& options, Journal* journal) : options_(options), journal_(journal) {}

  Result<ImportReport> Run();

 private:
  Status ReadJournal();
  void MakeCursors(SpoolFiles found);
  std::optional<Uuid> AgentOf(const SpoolFile& file);
  void Damaged(FileTrouble trouble);
  bool Next(Cursor* cursor);
  void Take(Cursor* cursor);
  void Refuse(Cursor* cursor, std::string_view reason);
  void Append(Cursor* cursor, ValidFrame valid, const SequenceVerdict& verdict);
  Status WaitForRoom(std::size_t most);

  const ImportOptions& options_;
  Journal* journal_;
  ImportReport report_;
  std::map<LaneId, Ranges> held_;          // what the journal has
  std::unordered_map<Uuid, Uuid> owners_;  // stream -> agent
  std::vector<std::unique_ptr<Cursor>> cursors_;

  std::mutex mutex_;
  std::condition_variable settled_;
  // Under mutex_:
  std::unordered_map<Uuid, AgentSequence> sequences_;  // by agent
  std::size_t in_flight_ = 0;
  std::optional<Error> failed_;
};

Result<ImportReport> Importer::Run() {
  TRY(SpoolFiles found, FindSpoolFiles(options_.paths));
  TRY_VOID(ReadJournal());
  MakeCursors(std::move(found));
  // Lanes of all streams side by side, by the hosts' clocks: as they would have come.
  const auto later = [](Cursor* a, Cursor* b) {
    return a->lane.frame().header.clock.wall > b->lane.frame().header.clock.wall;
  };
  std::vector<Cursor*> heap;
  for (const auto& cursor : cursors_) {
    if (Next(cursor.get())) heap.push_back(cursor.get());
  }
  std::ranges::make_heap(heap, later);
  Status room = Ok();
  while (!heap.empty() && room) {
    std::ranges::pop_heap(heap, later);
    Take(heap.back());
    if (Next(heap.back())) {
      std::ranges::push_heap(heap, later);
    } else {
      heap.pop_back();
    }
    room = WaitForRoom(kMaxInFlight);
  }
  TRY_VOID(WaitForRoom(1));
  for (const auto& cursor : cursors_) {
    ImportedLane& told = cursor->told;
    told.missing = held_[{told.stream_id, told.lane}].Missing();
    report_.lanes.push_back(std::move(told));
  }
  return std::move(report_);
}

Status Importer::ReadJournal() {
  for (const LaneHead& head : journal_->lane_heads()) {
    owners_.emplace(head.stream_id, head.agent_id);
    sequences_[head.agent_id].Load(head);
  }
  return journal_->Scan(1, [this](const StoredFrame& stored) {
    const FrameHeader& header = stored.frame.header;
    held_[{header.stream_id, header.lane}].Add(header.seq);
    return true;
  });
}

void Importer::MakeCursors(SpoolFiles found) {
  report_.files = found.files.size() + found.unreadable.size();
  for (FileTrouble& trouble : found.unreadable) Damaged(std::move(trouble));
  std::map<LaneId, std::vector<SpoolFile>> lanes;
  for (SpoolFile& file : found.files) {
    if (!AgentOf(file)) continue;
    std::vector<SpoolFile>& lane = lanes[{file.stream_id, file.lane}];
    lane.push_back(std::move(file));
  }
  for (auto& [id, files] : lanes) {
    ImportedLane told;
    told.stream_id = id.first;
    told.lane = id.second;
    told.agent_id = owners_.at(id.first);
    told.files = files.size();
    cursors_.push_back(std::make_unique<Cursor>(Cursor{
        SpoolLane(std::move(files), [this](const FileTrouble& trouble) { Damaged(trouble); }),
        FrameValidator(id.first), std::move(told)}));
  }
}

// nullopt: it was told why not. A stream has one agent, whatever else a path says.
std::optional<Uuid> Importer::AgentOf(const SpoolFile& file) {
  const std::optional<Uuid> said = options_.agent_id ? options_.agent_id : file.agent_id;
  const auto known = owners_.find(file.stream_id);
  if (known == owners_.end() && !said) {
    Damaged({file.path, 0, 0,
             "whose it is, is not in its path: keep the folders of the bucket, or say it with "
             "--agent"});
    return std::nullopt;
  }
  if (known == owners_.end()) {
    owners_.emplace(file.stream_id, *said);
    return said;
  }
  if (said && *said != known->second) {
    Damaged({file.path, 0, 0,
             "its stream is known as one of agent " + known->second.ToString() + ", not of " +
                 said->ToString()});
    return std::nullopt;
  }
  return known->second;
}

void Importer::Damaged(FileTrouble trouble) {
  if (report_.damage.size() < ImportReport::kMaxListed)
    report_.damage.push_back(std::move(trouble));
}

bool Importer::Next(Cursor* cursor) {
  if (!cursor->lane.Advance()) return false;
  ImportedLane& told = cursor->told;
  const FrameHeader& header = cursor->lane.frame().header;
  if (told.frames++ == 0) {
    told.first_seq = header.seq;
    told.first_time = header.clock.wall;
  }
  told.last_seq = std::max(told.last_seq, header.seq);
  told.last_time = std::max(told.last_time, header.clock.wall);
  return true;
}

void Importer::Take(Cursor* cursor) {
  ImportedLane& told = cursor->told;
  Ranges& held = held_[{told.stream_id, told.lane}];
  Frame& frame = cursor->lane.frame();
  auto valid = cursor->validator.Validate(std::move(frame.header_bytes), std::move(frame.payload),
                                          AsBytes(frame.hash));
  if (!valid) return Refuse(cursor, RefusalName(valid.error().reason));
  const FrameHeader& header = valid->frame.header;
  SequenceVerdict verdict;
  {
    const std::lock_guard lock(mutex_);
    verdict = sequences_[told.agent_id].Observe(header, valid->frame.hash);
  }
  if (verdict.action == SequenceVerdict::Action::kAccept) {
    held.Add(header.seq);
    ++told.imported;
    told.records += valid->records;
    told.rejected_records += valid->rejected_records;
    return Append(cursor, std::move(*valid), verdict);
  }
  // Of a gap that an earlier run left the sequence knows no more; the journal does.
  const bool refused = verdict.action == SequenceVerdict::Action::kRefuse;
  if (refused && verdict.refusal != "out_of_order") return Refuse(cursor, verdict.refusal);
  ++(held.Contains(header.seq) ? told.present : told.late);
}

void Importer::Refuse(Cursor* cursor, std::string_view reason) {
  ++cursor->told.refused;
  ++report_.refusals[std::string(reason)];
}

void Importer::Append(Cursor* cursor, ValidFrame valid, const SequenceVerdict& verdict) {
  const Uuid agent = cursor->told.agent_id;
  CollectorStamp stamp;
  stamp.received = std::min(cursor->lane.file().changed, ReadWallClock());
  stamp.agent_id = agent;
  stamp.agent_name = "import-" + agent.ToString().substr(0, 8);
  stamp.peer = kImportPeer;
  stamp.sequence = verdict.state;
  stamp.missing_from_seq = verdict.missing_from;
  stamp.missing_to_seq = verdict.missing_to;
  stamp.stream_reason = verdict.stream_reason;
  const FrameHeader header = valid.frame.header;
  {
    const std::lock_guard lock(mutex_);
    ++in_flight_;
  }
  journal_->Append(
      std::move(stamp), std::move(valid.frame), [this, agent, header](const Result<Lsn>& result) {
        const std::lock_guard lock(mutex_);
        sequences_[agent].Settle(header.stream_id, header.lane, header.seq, result.has_value());
        if (!result && !failed_) failed_ = result.error();
        --in_flight_;
        settled_.notify_all();
      });
}

// Until fewer than `most` frames are on their way to the disk. An error leaves none behind.
Status Importer::WaitForRoom(std::size_t most) {
  std::unique_lock lock(mutex_);
  settled_.wait(lock, [&] { return failed_ ? in_flight_ == 0 : in_flight_ < most; });
  if (failed_) return *failed_;
  return Ok();
}

}  // namespace

bool ImportReport::whole() const {
  return damage.empty() && refusals.empty() && std::ranges::all_of(lanes, [](const auto& lane) {
           return lane.missing.empty() && lane.late == 0;
         });
}

Result<ImportReport> ImportSpool(const ImportOptions& options, Journal* journal) {
  return Importer(options, journal).Run();
}

}  // namespace culprit
