// SPDX-License-Identifier: Apache-2.0
#include "collector/store/sqlite_store.h"

#include <algorithm>

namespace culprit {

Result<std::unique_ptr<EvidenceStore>> OpenSqliteStore(const SqliteStoreOptions& options) {
  TRY(std::unique_ptr<SqliteStore> store, SqliteStore::Open(options));
  return std::unique_ptr<EvidenceStore>(std::move(store));
}

Status SqliteStore::Append(std::span<const DecodedFrame> frames) {
  if (pending_.rows() >= options_.transaction_rows) TRY_VOID(Flush());
  for (const DecodedFrame& frame : frames) {
    if (frame.lsn <= taken_lsn_) continue;
    TRY_VOID(RollOver(frame.lsn, frame.stamp.received));
    maker_.Take(frame, &pending_);
    taken_lsn_ = frame.lsn;
    if (pending_.rows() >= options_.transaction_rows) TRY_VOID(Flush());
  }
  return Ok();
}

Status SqliteStore::Flush() {
  if (pending_.empty()) return Ok();
  TRY_VOID(writer_->Write(&pending_).map_error(
      [](Error e) { return std::move(e).Context("index write"); }));
  Publish(pending_.last_received);
  maker_.Written(&pending_);
  std::vector<std::pair<FlowKey, FlowBase>> evicted;
  maker_.deltas().Trim(options_.max_flow_bases, [&](const FlowKey& key, const FlowBase& base) {
    evicted.emplace_back(key, base);
  });
  if (evicted.empty()) return Ok();
  const Status spilled = writer_->PutBases(evicted, false);
  if (spilled) {
    spilled_ = true;
  } else {  // better over the bound than counted twice
    for (const auto& [key, base] : evicted) maker_.deltas().Restore(key, base);
  }
  return spilled;
}

void SqliteStore::Publish(WallTime) {
  {
    const std::lock_guard lock(mutex_);
    parts_.back()->SetExtent(writer_->extent());
    for (const auto& [ref, host] : pending_.hosts) hosts_[ref] = host;
    applied_lsn_ = pending_.last_lsn;
    rejected_ += pending_.rejected;
    rebased_ = maker_.rebased();
  }
  applied_.notify_all();
}

// Opens the next part when the open one is old or full. Depends on the frames alone, so that a rebuilt index has the
// same parts.
Status SqliteStore::RollOver(Lsn next_lsn, WallTime received) {
  if (writer_ != nullptr) {
    const PartExtent& extent = writer_->extent();
    const bool full = extent.rows + pending_.flows.size() >= options_.part_rows;
    const bool old = received - extent.created >= options_.part_age;
    if (!full && !old) return Ok();
    TRY_VOID(Flush());
  }
  return StartPart(next_lsn, received);
}

Status SqliteStore::StartPart(Lsn first_lsn, WallTime created) {
  const std::string path = options_.directory + "/" + PartFileName(first_lsn);
  RemovePartFiles(path);  // of an attempt that failed half-way
  TRY(std::unique_ptr<PartWriter> next, PartWriter::Create(path, first_lsn, created));
  TRY_VOID(CarryOver(next.get()));
  if (writer_ != nullptr) {
    TRY_VOID(writer_->Seal());
    const std::lock_guard lock(mutex_);
    parts_.back()->SetExtent(writer_->extent());
    parts_.back()->Rest();
  }
  writer_ = std::move(next);
  maker_.NewPart();
  const std::lock_guard lock(mutex_);
  parts_.push_back(std::make_shared<PartFile>(path, writer_->extent()));
  return Ok();
}

Status SqliteStore::CarryOver(PartWriter* next) {
  TRY_VOID(next->db().Exec("BEGIN IMMEDIATE"));
  TRY_VOID(next->PutHostsAndLosses(maker_.hosts(), maker_.losses()));
  TRY_VOID(next->db().Exec("COMMIT"));
  if (!parts_.empty() && parts_.back()->damage().empty()) {
    TRY_VOID(next->CopySessions(parts_.back()->path()));
  }
  // Closed flows too: a late repeat of their last record must not count again.
  std::vector<std::pair<FlowKey, FlowBase>> bases;
  maker_.deltas().ForEach(
      [&](const FlowKey& key, const FlowBase& base) { bases.emplace_back(key, base); });
  if (spilled_ && !parts_.empty()) TRY_VOID(next->CopySpilled(parts_.back()->path()));
  return next->PutBases(bases, true);
}

Lsn SqliteStore::applied_lsn() const {
  const std::lock_guard lock(mutex_);
  return applied_lsn_;
}

bool SqliteStore::WaitApplied(Lsn seen, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return applied_.wait_for(lock, timeout, [&] { return applied_lsn_ > seen; });
}

std::vector<SharedPart> SqliteStore::Parts() const {
  std::vector<SharedPart> parts;
  {
    const std::lock_guard lock(mutex_);
    parts.assign(parts_.rbegin(), parts_.rend());
  }
  std::erase_if(parts, [](const SharedPart& part) { return !part->damage().empty(); });
  return parts;
}

std::vector<SharedPart> SqliteStore::PartsSince(std::optional<WallTime> since) const {
  constexpr std::chrono::hours kApart{24};  // that the host's clock may be ahead of the collector's
  std::vector<SharedPart> parts = Parts();
  if (!since) return parts;
  std::size_t n = 0;
  while (n < parts.size() && (n == 0 || parts[n - 1]->extent().created + kApart >= *since)) ++n;
  parts.resize(n);
  return parts;
}

std::vector<HostRecord> SqliteStore::Hosts() const {
  const std::lock_guard lock(mutex_);
  std::vector<HostRecord> out;
  out.reserve(hosts_.size());
  for (const auto& [ref, host] : hosts_) out.push_back(host);
  return out;
}

Status SqliteStore::Retain(const RetentionPolicy& policy) {
  std::vector<SharedPart> doomed;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t bytes = 0;
    for (const SharedPart& part : parts_) bytes += part->Bytes();
    while (parts_.size() > 1) {
      const SharedPart& oldest = parts_.front();
      const bool too_much = policy.max_bytes != 0 && bytes > policy.max_bytes;
      const PartExtent extent = oldest->extent();
      const bool too_old = policy.older_than && extent.max_t1 < *policy.older_than;
      if (!too_much && !too_old) break;
      bytes -= std::min(bytes, oldest->Bytes());
      doomed.push_back(oldest);
      parts_.erase(parts_.begin());
    }
  }
  for (const SharedPart& part : doomed) RemovePartFiles(part->path());
  return Ok();
}

StoreStats SqliteStore::stats() const {
  const std::lock_guard lock(mutex_);
  StoreStats out;
  out.applied_lsn = applied_lsn_;
  out.parts = static_cast<std::uint32_t>(parts_.size());
  out.rejected_records = rejected_;
  out.rebased_flows = rebased_;
  out.degraded = notes_;
  for (const SharedPart& part : parts_) {
    out.bytes += part->Bytes();
    out.rows += part->extent().rows;
    if (std::string damage = part->damage(); !damage.empty()) {
      out.degraded.push_back(std::move(damage));
    }
  }
  return out;
}

std::optional<FlowBase> SqliteStore::Base(const FlowKey& key) {
  return spilled_ && writer_ != nullptr ? writer_->FetchBase(key) : std::nullopt;
}

std::optional<MinuteActivity> SqliteStore::Minute(const MinuteKey& key) {
  return writer_ != nullptr ? writer_->FetchMinute(key) : std::nullopt;
}

SharedProcess SqliteStore::Process(const HostProcess& key) {
  auto found = FindProcess(key.host, ProcessId{key.process});
  if (!found || !*found) return nullptr;
  return std::make_shared<ProcessRecord>(std::move(**found));
}

}  // namespace culprit
