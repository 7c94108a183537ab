// SPDX-License-Identifier: Apache-2.0
// Checks a journal from the outside: every byte, hash, link and signature. Changes nothing.
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "collector/journal/journal.h"
#include "collector/journal/seal.h"
#include "collector/journal/segment_scan.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxSealBytes = 64U << 20;

class JournalVerifier {
 public:
  JournalVerifier(const std::string& directory, const SealVerifier* verifier)
      : directory_(directory), verifier_(verifier) {}

  Status CheckSegment(const std::string& name, bool newest);
  JournalVerifyReport Finish() { return std::move(report_); }

 private:
  void CheckSeal(const std::string& name, const SegmentScan& scan, std::uint64_t file_bytes);
  void Note(const std::string& file, std::string what) {
    report_.damage.push_back({file, 0, 0, std::move(what)});
  }

  const std::string& directory_;
  const SealVerifier* verifier_;
  JournalVerifyReport report_;
  Uuid journal_id_;
  Sha256Digest last_hash_{};
};

Status JournalVerifier::CheckSegment(const std::string& name, bool newest) {
  auto scan = ScanJournalSegment(directory_, name, true);
  if (!scan) {
    if (scan.error().code == Code::kDataLoss) return Note(name, scan.error().message), Ok();
    return std::move(scan).error();
  }
  const SegmentTally& tally = scan->tally;
  if (report_.segments == 0) journal_id_ = scan->journal_id;
  if (scan->journal_id != journal_id_) return Note(name, "segment of another journal"), Ok();
  const std::uint64_t file_bytes = scan->end_offset + scan->tail_bytes;
  report_.segments += 1;
  report_.entries += tally.entries();
  report_.bytes += file_bytes;
  if (tally.entries() != 0) {
    if (report_.first_lsn == 0) {
      report_.first_lsn = tally.first_lsn();
    } else if (tally.first_lsn() != report_.last_lsn + 1) {
      Note(name, fmt::format("entries {} to {} are missing before it", report_.last_lsn + 1,
                             tally.first_lsn() - 1));
    } else if (tally.first_prev_hash() != last_hash_) {
      Note(name, "does not follow from the last hash of the segment before");
    }
    report_.last_lsn = tally.last_lsn();
    last_hash_ = tally.last_hash();
  }
  for (JournalDamage& damage : scan->damage) report_.damage.push_back(damage);
  struct stat st {};
  const bool has_seal = stat((directory_ + "/" + SealNameOf(name)).c_str(), &st) == 0;
  if (has_seal) {
    CheckSeal(name, *scan, file_bytes);
  } else if (!newest) {
    Note(name, "has no seal");
  }
  return Ok();
}

void JournalVerifier::CheckSeal(const std::string& name, const SegmentScan& scan,
                                std::uint64_t file_bytes) {
  const std::string seal_name = SealNameOf(name);
  const auto text = ReadWholeFile(directory_ + "/" + seal_name, kMaxSealBytes);
  const auto seal = text ? ParseSeal(*text) : Result<JournalSeal>(text.error());
  if (!seal) return Note(seal_name, "seal does not read: " + seal.error().message);
  report_.sealed += 1;
  JournalSeal found = scan.tally.Summary(scan.journal_id);
  found.bytes = file_bytes;
  Sha256 hash;
  if (!HashFile(directory_ + "/" + name, file_bytes, &hash)) return Note(name, "can not be read");
  found.sha256 = hash.Finish();
  if (found.sha256 != seal->sha256) Note(name, "SHA-256 differs from its seal");
  if (SealText(found) != SealText(*seal)) Note(seal_name, "seal says something else than the segment");
  if (verifier_ == nullptr) return;
  if (seal->signature.empty()) return Note(seal_name, "seal is not signed");
  if (!verifier_->Verify(*seal)) Note(seal_name, "signature does not verify");
}

}  // namespace

Result<JournalVerifyReport> VerifyJournal(const std::string& directory,
                                          const std::string& public_key_path) {
  std::optional<SealVerifier> verifier;
  if (!public_key_path.empty()) {
    TRY(verifier, SealVerifier::FromFile(public_key_path));
  }
  TRY(const auto names, ListDirectory(directory));
  std::vector<std::string> segments;
  std::vector<std::string> seals;
  Lsn first_lsn = 0;
  for (const std::string& name : names) {
    if (ParseJournalSegmentName(name, &first_lsn)) segments.push_back(name);
    if (name.ends_with(".seal")) seals.push_back(name);
  }
  JournalVerifier check(directory, verifier ? &*verifier : nullptr);
  for (const std::string& name : segments) {
    TRY_VOID(check.CheckSegment(name, name == segments.back()));
    std::erase(seals, SealNameOf(name));
  }
  JournalVerifyReport report = check.Finish();
  for (const std::string& name : seals) {
    report.damage.push_back({name, 0, 0, "the segment of this seal is missing"});
  }
  return report;
}

}  // namespace culprit
