// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_fetches.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/ring/packet_export.h"
#include "common/crc32c.h"
#include "common/hex.h"
#include "common/time.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kPrefix = "fetch-";
constexpr seconds kLook{30};  // for fetches that nobody asks about
constexpr seconds kInUse{5};  // a reader that was used so lately is not taken from its fetch
constexpr std::int64_t kSettleNs = 1'000'000'000;  // packets get their names within half of it

std::string NameOf(const Uuid& fetch) { return std::string(kPrefix) + HexEncode(fetch.AsBytes()); }

PacketQuery QueryOf(const PacketFetch& fetch) {
  PacketQuery query;
  query.from_ns = fetch.from_ns;
  query.to_ns = fetch.to_ns;
  query.processes = fetch.processes;
  query.flows = fetch.flows;
  query.address = fetch.address;
  query.port = fetch.port;
  return query;
}

bool SameSelection(const PacketFetch& a, const PacketFetch& b) {
  return a.fetch_id == b.fetch_id && a.from_ns == b.from_ns && a.to_ns == b.to_ns &&
         a.processes == b.processes && a.flows == b.flows && a.address == b.address &&
         a.port == b.port && a.max_bytes == b.max_bytes;
}

struct Refusal {
  ControlFault fault = ControlFault::kFailed;
  std::string detail;
};

Refusal Gone(std::string detail) { return {ControlFault::kGone, std::move(detail)}; }
Refusal Failed(const Error& error) { return {ControlFault::kFailed, error.message}; }

// The file of one fetch, from where its reader stands.
class FetchFile {
 public:
  FetchFile(PacketFetch fetch, std::unique_ptr<PacketCursor> cursor, const PcapngSection& section)
      : fetch_(std::move(fetch)), cursor_(std::move(cursor)), export_(fetch_.max_bytes) {
    export_.Begin(section, &pending_);
  }

  const PacketFetch& fetch() const { return fetch_; }
  bool IsAt(std::uint64_t offset, std::uint32_t crc) const {
    return offset_ == offset && crc_ == crc;
  }
  bool at_end() const { return ended_ && pending_.empty(); }

  // The next bytes, at most so many; fewer only at the end.
  Result<std::string> Read(std::size_t most) {
    while (pending_.size() < most && !ended_) {
      TRY(const StoredPacket* packet, cursor_->Next());
      ended_ = packet == nullptr || !export_.Add(*packet, &pending_);
    }
    std::string bytes = pending_.substr(0, most);
    pending_.erase(0, bytes.size());
    offset_ += bytes.size();
    crc_ = Crc32c(bytes, crc_);
    return bytes;
  }

  // Whether the bytes before `offset` are those of `crc`.
  Result<bool> Skip(std::uint64_t offset, std::uint32_t crc) {
    while (offset_ < offset) {
      TRY(const std::string bytes,
          Read(static_cast<std::size_t>(std::min<std::uint64_t>(offset - offset_, kMaxFetchPart))));
      if (bytes.empty()) return false;
    }
    return IsAt(offset, crc);
  }

  PacketTotals totals() const {
    PacketTotals totals;
    totals.packets = export_.packets();
    totals.wire_bytes = export_.wire_bytes();
    totals.kept_bytes = export_.kept_bytes();
    totals.cut_off = export_.cut_off();
    totals.damaged_segments = cursor_->stats().damaged;
    return totals;
  }

  Clock::time_point used;

 private:
  const PacketFetch fetch_;
  std::unique_ptr<PacketCursor> cursor_;
  PacketExport export_;
  std::string pending_;
  bool ended_ = false;
  std::uint64_t offset_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace

class PacketFetches::Impl {
 public:
  Impl(PacketRing* ring, PcapngSection section) : ring_(ring), section_(std::move(section)) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Status Start() {
    wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return ErrnoError("eventfd");
    TRY(const std::vector<std::string> names, ring_->FrozenNames());
    for (const std::string& name : names) {
      if (name.starts_with(kPrefix)) frozen_[name].asked = Clock::now();
    }
    thread_ = std::thread([this] { Run(); });
    return Ok();
  }

