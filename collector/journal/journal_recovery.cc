// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/journal_recovery.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxSealBytes = 64U << 20;
constexpr const char* kHeadsFile = "heads";
// An entry has a stamp, an agent's header and hash: damaged bytes hold at most one entry for so many of them.
constexpr std::uint64_t kMinEntryBytes = kRecordOverheadBytes + 4 + kFrameHeaderBytes + 32;

class Recovery {
 public:
  Recovery(const JournalOptions& options, const SealSigner* signer)
      : options_(options), signer_(signer) {}
  Result<JournalState> Run();

 private:
  struct Found {
    std::string name;
    Lsn first_lsn = 0;
    std::uint64_t bytes = 0;
    std::optional<JournalSeal> seal;
  };

  Status Find();
  Status ChooseId();
  void TakeCarriedHeads();
  Status TakeOrphanSeals();
  void TakeSealed(const Found& found);
  Status TakeUnsealed(const Found& found, bool newest);
  Status OpenForAppending(const Found& found, SegmentScan scan);
  void Note(const std::string& file, std::uint64_t bytes, std::string what) {
    state_.damage.push_back({file, 0, bytes, std::move(what)});
  }
  // The gap between the segment before and one that starts with `first`.
  void CheckFollows(const std::string& name, Lsn first, const Sha256Digest& first_prev_hash);
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }

  const JournalOptions& options_;
  const SealSigner* signer_;
  std::vector<Found> found_;
  std::vector<std::string> orphan_seals_;
  Lsn removed_below_ = 0;  // by retention
  bool any_ = false;       // an entry was seen
  JournalState state_;
};

Result<JournalState> Recovery::Run() {
  TRY_VOID(Find());
  TRY_VOID(ChooseId());
  TakeCarriedHeads();
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (found_[i].seal) {
      TakeSealed(found_[i]);
    } else {
      TRY_VOID(TakeUnsealed(found_[i], i + 1 == found_.size()));
    }
  }
  TRY_VOID(TakeOrphanSeals());
  state_.next_lsn = std::max(state_.next_lsn, state_.last_lsn + 1);
  return std::move(state_);
}

Status Recovery::Find() {
  TRY(const auto names, ListDirectory(options_.directory));
  for (const std::string& name : names) {
    if (name.ends_with(".tmp")) TRY_VOID(RemoveFile(PathOf(name)));
    if (name.ends_with(".seal")) orphan_seals_.push_back(name);
    Found found;
    if (!ParseJournalSegmentName(name, &found.first_lsn)) continue;
    struct stat st {};
    if (lstat(PathOf(name).c_str(), &st) != 0) return ErrnoError("stat " + PathOf(name));
    if (!S_ISREG(st.st_mode)) continue;
    found.name = name;
    found.bytes = static_cast<std::uint64_t>(st.st_size);
    if (found.bytes < kSegmentHeaderBytes) {  // died while it was created: holds no entry
      TRY_VOID(RemoveFile(PathOf(name)));
      continue;
    }
    if (const auto text = ReadWholeFile(PathOf(SealNameOf(name)), kMaxSealBytes)) {
      auto seal = ParseSeal(*text);
      if (seal) {
        found.seal = std::move(*seal);
      } else {
        Note(SealNameOf(name), text->size(), "seal does not read: " + seal.error().message);
      }
    }
    found_.push_back(std::move(found));
  }
  return Ok();
}

// The journal's id is in every segment and seal; a segment of another journal is left alone.
Status Recovery::ChooseId() {
  std::vector<Uuid> ids;
  for (const Found& found : found_) {
    const auto reader = SegmentReader::Open(PathOf(found.name), [](const ReadDamage&) {});
    const bool readable = reader && (!reader->header_damaged() || reader->header().log_id != Uuid{});
    ids.push_back(readable ? reader->header().log_id : found.seal ? found.seal->journal_id : Uuid{});
  }
  const auto first = std::find_if(ids.begin(), ids.end(), [](const Uuid& id) { return id != Uuid{}; });
  state_.journal_id = first == ids.end() ? Uuid::Random() : *first;
  std::vector<Found> ours;
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (ids[i] == state_.journal_id) {
      ours.push_back(std::move(found_[i]));
    } else {
      Note(found_[i].name, found_[i].bytes, "segment of another journal, or nothing in it reads");
      state_.next_lsn = std::max(state_.next_lsn, found_[i].first_lsn + 1);
    }
  }
  found_ = std::move(ours);
  return Ok();
}

void Recovery::TakeCarriedHeads() {
  const auto text = ReadWholeFile(PathOf(kHeadsFile), kMaxSealBytes);
  if (!text) return;
  const auto carried = ParseSeal(*text);
  if (!carried || carried->format != kHeadsFormat) {
    Note(kHeadsFile, text->size(), "heads of removed segments do not read");
    return;
  }
  if (carried->journal_id != state_.journal_id) return;
  removed_below_ = carried->first_lsn;
  state_.heads.UpdateAll(carried->heads);
}

void Recovery::CheckFollows(const std::string& name, Lsn first, const Sha256Digest& first_prev_hash) {
  if (!any_) {
    const Lsn expected = std::max<Lsn>(removed_below_, 1);
    if (first > expected) {
      Note(name, 0, fmt::format("entries {} to {} are missing before it", expected, first - 1));
    }
  } else if (first != state_.last_lsn + 1) {
    Note(name, 0, fmt::format("entries {} to {} are missing before it", state_.last_lsn + 1, first - 1));
  } else if (first_prev_hash != state_.last_hash) {
    Note(name, 0, "does not follow from the last hash of the segment before");
  }
  any_ = true;
}

