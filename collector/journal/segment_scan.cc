// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/segment_scan.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>

#include "collector/journal/journal_entry.h"
#include "common/file.h"
#include "common/framed_log.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::string_view kPrefix = "journal-";
constexpr std::string_view kSegmentSuffix = ".clog";

// What is wrong with one entry that read well: its place in the chain and, if asked for, its hashes.
std::string FaultOf(const Frame& record, const StoredFrame& stored, const SegmentTally& tally,
                    bool deep) {
  if (tally.entries() != 0) {
    if (record.header.seq != tally.last_lsn() + 1) {
      return fmt::format("entry {} follows entry {}", record.header.seq, tally.last_lsn());
    }
    if (record.header.prev_hash != tally.last_hash()) {
      return fmt::format("entry {} does not follow from the hash of the one before",
                         record.header.seq);
    }
  }
  if (!deep) return {};
  if (FrameHash(record.header_bytes, record.payload) != record.hash) {
    return fmt::format("entry {} has another hash than it says", record.header.seq);
  }
  if (FrameHash(stored.frame.header_bytes, stored.frame.payload) != stored.frame.hash) {
    return fmt::format("agent's frame in entry {} has another hash than it says",
                       record.header.seq);
  }
  return {};
}

}  // namespace

std::string JournalSegmentName(Lsn first_lsn) {
  return fmt::format("{}{:016x}{}", kPrefix, first_lsn, kSegmentSuffix);
}

std::string SealNameOf(std::string_view segment_name) {
  return std::string(segment_name.substr(0, segment_name.size() - kSegmentSuffix.size())) +
         ".seal";
}

bool ParseJournalSegmentName(std::string_view name, Lsn* first_lsn) {
  if (name.size() != kPrefix.size() + 16 + kSegmentSuffix.size()) return false;
  return ParseWhole(name.substr(kPrefix.size(), 16), first_lsn, 16) &&
         name == JournalSegmentName(*first_lsn);
}

void SegmentTally::Add(const StoredFrame& stored, const Sha256Digest& hash,
                       const Sha256Digest& prev_hash) {
  if (seal_.entries == 0) {
    seal_.first_lsn = stored.lsn;
    seal_.first_prev_hash = prev_hash;
    seal_.last_received = stored.stamp.received;
  }
  seal_.entries += 1;
  seal_.last_lsn = stored.lsn;
  seal_.last_hash = hash;
  seal_.last_received = std::max(seal_.last_received, stored.stamp.received);
  heads_.Update(stored);
}

JournalSeal SegmentTally::Summary(const Uuid& journal_id) const {
  JournalSeal seal = seal_;
  seal.journal_id = journal_id;
  seal.heads = heads_.entries();
  return seal;
}

Result<SegmentScan> ScanJournalSegment(const std::string& directory, const std::string& name,
                                       bool deep) {
  SegmentScan scan;
  const auto note = [&](std::uint64_t offset, std::uint64_t bytes, std::string what) {
    scan.damage.push_back({name, offset, bytes, std::move(what)});
  };
  bool at_tail = false;
  TRY(SegmentReader reader,
      SegmentReader::Open(directory + "/" + name, [&](const ReadDamage& damage) {
        if (at_tail) {
          scan.tail_bytes = damage.bytes;
          scan.torn_tail = damage.torn_tail;
        }
        note(damage.offset, damage.bytes,
             damage.offset == 0 ? "segment header damaged"
             : damage.torn_tail ? "incomplete entry at the end"
                                : "damaged bytes");
      }));
  scan.journal_id = reader.header().log_id;
  for (;;) {
    const std::uint64_t offset = reader.offset();
    TRY(const auto record, reader.Next());
    if (!record) break;
    const std::uint64_t bytes = kRecordOverheadBytes + record->payload.size();
    const auto stored = DecodeEntry(*record);
    if (!stored) {
      note(offset, bytes, stored.error().message);
      continue;
    }
    const std::string fault = FaultOf(*record, *stored, scan.tally, deep);
    if (!fault.empty()) note(offset, bytes, fault);
    scan.tally.Add(*stored, record->hash, record->header.prev_hash);
  }
  scan.end_offset = reader.offset();
  at_tail = true;
  reader.Finish();
  return scan;
}

Status HashFile(const std::string& path, std::uint64_t bytes, Sha256* hash) {
  TRY(const UniqueFd fd, OpenReadOnly(path));
  std::string buffer(256U << 10, '\0');
  while (bytes > 0) {
    const ssize_t n = read(fd.get(), buffer.data(),
                           static_cast<std::size_t>(std::min<std::uint64_t>(bytes, buffer.size())));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read " + path);
    if (n == 0) return DataLoss(path + ": shorter than expected");
    hash->Update(std::string_view(buffer).substr(0, static_cast<std::size_t>(n)));
    bytes -= static_cast<std::uint64_t>(n);
  }
  return Ok();
}

}  // namespace culprit