  int poll_fd() const { return wake_.get(); }

  void Ask(PacketFetch fetch) {
    const std::lock_guard lock(mutex_);
    if (asked_.size() < kMaxAsked) {
      asked_.push_back(std::move(fetch));
      changed_.notify_all();
    } else if (!fetch.release) {
      Give(fetch, {ControlFault::kBusy, "too many requests at a time"});
    }
  }

  std::vector<ControlAnswer> Take() {
    eventfd_t wakes = 0;
    eventfd_read(wake_.get(), &wakes);
    const std::lock_guard lock(mutex_);
    std::vector<ControlAnswer> answers;
    answers.swap(answers_);
    changed_.notify_all();
    return answers;
  }

  std::uint64_t completed() const {
    const std::lock_guard lock(mutex_);
    return completed_;
  }
  std::uint64_t refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
  }

 private:
  struct Frozen {
    Clock::time_point asked;
    std::uint64_t left_out = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  void Run() {
    for (;;) {
      PacketFetch fetch;
      {
        Lock lock(mutex_);
        const auto due = [this] { return stopping_ || !asked_.empty(); };
        if (frozen_.empty()) {
          changed_.wait(lock, due);
        } else {
          changed_.wait_for(lock, kLook, due);
        }
        if (stopping_) return;
        if (asked_.empty()) {
          lock.unlock();
          Expire();
          continue;
        }
        fetch = std::move(asked_.front());
        asked_.pop_front();
      }
      Expire();
      if (fetch.release) {
        Forget(NameOf(fetch.fetch_id));
      } else if (const auto refusal = Answer(fetch)) {
        const Lock lock(mutex_);
        Give(fetch, *refusal);
      }
    }
  }

  void Expire() {
    std::vector<std::string> old;
    for (const auto& [name, frozen] : frozen_) {
      if (Clock::now() - frozen.asked > kIdle) old.push_back(name);
    }
    for (const std::string& name : old) Forget(name);
  }

  void Forget(const std::string& name) {
    live_.remove_if([&](const FetchFile& file) { return NameOf(file.fetch().fetch_id) == name; });
    frozen_.erase(name);
    static_cast<void>(ring_->Unfreeze(name));  // tried again at the next start
  }

  // The whole window, or why there is none.
  std::optional<Refusal> Answer(const PacketFetch& fetch) {
    if (auto refusal = Freeze(fetch)) return refusal;
    std::optional<Refusal> refusal;
    FetchFile* file = Find(fetch, &refusal);
    if (file == nullptr) return refusal;
    std::uint32_t left = fetch.window_bytes;
    std::uint64_t offset = fetch.offset;
    while (left > 0) {
      auto bytes = file->Read(std::min<std::size_t>(left, kMaxFetchPart));
      if (!bytes) return Failed(bytes.error());
      ControlAnswer part;
      part.request_id = fetch.request_id;
      part.offset = offset;
      part.crc32c = Crc32c(*bytes);
      offset += bytes->size();
      left -= static_cast<std::uint32_t>(bytes->size());
      const bool last = file->at_end();
      if (last) {
        part.totals = file->totals();
        part.totals->unfrozen_segments = frozen_[NameOf(fetch.fetch_id)].left_out;
      }
      part.window_end = last || left == 0;
      part.data = std::move(*bytes);
      file->used = Clock::now();
      if (!Give(std::move(part)) || last) break;
    }
    return std::nullopt;
  }

  // Once, at the first question.
  std::optional<Refusal> Freeze(const PacketFetch& fetch) {
    const std::string name = NameOf(fetch.fetch_id);
    if (const auto known = frozen_.find(name); known != frozen_.end()) {
      known->second.asked = Clock::now();
      return std::nullopt;
    }
    if (fetch.offset > 0) return Gone("the packets of this fetch are not kept any more");
    if (frozen_.size() >= kMaxFrozen) {
      return Refusal{ControlFault::kBusy,
                     "segments are held for " + std::to_string(kMaxFrozen) + " other fetches"};
    }
    // What has just passed gets its names first.
    const std::int64_t early =
        std::min(fetch.to_ns - (ToNs(ReadWallClock()) - kSettleNs), kSettleNs);
    if (early > 0) {
      Lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::nanoseconds(early), [this] { return stopping_; });
    }
    auto frozen = ring_->FreezeFor(name, QueryOf(fetch));
    if (!frozen) return Failed(frozen.error());
    frozen_[name] = {Clock::now(), frozen->left_out};
    return std::nullopt;
  }

