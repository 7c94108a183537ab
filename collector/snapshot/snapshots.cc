// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/snapshots.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "collector/snapshot/custody.h"
#include "collector/snapshot/snapshot_files.h"
#include "collector/snapshot/snapshot_transfer.h"
#include "common/hex.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxText = 256;
constexpr std::size_t kLeastPrefix = 4;
constexpr std::size_t kRead = std::size_t{256} << 10;

class SnapshotsImpl final : public Snapshots {
 public:
  SnapshotsImpl(SnapshotFiles files, const SnapshotStoreLimits& limits, AgentControl& control)
      : files_(std::move(files)), limits_(limits), control_(control) {}
  ~SnapshotsImpl() override { Stop(); }

  Status Load() {
    TRY(std::vector<v1::Snapshot> stored, files_.Load());
    for (v1::Snapshot& snapshot : stored) {
      if (const Status intact = CheckCustody(snapshot); !intact) {
        spdlog::error("snapshot id={} problem=\"{}\"", snapshot.id(), intact.error().message);
      }
      const std::string id = snapshot.id();
      records_[id] = std::move(snapshot);
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [id, snapshot] : records_) {
      if (!IsFinal(snapshot.state())) Begin(snapshot);
    }
    return Ok();
  }

  Result<v1::Snapshot> Take(const SnapshotWish& wish) override {
    TRY_VOID(Check(wish));
    v1::Snapshot snapshot;
    snapshot.set_id(Uuid::Random().ToString());
    snapshot.set_agent_id(wish.agent_id.ToString());
    snapshot.set_host(wish.host);
    snapshot.set_state(v1::SNAPSHOT_STATE_ASKED);
    snapshot.set_trigger(wish.trigger);
    snapshot.set_operator_name(wish.operator_name);
    snapshot.set_case_id(wish.case_id);
    snapshot.set_last_tier(wish.last_tier);
    snapshot.set_asked_ns(ToNs(ReadWallClock()));
    AddCustody(Entry("asked", wish.operator_name.empty() ? "collector" : wish.operator_name,
                     wish.trigger, snapshot),
               &snapshot);
    const std::lock_guard lock(mutex_);
    TRY_VOID(Add(snapshot));
    return snapshot;
  }

  Status TakeOffered(const Uuid& agent_id, const std::string& host,
                     const v1::SnapshotOffer& offer) override {
    const auto id = Uuid::FromBytes(offer.snapshot_id());
    if (!id || offer.last_tier() > 2 || offer.trigger().size() > kMaxText)
      return InvalidArgument("not an offer of a snapshot");
    v1::Snapshot snapshot;
    snapshot.set_id(id->ToString());
    snapshot.set_agent_id(agent_id.ToString());
    const std::lock_guard lock(mutex_);
    if (const auto known = records_.find(snapshot.id()); known != records_.end()) {
      const bool done =
          IsFinal(known->second.state()) && known->second.agent_id() == snapshot.agent_id();
      if (done) control_.ReleaseSnapshot(agent_id, offer.snapshot_id());
      return Ok();
    }
    snapshot.set_host(host);
    snapshot.set_state(v1::SNAPSHOT_STATE_ASKED);
    snapshot.set_offered(true);
    snapshot.set_trigger(EscapeText(offer.trigger()));
    snapshot.set_last_tier(offer.last_tier());
    snapshot.set_asked_ns(ToNs(ReadWallClock()));
    AddCustody(Entry("offered", host, snapshot.trigger(), snapshot), &snapshot);
    TRY_VOID(CheckOffers(snapshot));
    return Add(snapshot);
  }

  Result<v1::Snapshot> Get(const std::string& id) const override {
    const std::lock_guard lock(mutex_);
    TRY(const v1::Snapshot* found, Find(id));
    return *found;
  }

