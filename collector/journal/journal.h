// SPDX-License-Identifier: Apache-2.0
// The journal: the evidence of record. Stamped frames, framed, hash-chained and fdatasynced before any ack.
//
// Stage: journal (edge: files). Thread: Append() and Scan() from any thread; one commit thread inside writes and syncs
// (group commit). A write or sync error stops the journal for good (kDataLoss to every Append): nothing is acknowledged that
// might not be on disk. A full disk is different: the group is refused whole (kResourceExhausted) and the next one tries.
//
// Directory: DIR/journal-%016x.clog, numbered by the first LSN in them (common/framed_log.h, kind journal). One journal
// frame = one StoredFrame: kind kJournalEntry, seq = LSN, stream_id = journal id, codec none (the agent's payload is zstd
// already), payload = u32 stamp_len ‖ Stamp protobuf ‖ agent header (96) ‖ agent hash (32) ‖ agent payload.
// A closed segment gets DIR/journal-%016x.seal: JSON with first/last LSN, SHA-256 of the file, last chain hash, the dedup
// footer (per stream and lane: seq and hash), and an Ed25519 signature with the journal key (see seal.h for what is signed).
// DIR/heads: dedup footer of the segments that retention removed. DIR/lock: held while open.
#ifndef CULPRIT_COLLECTOR_JOURNAL_JOURNAL_H_
#define CULPRIT_COLLECTOR_JOURNAL_JOURNAL_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collector/model/stored.h"
#include "common/result.h"

namespace culprit {

struct JournalOptions {
  std::string directory;
  std::uint64_t segment_bytes = 64ULL << 20;
  std::string signing_key_path;          // Ed25519, PEM; empty = seals without signature
  std::uint64_t max_commit_bytes = 4ULL << 20;  // of one group commit
};

// The newest frame of each (stream, lane): what dedup, acks and gap detection stand on.
struct LaneHead {
  Uuid agent_id;
  Uuid stream_id;
  Lane lane = Lane::kEvidence;
  std::uint64_t seq = 0;
  Sha256Digest hash{};
};

struct JournalDamage {
  std::string file;
  std::uint64_t offset = 0, bytes = 0;
  std::string what;
};

struct JournalStats {
  Lsn durable_lsn = 0;
  std::uint64_t bytes = 0, segments = 0, commits = 0;
  std::uint64_t free_disk_bytes = 0;
  std::string failed;  // empty = working; else why nothing is accepted
  bool broken = false;  // `failed` for good: only a restart helps. Otherwise (disk full) the next append tries again.
};

class Journal {
 public:
  // Recovers: cuts a torn tail of the newest segment, rebuilds lane heads from seals and the open segment.
  // Corrupt bytes elsewhere are reported by damage(), the rest is used.
  static Result<std::unique_ptr<Journal>> Open(const JournalOptions& options);
  virtual ~Journal() = default;

  // Queues the frame; `done` runs on the commit thread once the frame is durable (its LSN), or with the error.
  // Blocks while the commit queue is full (back-pressure).
  virtual void Append(CollectorStamp stamp, Frame frame, std::function<void(Result<Lsn>)> done) = 0;
  // Calls `visit` for every durable entry from `first` on, in order, until the end or until it returns false. Going on where
  // a scan ended costs no search. Damaged entries are passed over: LSNs may jump.
  virtual Status Scan(Lsn first, const std::function<bool(const StoredFrame&)>& visit) = 0;
  // Blocks until an entry with an LSN >= `first` is durable, or `timeout`, or Stop(). The index and detectors follow so.
  virtual bool WaitFor(Lsn first, std::chrono::milliseconds timeout) = 0;
  // As found at Open() and kept up to date by what became durable.
  virtual std::vector<LaneHead> lane_heads() const = 0;
  virtual JournalStats stats() const = 0;
  virtual const std::vector<JournalDamage>& damage() const = 0;
  // Removes whole sealed segments: oldest first while the total is over `max_bytes`, and those whose newest entry was
  // received before `older_than` (0 = no limit). Never the open one.
  virtual Status Retain(std::uint64_t max_bytes, WallTime older_than) = 0;
  // Commits what is queued and closes the files. Append() then fails with kUnavailable, on the caller's thread.
  virtual void Stop() = 0;
};

// Checks every segment and seal of a journal directory without changing it: chain, hashes, signatures.
struct JournalVerifyReport {
  Lsn first_lsn = 0, last_lsn = 0;
  std::uint64_t segments = 0, sealed = 0, entries = 0, bytes = 0;
  std::vector<JournalDamage> damage;
};
Result<JournalVerifyReport> VerifyJournal(const std::string& directory, const std::string& public_key_path);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_JOURNAL_H_