void Recovery::TakeSealed(const Found& found) {
  const JournalSeal& seal = *found.seal;
  std::erase(orphan_seals_, SealNameOf(found.name));
  if (seal.bytes != found.bytes) {
    Note(found.name, found.bytes, fmt::format("was sealed with {} bytes", seal.bytes));
  }
  if (seal.entries != 0) CheckFollows(found.name, seal.first_lsn, seal.first_prev_hash);
  state_.segments.push_back(
      {found.name, seal.first_lsn, seal.last_lsn, found.bytes, seal.last_received, true});
  state_.heads.UpdateAll(seal.heads);
  if (seal.entries == 0) return;
  state_.last_lsn = std::max(state_.last_lsn, seal.last_lsn);
  state_.last_hash = seal.last_hash;
}

Status Recovery::TakeUnsealed(const Found& found, bool newest) {
  std::erase(orphan_seals_, SealNameOf(found.name));
  if (newest) {
    // Written and not synced before a crash: make it durable, then read what is really on the disk. (After a failed
    // fsync the page cache may show bytes that the disk does not have.)
    const UniqueFd fd(open(PathOf(found.name).c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) return ErrnoError("open " + PathOf(found.name));
    if (fdatasync(fd.get()) != 0) return ErrnoError("fdatasync " + PathOf(found.name));
    posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  TRY(SegmentScan scan, ScanJournalSegment(options_.directory, found.name, false));
  const SegmentTally& tally = scan.tally;
  if (tally.entries() != 0) {
    CheckFollows(found.name, tally.first_lsn(), tally.first_prev_hash());
    state_.last_lsn = std::max(state_.last_lsn, tally.last_lsn());
    state_.last_hash = tally.last_hash();
  }
  state_.heads.UpdateAll(tally.heads().entries());
  for (JournalDamage& damage : scan.damage) state_.damage.push_back(std::move(damage));
  state_.segments.push_back({found.name, tally.entries() != 0 ? tally.first_lsn() : found.first_lsn,
                             tally.last_lsn(), found.bytes, tally.last_received(), false});
  if (newest && (scan.tail_bytes == 0 || scan.torn_tail)) {
    return OpenForAppending(found, std::move(scan));
  }
  if (newest) {
    // The damaged end may have held entries that are acknowledged and indexed: it stays, and their LSNs are not given again.
    state_.next_lsn = state_.last_lsn + 2 + scan.tail_bytes / kMinEntryBytes;
  } else {
    Note(found.name, 0, "had no seal; sealed now as it is");
  }
  JournalSeal seal = tally.Summary(state_.journal_id);
  Sha256 hash;
  TRY_VOID(HashFile(PathOf(found.name), found.bytes, &hash));
  seal.bytes = found.bytes;
  seal.sha256 = hash.Finish();
  TRY_VOID(WriteSeal(options_.directory, found.name, std::move(seal), signer_));
  state_.segments.back().sealed = true;
  return Ok();
}

Status Recovery::OpenForAppending(const Found& found, SegmentScan scan) {
  TRY(SegmentWriter writer, SegmentWriter::OpenAt(PathOf(found.name), scan.end_offset));
  TRY_VOID(writer.Sync());
  Sha256 hash;
  TRY_VOID(HashFile(PathOf(found.name), scan.end_offset, &hash));
  state_.segments.back().bytes = scan.end_offset;
  state_.open.emplace(OpenSegment{found.name, std::move(writer), std::move(scan.tally), std::move(hash)});
  return Ok();
}

// A seal whose segment is gone: retention was interrupted, or somebody removed evidence.
Status Recovery::TakeOrphanSeals() {
  for (const std::string& name : orphan_seals_) {
    const auto text = ReadWholeFile(PathOf(name), kMaxSealBytes);
    const auto seal = text ? ParseSeal(*text) : Result<JournalSeal>(text.error());
    if (seal && seal->journal_id == state_.journal_id) {
      if (seal->last_lsn < removed_below_) {
        TRY_VOID(RemoveFile(PathOf(name)));
        continue;
      }
      state_.heads.UpdateAll(seal->heads);
      state_.next_lsn = std::max(state_.next_lsn, seal->last_lsn + 1);
    }
    Note(name, 0, "the segment of this seal is missing");
  }
  return Ok();
}

}  // namespace

Result<JournalState> RecoverJournal(const JournalOptions& options, const SealSigner* signer) {
  return Recovery(options, signer).Run();
}

Status WriteSeal(const std::string& directory, const std::string& segment_name, JournalSeal seal,
                 const SealSigner* signer) {
  if (signer != nullptr) TRY_VOID(signer->Sign(&seal));
  return WriteFileAtomically(directory + "/" + SealNameOf(segment_name), FormatSeal(seal));
}

Status SaveCarriedHeads(const std::string& directory, const Uuid& journal_id, Lsn oldest_lsn,
                        std::vector<HeadEntry> heads) {
  JournalSeal carried;
  carried.format = kHeadsFormat;
  carried.journal_id = journal_id;
  carried.first_lsn = oldest_lsn;
  carried.heads = std::move(heads);
  return WriteFileAtomically(directory + "/" + kHeadsFile, FormatSeal(carried));
}

}  // namespace culprit
