// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/journal.h"

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>

#include "collector/journal/journal_entry.h"
#include "collector/journal/journal_recovery.h"
#include "common/file.h"
#include "common/mutex.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxGroupEntries = 4096;
constexpr std::size_t kMaxCursors = 64;

struct Pending {
  CollectorStamp stamp;
  Frame frame;
  std::function<void(Result<Lsn>)> done;
  Lsn lsn = 0;  // once encoded
  EncodedEntry entry;
  std::optional<Error> refused;  // this entry alone

  std::uint64_t bytes() const { return frame.payload.size() + kRecordOverheadBytes; }
};

class JournalImpl final : public Journal {
 public:
  JournalImpl(JournalOptions options, UniqueFd lock, std::optional<SealSigner> signer,
              JournalState state);
  ~JournalImpl() override { Stop(); }

  void Append(CollectorStamp stamp, Frame frame, std::function<void(Result<Lsn>)> done) override;
  Status Scan(Lsn first, const std::function<bool(const StoredFrame&)>& visit) override;
  bool WaitFor(Lsn first, std::chrono::milliseconds timeout) override;
  std::vector<LaneHead> lane_heads() const override;
  JournalStats stats() const override;
  const std::vector<JournalDamage>& damage() const override { return damage_; }
  Status Retain(std::uint64_t max_bytes, WallTime older_than) override;
  void Stop() override CULPRIT_EXCLUDES(stop_mutex_);

 private:
  // Where a scan that stopped before `lsn` goes on.
  struct Cursor {
    Lsn lsn = 0;
    std::string segment;
    std::uint64_t offset = 0;
  };

  // Commit thread.
  void Run();
  std::vector<Pending> TakeGroup();
  void Commit(std::vector<Pending>* group);
  Status Write(std::vector<Pending>* group);
  Status EnsureOpen();
  void Encode(std::vector<Pending>* group);
  void Publish(const std::vector<Pending>& group);
  void SealIfFull();
  void Fail(const Error& error, bool for_good);
  std::deque<Pending> TakeQueued();

  const SealSigner* signer() const { return signer_ ? &*signer_ : nullptr; }
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  bool ScanSegment(SegmentReader* reader, const std::string& name, Lsn first, Lsn last,
                   const std::function<bool(const StoredFrame&)>& visit, Status* status);

  const JournalOptions options_;
  const UniqueFd lock_;
  const std::optional<SealSigner> signer_;
  const Uuid journal_id_;
  const std::vector<JournalDamage> damage_;

  // Commit thread only.
  std::optional<OpenSegment> open_;
  Lsn next_lsn_;
  Sha256Digest last_hash_;
  bool broken_ = false;

  mutable Mutex mutex_;
  CondVar work_, room_, durable_;
  std::deque<Pending> queue_ CULPRIT_GUARDED_BY(mutex_);
  std::uint64_t queued_bytes_ CULPRIT_GUARDED_BY(mutex_) = 0;
  bool stopping_ CULPRIT_GUARDED_BY(mutex_) = false;
  std::string failed_ CULPRIT_GUARDED_BY(mutex_);
  bool failed_for_good_ CULPRIT_GUARDED_BY(mutex_) = false;
  std::vector<SegmentMeta> segments_ CULPRIT_GUARDED_BY(mutex_);
  LaneHeads heads_ CULPRIT_GUARDED_BY(mutex_);
  Lsn durable_lsn_ CULPRIT_GUARDED_BY(mutex_);
  std::uint64_t commits_ CULPRIT_GUARDED_BY(mutex_) = 0;
  std::deque<Cursor> cursors_ CULPRIT_GUARDED_BY(mutex_);
  Mutex retain_mutex_;  // one retention at a time
  Mutex stop_mutex_;
  std::thread thread_;
};

JournalImpl::JournalImpl(JournalOptions options, UniqueFd lock, std::optional<SealSigner> signer,
                         JournalState state)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      signer_(std::move(signer)),
      journal_id_(state.journal_id),
      damage_(std::move(state.damage)),
      open_(std::move(state.open)),
      next_lsn_(state.next_lsn),
      last_hash_(state.last_hash),
      segments_(std::move(state.segments)),
      heads_(std::move(state.heads)),
      durable_lsn_(state.last_lsn),
      thread_([this] { Run(); }) {}