  std::vector<v1::Snapshot> List(const std::optional<Uuid>& agent_id,
                                 std::uint32_t limit) const override {
    const std::string agent = agent_id ? agent_id->ToString() : "";
    std::vector<v1::Snapshot> found;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, snapshot] : records_) {
      if (agent.empty() || snapshot.agent_id() == agent) found.push_back(snapshot);
    }
    std::sort(found.begin(), found.end(), [](const v1::Snapshot& a, const v1::Snapshot& b) {
      return std::pair(a.asked_ns(), a.id()) > std::pair(b.asked_ns(), b.id());
    });
    if (found.size() > limit) found.resize(limit);
    for (v1::Snapshot& snapshot : found) snapshot.clear_custody();
    return found;
  }

  std::uint64_t WaitChange(std::uint64_t seen, std::chrono::milliseconds timeout) const override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return changes_ > seen; });
    return changes_;
  }

  Status Read(const std::string& id, std::uint64_t offset, const std::string& reader,
              const TakeBytes& take) override {
    TRY(const v1::Snapshot snapshot, NoteReader(id, offset, reader));
    auto fd = files_.OpenStored(snapshot);
    if (!fd && fd.error().code == Code::kNotFound) {
      return FailedPrecondition("nothing of snapshot " + snapshot.id() + " is stored here");
    }
    if (!fd) return fd.error();
    // What has a name by its hash is held against it on the way.
    const bool whole = offset == 0 && !snapshot.sha256().empty();
    Sha256 hash;
    std::string buffer(kRead, '\0');
    for (;;) {
      const ssize_t n = pread(fd->get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoError("read snapshot " + snapshot.id());
      if (n == 0) break;
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
      if (whole) hash.Update(bytes);
      if (!take(offset, bytes)) return MakeError(Code::kCancelled, "the reader is gone");
      offset += bytes.size();
    }
    if (whole && HexEncode(AsBytes(hash.Finish())) != snapshot.sha256()) {
      return DataLoss("the disk has other bytes of snapshot " + snapshot.id() +
                      " than were stored: they were changed here");
    }
    return Ok();
  }

  Result<v1::Snapshot> Remove(const std::string& id, const std::string& operator_name) override {
    std::jthread transfer;
    std::string whole_id;
    {
      const std::lock_guard lock(mutex_);
      TRY(const v1::Snapshot* found, Find(id));
      whole_id = found->id();
      if (const auto active = active_.find(whole_id); active != active_.end()) {
        transfer = std::move(active->second.thread);
        active_.erase(active);
      }
    }
    transfer.request_stop();
    if (transfer.joinable()) transfer.join();
    const std::lock_guard lock(mutex_);
    v1::Snapshot snapshot = records_[whole_id];
    AddCustody(Entry("removed", operator_name, "", snapshot), &snapshot);
    const bool on_its_way = !IsFinal(snapshot.state());
    snapshot.set_state(v1::SNAPSHOT_STATE_REMOVED);
    snapshot.set_problem("");
    if (snapshot.final_ns() == 0) snapshot.set_final_ns(ToNs(ReadWallClock()));
    TRY_VOID(files_.Save(snapshot));
    TRY_VOID(files_.RemoveBytes(snapshot));
    records_[whole_id] = snapshot;
    if (on_its_way) {
      if (const auto agent = Uuid::Parse(snapshot.agent_id()))
        control_.ReleaseSnapshot(*agent, std::string(Uuid::Parse(whole_id)->AsBytes()));
    }
    Changed();
    return snapshot;
  }

  void Stop() override {
    std::map<std::string, Active> active;
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      active.swap(active_);
      Changed();
    }
    for (auto& [id, transfer] : active) transfer.thread.request_stop();
  }  // and joins them

 private:
  struct Active {
    std::string agent_id;
    std::jthread thread;
    bool done = false;
  };

  static v1::CustodyEntry Entry(const std::string& action, const std::string& actor,
                                const std::string& note, const v1::Snapshot& snapshot) {
    v1::CustodyEntry entry;
    entry.set_action(action);
    entry.set_actor(actor);
    entry.set_at_ns(ToNs(ReadWallClock()));
    entry.set_sha256(snapshot.sha256());
    entry.set_note(note);
    return entry;
  }

  Status Check(const SnapshotWish& wish) const {
    if (wish.last_tier > 2) return InvalidArgument("tier: 0, 1 or 2");
    for (const std::string* text : {&wish.trigger, &wish.operator_name, &wish.case_id}) {
      if (text->size() > kMaxText) return InvalidArgument("case: at most 256 bytes");
    }
    if (!control_.IsConnected(wish.agent_id)) {
      return FailedPrecondition(
          "the agent of " + wish.host +
          " is not connected: nothing can be taken of that host from here; `culprit hosts` shows "
          "when it was heard last");
    }
    return Ok();
  }

  // Under the lock.
  Status Add(const v1::Snapshot& snapshot) {
    TRY_VOID(CheckBounds(snapshot.agent_id()));
    TRY_VOID(files_.Save(snapshot));
    records_[snapshot.id()] = snapshot;
    Begin(snapshot);
    Changed();
    return Ok();
  }

  // A host that lies must not use up what there is for others.
  Status CheckOffers(const v1::Snapshot& offered) const {
    const std::int64_t hour_ago =
        offered.asked_ns() - std::chrono::nanoseconds(std::chrono::hours(1)).count();
    const auto lately = std::count_if(records_.begin(), records_.end(), [&](const auto& entry) {
      const v1::Snapshot& before = entry.second;
      return before.offered() && before.agent_id() == offered.agent_id() &&
             before.asked_ns() > hour_ago;
    });
    if (lately < static_cast<std::ptrdiff_t>(kMaxOffersAnHour)) return Ok();
    return MakeError(Code::kResourceExhausted, "the agent of " + offered.host() + " has begun " +
                                                   std::to_string(lately) +
                                                   " snapshots by itself within an hour");
  }

  Status CheckBounds(const std::string& agent_id) {
    Reap();
    if (stopped_) return Unavailable("the collector is shutting down");
    const auto of_host = std::count_if(active_.begin(), active_.end(), [&](const auto& entry) {
      return entry.second.agent_id == agent_id;
    });
    if (active_.size() >= kMaxActive || of_host >= static_cast<std::ptrdiff_t>(kMaxActivePerHost)) {
      return MakeError(Code::kResourceExhausted,
                       "other snapshots are on their way: wait for one to end (`culprit snapshot "
                       "list`)");
    }
    if (records_.size() >= kMaxRecords) {
      return MakeError(Code::kResourceExhausted, "there are " + std::to_string(kMaxRecords) +
                                                     " records of snapshots: move some away from " +
                                                     files_.directory());
    }
    TRY(const std::uint64_t used, files_.UsedBytes());
    if (limits_.max_bytes != 0 && used >= limits_.max_bytes) {
      return MakeError(Code::kResourceExhausted,
                       "quota: bundles take " + FormatByteSize(used) +
                           " of snapshot.max_bytes: remove some (`culprit snapshot remove ID`)");
    }
    return Ok();
  }

  // Under the lock.
  void Begin(const v1::Snapshot& snapshot) {
    SnapshotTransferDeps deps{
        files_, control_, limits_,
        [this](const v1::Snapshot& now, bool news) { return Take(now, news); },
        [this](const std::string& agent, const std::string& key) { return KeyKnown(agent, key); }};
    Active& active = active_[snapshot.id()];
    active.agent_id = snapshot.agent_id();
    active.thread = std::jthread(
        [this, id = snapshot.id(), deps = std::move(deps), snapshot](const std::stop_token& stop) {
          SnapshotTransfer(deps, snapshot).Run(stop);
          const std::lock_guard lock(mutex_);
          if (const auto mine = active_.find(id); mine != active_.end()) mine->second.done = true;
        });
  }

  void Reap() {
    std::erase_if(active_, [](const auto& entry) { return entry.second.done; });
  }

  // Of a transfer: until its snapshot is final nobody else changes the record.
  Status Take(const v1::Snapshot& now, bool news) {
    const std::lock_guard lock(mutex_);
    const Status saved = news ? files_.Save(now) : Ok();
    records_[now.id()] = now;
    Changed();
    return saved;
  }

  bool KeyKnown(const std::string& agent_id, const std::string& fingerprint) const {
    const std::lock_guard lock(mutex_);
    bool known = true;
    std::int64_t newest = 0;
    for (const auto& [id, snapshot] : records_) {
      const bool counts =
          snapshot.agent_id() == agent_id && snapshot.state() == v1::SNAPSHOT_STATE_COMPLETE;
      if (!counts || snapshot.final_ns() < newest) continue;
      newest = snapshot.final_ns();
      known = snapshot.key_fingerprint() == fingerprint;
    }
    return known;
  }

  Result<v1::Snapshot> NoteReader(const std::string& id, std::uint64_t offset,
                                  const std::string& reader) {
    const std::lock_guard lock(mutex_);
    TRY(const v1::Snapshot* found, Find(id));
    v1::Snapshot& snapshot = records_[found->id()];
    if (snapshot.state() == v1::SNAPSHOT_STATE_REMOVED)
      return FailedPrecondition("snapshot " + snapshot.id() + " was removed");
    if (offset == 0 && IsFinal(snapshot.state())) {
      AddCustody(Entry("read", reader, "", snapshot), &snapshot);
      TRY_VOID(files_.Save(snapshot));
    }
    return snapshot;
  }

  // Under the lock.
  Result<const v1::Snapshot*> Find(const std::string& id) const {
    if (id.size() < kLeastPrefix)
      return InvalidArgument("snapshot: at least the first 4 digits of its id");
    const auto first = records_.lower_bound(id);
    if (first == records_.end() || !first->first.starts_with(id))
      return NotFound("snapshot '" + id + "' is not known here (`culprit snapshot list`)");
    const auto second = std::next(first);
    if (first->first != id && second != records_.end() && second->first.starts_with(id))
      return InvalidArgument("snapshot: several begin with '" + id + "'");
    return &first->second;
  }

  void Changed() {
    ++changes_;
    changed_.notify_all();
  }

  const SnapshotFiles files_;
  const SnapshotStoreLimits limits_;
  AgentControl& control_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // Under mutex_:
  std::map<std::string, v1::Snapshot> records_;
  std::uint64_t changes_ = 1;
  bool stopped_ = false;
  std::map<std::string, Active> active_;
};

}  // namespace

bool IsFinal(v1::SnapshotState state) {
  return state == v1::SNAPSHOT_STATE_COMPLETE || state == v1::SNAPSHOT_STATE_PARTIAL ||
         state == v1::SNAPSHOT_STATE_REFUSED || state == v1::SNAPSHOT_STATE_FAILED ||
         state == v1::SNAPSHOT_STATE_REMOVED;
}

Result<std::unique_ptr<Snapshots>> Snapshots::Open(const std::string& directory,
                                                   const SnapshotStoreLimits& limits,
                                                   AgentControl& control) {
  TRY(SnapshotFiles files, SnapshotFiles::Open(directory));
  auto snapshots = std::make_unique<SnapshotsImpl>(std::move(files), limits, control);
  TRY_VOID(snapshots->Load());
  return std::unique_ptr<Snapshots>(std::move(snapshots));
}

}  // namespace culprit
