// SPDX-License-Identifier: Apache-2.0
// EvidenceStore over SQLite part files: DIR/part-<first LSN>.db, DIR/LOCK.
//
// Stage: store (edge). Thread: as EvidenceStore says. The writer owns maker_ and writer_; queries see parts_ and hosts_
// under mutex_, which changes in one step after a transaction.
// Recovery: a part that was open when the machine went down (another boot id) is dropped and its LSNs are applied again:
// without synchronous writes its pages may be of different ages.
#ifndef CULPRIT_COLLECTOR_STORE_SQLITE_STORE_H_
#define CULPRIT_COLLECTOR_STORE_SQLITE_STORE_H_

#include <condition_variable>
#include <mutex>

#include "collector/store/row_maker.h"
#include "collector/store/sqlite_part_file.h"
#include "common/unique_fd.h"

namespace culprit {

class SqliteStore final : public EvidenceStore, private RowLookup {
 public:
  static Result<std::unique_ptr<SqliteStore>> Open(const SqliteStoreOptions& options);
  ~SqliteStore() override;

  Status Append(std::span<const DecodedFrame> frames) override;
  Status Flush() override;
  Lsn applied_lsn() const override;
  Status Scan(const FlowPredicate& where, const Cancelled& cancelled,
              const std::function<bool(const FlowDelta&)>& visit) const override;
  Result<AggregateResult> Aggregate(const AggregatePlan& plan,
                                    const Cancelled& cancelled) const override;
  Result<std::vector<ProcessActivity>> Activity(std::optional<std::uint32_t> host, WallTime from,
                                                WallTime to,
                                                const Cancelled& cancelled) const override;
  Result<std::vector<FlowTotal>> Follow(std::optional<RowPosition>& position,
                                        std::optional<WallTime> from,
                                        std::uint32_t limit) const override;
  bool WaitApplied(Lsn seen, std::chrono::milliseconds timeout) const override;
  std::vector<HostRecord> Hosts() const override;
  Result<std::optional<ProcessRecord>> FindProcess(std::uint32_t host, ProcessId id) const override;
  Result<std::vector<ProcessRecord>> FindProcesses(const ProcessPredicate& where,
                                                   std::size_t limit) const override;
  Result<std::vector<FlowNameRecord>> FlowNames(std::uint32_t host, FlowId flow,
                                                WallTime since, WallTime until) const override;
  Result<std::unordered_set<std::uint64_t>> FlowsNamed(const NamePredicate& where,
                                                       std::size_t limit) const override;
  Result<std::vector<DnsRecord>> Dns(const NamePredicate& where, std::size_t limit) const override;
  Result<std::vector<SessionRecord>> Sessions(const LoginPredicate& where,
                                              std::size_t limit) const override;
  Result<std::optional<SessionRecord>> FindSession(std::uint32_t host, ProcessId id,
                                                   WallTime since) const override;
  Result<std::optional<SessionRecord>> FindAuditSession(std::uint32_t host,
                                                        std::uint32_t audit_session, WallTime boot,
                                                        WallTime since) const override;
  Result<std::vector<LoginFailureRecord>> LoginFailures(const LoginPredicate& where,
                                                        std::size_t limit) const override;
  Result<std::vector<PostureRecord>> Postures(std::optional<std::uint32_t> host) const override;
  Result<std::vector<PostureChangeRecord>> PostureChanges(const PostureChangePredicate& where,
                                                          std::size_t limit) const override;
  Status Retain(const RetentionPolicy& policy) override;
  StoreStats stats() const override;

 private:
  explicit SqliteStore(const SqliteStoreOptions& options) : options_(options), maker_(*this) {}
  Status Recover();
  Status LoadParts();
  Status DropUnclean();
  Status ResumeNewest();
  Status RestoreState(PartWriter& part);
  Status RestoreBases(PartWriter& part);
  Status StartPart(Lsn first_lsn, WallTime created);
  Status RollOver(Lsn next_lsn, WallTime received);
  Status CarryOver(PartWriter* next);
  void Publish(WallTime received);
  std::vector<SharedPart> Parts() const;  // newest first, without damaged ones
  // Without those that were full well before `since`.
  std::vector<SharedPart> PartsSince(std::optional<WallTime> since) const;

  std::optional<FlowBase> Base(const FlowKey& key) override;
  std::optional<MinuteActivity> Minute(const MinuteKey& key) override;
  SharedProcess Process(const HostProcess& key) override;

  const SqliteStoreOptions options_;
  UniqueFd lock_;
  RowMaker maker_;
  PendingBatch pending_;
  std::unique_ptr<PartWriter> writer_;
  bool spilled_ = false;  // the open part has bases that are not in memory
  Lsn taken_lsn_ = 0;

  mutable std::mutex mutex_;
  mutable std::condition_variable applied_;
  std::vector<SharedPart> parts_;                // oldest first
  std::map<std::uint32_t, HostRecord> hosts_;
  Lsn applied_lsn_ = 0;
  std::uint64_t rejected_ = 0, rebased_ = 0;
  std::vector<std::string> notes_;               // degraded, found at the start
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_SQLITE_STORE_H_