void JournalImpl::Append(CollectorStamp stamp, Frame frame, std::function<void(Result<Lsn>)> done) {
  Pending pending{std::move(stamp), std::move(frame), std::move(done), 0, {}, std::nullopt};
  {
    MutexLock lock(&mutex_);
    while (!stopping_ && queued_bytes_ >= 2 * options_.max_commit_bytes) room_.Wait(&mutex_);
    if (!stopping_) {
      queued_bytes_ += pending.bytes();
      queue_.push_back(std::move(pending));
      work_.NotifyOne();
      return;
    }
  }
  pending.done(Unavailable("journal is stopped"));
}

void JournalImpl::Run() {
  for (;;) {
    std::vector<Pending> group = TakeGroup();
    if (group.empty()) return;
    Commit(&group);
  }
}

// What has queued up while the last group was synced is the next group. Empty: stopped.
std::vector<Pending> JournalImpl::TakeGroup() {
  std::vector<Pending> group;
  MutexLock lock(&mutex_);
  while (queue_.empty() && !stopping_) work_.Wait(&mutex_);
  std::uint64_t bytes = 0;
  while (!queue_.empty() && group.size() < kMaxGroupEntries && bytes < options_.max_commit_bytes) {
    bytes += queue_.front().bytes();
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_bytes_ -= bytes;
  room_.NotifyAll();
  return group;
}

void JournalImpl::Commit(std::vector<Pending>* group) {
  const Status written = Write(group);
  if (written) {
    Publish(*group);
  } else if (!broken_) {
    // A full disk: nothing of the group is in the file, the next group tries again. Anything else
    // is for good.
    broken_ = written.error().code != Code::kResourceExhausted;
    Fail(written.error(), broken_);
  }
  std::deque<Pending> behind;
  if (!written)
    behind =
        TakeQueued();  // before anyone hears of the failure: what they append then is a new try
  for (Pending& pending : *group) {
    if (pending.refused) {
      pending.done(std::move(*pending.refused));
    } else if (!written) {
      pending.done(written.error());
    } else {
      pending.done(pending.lsn);
    }
  }
  for (Pending& pending : behind) pending.done(written.error());
  if (written) SealIfFull();
}

// What queued up behind a group that failed may follow a frame of it: were it stored, that frame
// would look like one that was stored before.
std::deque<Pending> JournalImpl::TakeQueued() {
  std::deque<Pending> queued;
  MutexLock lock(&mutex_);
  queued.swap(queue_);
  queued_bytes_ = 0;
  room_.NotifyAll();
  return queued;
}

Status JournalImpl::Write(std::vector<Pending>* group) {
  if (broken_) return DataLoss("journal has failed and accepts nothing until it is restarted");
  TRY_VOID(EnsureOpen());
  Encode(group);
  std::vector<iovec> parts;
  parts.reserve(group->size() * 2);
  const auto add = [&](const std::string& bytes) {
    if (!bytes.empty()) parts.push_back({const_cast<char*>(bytes.data()), bytes.size()});
  };
  for (const Pending& pending : *group) {
    if (pending.refused) continue;
    add(pending.entry.head);
    add(pending.frame.payload);
  }
  if (parts.empty()) return Ok();
  if (Status status = open_->writer.AppendParts(parts); !status) {
    if (status.error().code == Code::kResourceExhausted) return status;
    return DataLoss("journal: " + status.error().message);
  }
  if (Status status = open_->writer.Sync(); !status) {
    // Whatever the reason, even a full disk: what the page cache holds now can not be trusted.
    return DataLoss("journal: " + status.error().message);
  }
  for (const Pending& pending : *group) {
    if (pending.refused) continue;
    open_->file_hash.Update(pending.entry.head);
    open_->file_hash.Update(pending.frame.payload);
  }
  return Ok();
}

Status JournalImpl::EnsureOpen() {
  if (open_) return Ok();
  const std::string name = JournalSegmentName(next_lsn_);
  const SegmentHeader header{LogKind::kJournal, journal_id_, next_lsn_, ReadWallClock()};
  TRY(SegmentWriter writer, SegmentWriter::Create(PathOf(name), header));
  Sha256 hash;
  hash.Update(EncodeSegmentHeader(header));
  open_.emplace(OpenSegment{name, std::move(writer), {}, std::move(hash)});
  MutexLock lock(&mutex_);
  segments_.push_back({name, next_lsn_, 0, kSegmentHeaderBytes, {}, false});
  return Ok();
}

void JournalImpl::Encode(std::vector<Pending>* group) {
  EntryPlace place{journal_id_, next_lsn_, ReadClockPair(), last_hash_};
  for (Pending& pending : *group) {
    auto entry = EncodeEntry(place, pending.stamp, pending.frame);
    if (!entry) {
      pending.refused = std::move(entry).error();
      continue;
    }
    pending.lsn = place.lsn;
    pending.entry = std::move(*entry);
    place.lsn += 1;
    place.prev_hash = pending.entry.hash;
  }
}

void JournalImpl::Publish(const std::vector<Pending>& group) {
  MutexLock lock(&mutex_);
  for (const Pending& pending : group) {
    if (pending.refused) continue;
    // Without the payload: the tally reads only identities.
    StoredFrame stored;
    stored.lsn = pending.lsn;
    stored.stamp.received = pending.stamp.received;
    stored.stamp.agent_id = pending.stamp.agent_id;
    stored.frame.header = pending.frame.header;
    stored.frame.hash = pending.frame.hash;
    open_->tally.Add(stored, pending.entry.hash, last_hash_);
    heads_.Update(stored);
    last_hash_ = pending.entry.hash;
    durable_lsn_ = pending.lsn;
    next_lsn_ = pending.lsn + 1;
  }
  SegmentMeta& meta = segments_.back();
  meta.last_lsn = open_->tally.last_lsn();
  meta.bytes = open_->writer.offset();
  meta.last_received = open_->tally.last_received();
  commits_ += 1;
  failed_.clear();
  durable_.NotifyAll();
}

void JournalImpl::SealIfFull() {
  if (!open_ || open_->writer.offset() < options_.segment_bytes) return;
  JournalSeal seal = open_->tally.Summary(journal_id_);
  seal.bytes = open_->writer.offset();
  Sha256 hash = std::move(open_->file_hash);
  seal.sha256 = hash.Finish();
  const std::string name = open_->name;
  // A seal that can not be written now (disk full) is written by the next start.
  const bool sealed = WriteSeal(options_.directory, name, std::move(seal), signer()).has_value();
  open_.reset();
  MutexLock lock(&mutex_);
  segments_.back().sealed = sealed;
}

void JournalImpl::Fail(const Error& error, bool for_good) {
  MutexLock lock(&mutex_);
  failed_ = for_good ? error.message + " (restart the collector)" : error.message;
  failed_for_good_ = for_good;
}

bool JournalImpl::WaitFor(Lsn first, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(&mutex_);
  while (durable_lsn_ < first && !stopping_) {
    if (!durable_.WaitUntil(&mutex_, deadline)) break;
  }
  return durable_lsn_ >= first;
}

Status JournalImpl::Scan(Lsn first, const std::function<bool(const StoredFrame&)>& visit) {
  std::vector<SegmentMeta> segments;
  std::optional<Cursor> cursor;
  Lsn last = 0;
  {
    MutexLock lock(&mutex_);
    last = durable_lsn_;
    for (const SegmentMeta& meta : segments_) {
      if (meta.last_lsn >= first) segments.push_back(meta);
    }
    for (const Cursor& candidate : cursors_) {
      if (candidate.lsn == first) cursor = candidate;
    }
  }
  for (const SegmentMeta& meta : segments) {
    auto reader = SegmentReader::Open(PathOf(meta.name), [](const ReadDamage&) {});
    if (!reader) {
      if (reader.error().code == Code::kNotFound) continue;  // retention was faster
      return std::move(reader).error();
    }
    if (cursor && cursor->segment == meta.name) TRY_VOID(reader->Seek(cursor->offset));
    Status status;
    if (!ScanSegment(&*reader, meta.name, first, last, visit, &status)) return status;
  }
  return Ok();
}

// False: the scan is over.
bool JournalImpl::ScanSegment(SegmentReader* reader, const std::string& name, Lsn first, Lsn last,
                              const std::function<bool(const StoredFrame&)>& visit,
                              Status* status) {
  Lsn next = first;
  bool go_on = true;
  std::uint64_t offset = reader->offset();
  while (go_on && next <= last) {
    auto record = reader->Next();
    if (!record) {
      *status = std::move(record).error().Context(name);
      return false;
    }
    if (!*record || (*record)->header.seq > last) break;
    offset = reader->offset();
    if ((*record)->header.seq < first) continue;
    next = (*record)->header.seq + 1;
    // An entry that does not decode is damage, which Open() and VerifyJournal() report.
    if (const auto stored = DecodeEntry(**record)) go_on = visit(*stored);
  }
  MutexLock lock(&mutex_);
  std::erase_if(cursors_, [&](const Cursor& cursor) { return cursor.lsn == next; });
  cursors_.push_back({next, name, offset});
  if (cursors_.size() > kMaxCursors) cursors_.pop_front();
  return go_on && next <= last;
}

std::vector<LaneHead> JournalImpl::lane_heads() const {
  MutexLock lock(&mutex_);
  std::vector<LaneHead> heads;
  for (const HeadEntry& entry : heads_.entries()) heads.push_back(entry.head);
  return heads;
}

JournalStats JournalImpl::stats() const {
  JournalStats stats;
  // Unknown reads as 0: shown as such rather than as an error.
  stats.free_disk_bytes = FreeDiskBytes(options_.directory).value_or(0);
  MutexLock lock(&mutex_);
  stats.durable_lsn = durable_lsn_;
  stats.segments = segments_.size();
  stats.commits = commits_;
  stats.failed = failed_;
  stats.broken = failed_for_good_;
  for (const SegmentMeta& meta : segments_) stats.bytes += meta.bytes;
  return stats;
}

Status JournalImpl::Retain(std::uint64_t max_bytes, WallTime older_than) {
  MutexLock retain_lock(&retain_mutex_);
  std::vector<SegmentMeta> removed;
  std::vector<HeadEntry> carried;
  Lsn oldest = 0;
  {
    MutexLock lock(&mutex_);
    std::uint64_t total = 0;
    for (const SegmentMeta& meta : segments_) total += meta.bytes;
    std::size_t n = 0;
    for (; n + 1 < segments_.size() && segments_[n].sealed; ++n) {
      const bool too_old = older_than != WallTime{} && segments_[n].last_received < older_than;
      if (total <= max_bytes && !too_old) break;
      total -= segments_[n].bytes;
    }
    const auto end = segments_.begin() + static_cast<std::ptrdiff_t>(n);
    removed.assign(segments_.begin(), end);
    if (removed.empty()) return Ok();
    oldest = end->first_lsn;
    carried = heads_.OlderThan(oldest, kMaxCarriedHeads);
  }
  // First what dedup still needs, then the evidence, then its seal: a crash between leaves no
  // unexplained hole.
  TRY_VOID(SaveCarriedHeads(options_.directory, journal_id_, oldest, std::move(carried)));
  for (const SegmentMeta& meta : removed) {
    TRY_VOID(RemoveFile(PathOf(meta.name)));
    TRY_VOID(RemoveFile(PathOf(SealNameOf(meta.name))));
    MutexLock lock(&mutex_);
    std::erase_if(segments_, [&](const SegmentMeta& other) { return other.name == meta.name; });
  }
  return SyncDirectory(options_.directory);
}

void JournalImpl::Stop() {
  MutexLock stop_lock(&stop_mutex_);
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    work_.NotifyAll();
    room_.NotifyAll();
    durable_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  open_.reset();
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(const JournalOptions& options) {
  TRY_VOID(MakeDirectories(options.directory, 0750));
  TRY(UniqueFd lock, LockFile(options.directory + "/lock"));
  std::optional<SealSigner> signer;
  if (!options.signing_key_path.empty()) {
    TRY(signer, SealSigner::FromFile(options.signing_key_path));
  }
  auto state = RecoverJournal(options, signer ? &*signer : nullptr);
  if (!state) return std::move(state).error().Context("journal " + options.directory);
  return std::unique_ptr<Journal>(std::make_unique<JournalImpl>(
      options, std::move(lock), std::move(signer), std::move(*state)));
}

}  // namespace culprit