  // The reader that stands at the fetch's offset.
  FetchFile* Find(const PacketFetch& fetch, std::optional<Refusal>* refusal) {
    const auto same = std::find_if(live_.begin(), live_.end(), [&](const FetchFile& file) {
      return file.fetch().fetch_id == fetch.fetch_id;
    });
    if (same != live_.end()) {
      if (SameSelection(same->fetch(), fetch) && same->IsAt(fetch.offset, fetch.prefix_crc32c)) {
        return &*same;
      }
      live_.erase(same);
    }
    if (live_.size() >= kMaxLive) {
      const auto oldest =
          std::min_element(live_.begin(), live_.end(),
                           [](const FetchFile& a, const FetchFile& b) { return a.used < b.used; });
      if (Clock::now() - oldest->used < kInUse) {
        *refusal = {ControlFault::kBusy, std::to_string(kMaxLive) + " other fetches are running"};
        return nullptr;
      }
      live_.erase(oldest);
    }
    auto cursor = ring_->ReadFrozen(NameOf(fetch.fetch_id), QueryOf(fetch));
    if (!cursor) {
      *refusal = Failed(cursor.error());
      return nullptr;
    }
    live_.emplace_back(fetch, std::move(*cursor), section_);
    const auto right = live_.back().Skip(fetch.offset, fetch.prefix_crc32c);
    if (right && *right) return &live_.back();
    *refusal =
        right ? Gone("what was fetched before is not what there is now") : Failed(right.error());
    live_.pop_back();
    return nullptr;
  }

  // False: it is time to stop. Waits until what was given before is taken.
  bool Give(ControlAnswer part) {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || answers_.size() < kMaxAnswers; });
    if (stopping_) return false;
    if (part.totals) ++completed_;
    answers_.push_back(std::move(part));
    eventfd_write(wake_.get(), 1);
    return true;
  }

  // Under the lock, and never waits: there are at most as many as questions.
  void Give(const PacketFetch& fetch, const Refusal& refusal) {
    ControlAnswer answer;
    answer.request_id = fetch.request_id;
    answer.fault = refusal.fault;
    answer.detail = refusal.detail.substr(0, kMaxControlDetail);
    ++refused_;
    if (answers_.size() < kMaxAnswers + kMaxAsked) answers_.push_back(std::move(answer));
    eventfd_write(wake_.get(), 1);
  }

  PacketRing* const ring_;
  const PcapngSection section_;

  // The thread's own from Start() on.
  std::map<std::string, Frozen> frozen_;
  std::list<FetchFile> live_;

  UniqueFd wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::deque<PacketFetch> asked_;
  std::vector<ControlAnswer> answers_;
  std::uint64_t completed_ = 0, refused_ = 0;
  bool stopping_ = false;

  std::thread thread_;
};

PacketFetches::PacketFetches(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PacketFetches::~PacketFetches() = default;

Result<std::unique_ptr<PacketFetches>> PacketFetches::Start(PacketRing* ring,
                                                            PcapngSection section) {
  auto impl = std::make_unique<Impl>(ring, std::move(section));
  TRY_VOID(impl->Start());
  return std::unique_ptr<PacketFetches>(new PacketFetches(std::move(impl)));
}

int PacketFetches::poll_fd() const { return impl_->poll_fd(); }
void PacketFetches::Ask(PacketFetch fetch) { impl_->Ask(std::move(fetch)); }
std::vector<ControlAnswer> PacketFetches::Take() { return impl_->Take(); }
std::uint64_t PacketFetches::completed() const { return impl_->completed(); }
std::uint64_t PacketFetches::refused() const { return impl_->refused(); }

}  // namespace culprit
