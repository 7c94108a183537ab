// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/snapshot_fetches.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "agent/process/child_process.h"
#include "agent/snapshot/read_bundle.h"
#include "agent/snapshot/snapshot_spool.h"
#include "common/crc32c.h"
#include "common/rate_limit.h"
#include "common/sha256.h"
#include "common/time.h"
#include "common/unique_fd.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kLook{20};        // for new bytes, while a question waits for some
constexpr milliseconds kPatience{1000};  // with a bundle that does not grow
constexpr milliseconds kChildLook{200};
constexpr milliseconds kNoRoomLook{5000};  // for an own snapshot that there is no room for

struct Refusal {
  ControlFault fault = ControlFault::kFailed;
  std::string detail;
};

struct Question {
  SnapshotFetch fetch;
  std::string instance_id, hostname;
};

}  // namespace

class SnapshotFetches::Impl {
 public:
  Impl(SnapshotFetchOptions options, SnapshotSpool spool)
      : options_(std::move(options)), spool_(std::move(spool)) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    // A collecting process is left to its work: the next sensor takes what it writes.
    child_.Abandon();
  }

  Status Start() {
    wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return ErrnoError("eventfd");
    TRY(const std::vector<Uuid> ids, spool_.Ids());
    for (const Uuid& id : ids) {
      asked_about_[id] = Clock::now();
      if (const auto order = spool_.Order(id); order && order->own)
        own_.Offer({id, order->trigger, order->last_tier, order->begun_ns});
    }
    own_kept = own_.kept();
    thread_ = std::thread([this] { Run(); });
    return Ok();
  }

  int poll_fd() const { return wake_.get(); }

  void Ask(Question question) {
    const std::lock_guard lock(mutex_);
    if (asked_.size() < kMaxAsked) {
      asked_.push_back(std::move(question));
      changed_.notify_all();
    } else if (!question.fetch.release) {
      Refuse(question.fetch, {ControlFault::kBusy, "too many requests at a time"});
    }
  }

  void Begin(OwnSnapshot wish) {
    const std::lock_guard lock(mutex_);
    if (wishes_.size() >= OwnSnapshots::kMaxQueued) {
      ++own_dropped;
      return;
    }
    wishes_.push_back(std::move(wish));
    ++own_unfinished;
    changed_.notify_all();
  }

  void Watch(const SnapshotWatch& watch) {
    const std::lock_guard lock(mutex_);
    watch_ = watch;
    changed_.notify_all();
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

  std::atomic<int> collecting_pid{-1};
  std::atomic<std::uint64_t> begun{0}, handed_over{0}, refused{0};
  std::atomic<std::uint64_t> own_unfinished{0}, own_kept{0}, own_begun{0}, own_dropped{0};

 private:
  using Lock = std::unique_lock<std::mutex>;
  // Where the last answer of a bundle ended.
  struct Position {
    std::uint64_t offset = 0;
    std::uint32_t crc = 0;
  };

  void Run() {
    for (;;) {
      std::optional<Question> question;
      {
        Lock lock(mutex_);
        const auto due = [this] {
          return stopping_ || !asked_.empty() || !wishes_.empty() || watch_;
        };
        if (const auto until = WakeAt()) {
          changed_.wait_until(lock, *until, due);
        } else {
          changed_.wait(lock, due);
        }
        if (stopping_) return;
        if (!asked_.empty()) {
          question = std::move(asked_.front());
          asked_.pop_front();
        }
        TakeOwn();
      }
      ReapChild();
      BeginOwn();
      GiveOffers();
      if (question) Handle(*question);
      CountOwn();
    }
  }

  void Handle(const Question& question) {
    const SnapshotFetch& fetch = question.fetch;
    if (fetch.release) {
      Forget(fetch.snapshot_id);
    } else if (const auto refusal = Answer(question)) {
      const Lock lock(mutex_);
      Refuse(fetch, *refusal);
    }
  }

  // When there is something to do that nobody tells of.
  std::optional<Clock::time_point> WakeAt() const {
    auto at = own_.next_due();
    const auto or_at = [&at](Clock::time_point other) { at = at ? std::min(*at, other) : other; };
    if (child_.pid() >= 0) or_at(Clock::now() + kChildLook);
    if (own_.next() != nullptr) or_at(begin_own_at_);
    return at;
  }

  // Under the lock.
  void TakeOwn() {
    for (OwnSnapshot& wish : wishes_) {
      if (!own_.Queue(std::move(wish))) ++own_dropped;
    }
    wishes_.clear();
    if (watch_) own_.Watch(watch_->request_id);
    watch_.reset();
  }

  // The next that waits, unless another is being collected. One that there is no room for waits for
  // the collector to fetch others.
  void BeginOwn() {
    const OwnSnapshot* wish = own_.next();
    if (wish == nullptr || Clock::now() < begin_own_at_) return;
    SpoolOrder order;
    order.id = Uuid::Random();
    order.instance_id = wish->instance_id;
    order.hostname = wish->hostname;
    order.trigger = wish->trigger;
    order.last_tier = wish->last_tier;
    order.own = true;
    order.begun_ns = ToNs(ReadWallClock());
    const auto refusal = BeginBundle(std::move(order));
    if (refusal && refusal->fault == ControlFault::kBusy) {
      begin_own_at_ = Clock::now() + (child_.pid() >= 0 ? kChildLook : kNoRoomLook);
      return;
    }
    if (refusal) {
      ++own_dropped;
      spdlog::error("no snapshot trigger=\"{}\" error=\"{}\"", wish->trigger, refusal->detail);
    } else {
      ++own_begun;
      spdlog::info("snapshot begun id={} trigger=\"{}\"", child_id_.ToString(), wish->trigger);
      own_.Offer({child_id_, wish->trigger, wish->last_tier, ToNs(ReadWallClock())});
    }
    own_.DropNext();
  }

  void GiveOffers() {
    for (ControlAnswer& offer : own_.Due(Clock::now(), kMaxAnswers)) {
      if (!Give(std::move(offer))) return;
    }
  }

  // Tells whoever waits for them, too.
  void CountOwn() {
    const Lock lock(mutex_);
    const bool collecting = child_.pid() >= 0 && own_.Has(child_id_);
    const std::uint64_t unfinished = wishes_.size() + own_.queued() + (collecting ? 1 : 0);
    const bool ended = unfinished < own_unfinished || own_.kept() < own_kept;
    own_unfinished = unfinished;
    own_kept = own_.kept();
    if (ended) eventfd_write(wake_.get(), 1);
  }

  void ReapChild() {
    std::string how;
    if (child_.pid() < 0 || !child_.Ended(&how)) return;
    collecting_pid = -1;
    child_end_ = how;
  }

  // Its lock on the bundle is let go a moment before it can be reaped.
  void AwaitChild() {
    pollfd ended{child_.pid_fd(), POLLIN, 0};
    if (child_.pid() >= 0) poll(&ended, 1, static_cast<int>(kPatience.count()));
    ReapChild();
  }

  void Forget(const Uuid& id) {
    if (child_.pid() >= 0 && id == child_id_) child_.Kill();
    ReapChild();
    if (child_.pid() < 0) collecting_pid = -1;
    spool_.Remove(id);
    asked_about_.erase(id);
    positions_.erase(id);
    own_.Released(id);
  }

  // The window, or why there is none.
  std::optional<Refusal> Answer(const Question& question) {
    const SnapshotFetch& fetch = question.fetch;
    auto bundle = spool_.Look(fetch.snapshot_id);
    if (!bundle) {
      if (bundle.error().code != Code::kNotFound) return Failed(bundle.error());
      if (!fetch.may_begin) return Gone("nothing of this snapshot is kept here any more");
      if (auto refusal = Begin(question)) return refusal;
      bundle = spool_.Look(fetch.snapshot_id);
      if (!bundle) return Failed(bundle.error());
    }
    asked_about_[fetch.snapshot_id] = Clock::now();
    own_.AskedAbout(fetch.snapshot_id, Clock::now());
    if (auto refusal = CheckPrefix(fetch, *bundle)) return refusal;
    const auto deadline = Clock::now() + kPatience;
    while (bundle->being_written && bundle->size <= fetch.offset && Clock::now() < deadline) {
      if (!Pause(kLook)) return std::nullopt;
      ReapChild();
      bundle = spool_.Look(fetch.snapshot_id);
      if (!bundle) return Failed(bundle.error());
    }
    if (!bundle->being_written && !bundle->end) {
      if (auto refusal = EndFor(fetch.snapshot_id, &*bundle)) return refusal;
    }
    return GiveWindow(fetch, *bundle);
  }

  std::optional<Refusal> CheckPrefix(const SnapshotFetch& fetch, const SpooledBundle& bundle) {
    Position& at = positions_[fetch.snapshot_id];
    if (fetch.offset > bundle.size) return Gone("the bundle is shorter than what was sent of it");
    if (at.offset == fetch.offset && at.crc == fetch.prefix_crc32c) return std::nullopt;
    std::uint32_t crc = 0;
    const auto whole = VisitPrefix(bundle.fd.get(), fetch.offset,
                                   [&](std::string_view bytes) { crc = Crc32c(bytes, crc); });
    if (!whole) return Failed(whole.error());
    if (!*whole || crc != fetch.prefix_crc32c)
      return Gone("what was sent of the bundle is not what it is now");
    at = {fetch.offset, crc};
    return std::nullopt;
  }

  std::optional<Refusal> GiveWindow(const SnapshotFetch& fetch, const SpooledBundle& bundle) {
    Position& at = positions_[fetch.snapshot_id];
    const std::uint64_t until =
        std::min<std::uint64_t>(bundle.size, fetch.offset + fetch.window_bytes);
    for (bool last = false; !last;) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(until - at.offset, kMaxFetchPart));
      auto bytes = PreadUpTo(bundle.fd.get(), at.offset, size, "read a bundle");
      if (!bytes) return Failed(bytes.error());
      if (bytes->size() != size) return Gone("the bundle became shorter");
      ControlAnswer part;
      part.request_id = fetch.request_id;
      part.subject = ControlSubject::kSnapshot;
      part.offset = at.offset;
      part.crc32c = Crc32c(*bytes);
      at.offset += size;
      at.crc = Crc32c(*bytes, at.crc);
      last = part.window_end = at.offset == until;
      if (last) part.step = bundle.step;
      if (bundle.end && at.offset == bundle.size) {
        part.snapshot_totals = bundle.end;
        ++handed_over;
      }
      part.data = std::move(*bytes);
      if (!Pace(size) || !Give(std::move(part))) return std::nullopt;
    }
    return std::nullopt;
  }

  // Its writer is gone without a word: what there is, is what there will be.
  std::optional<Refusal> EndFor(const Uuid& id, SpooledBundle* bundle) {
    if (id == child_id_) AwaitChild();
    SnapshotTotals end;
    Sha256 hash;
    const auto whole = VisitPrefix(bundle->fd.get(), bundle->size,
                                   [&](std::string_view bytes) { hash.Update(bytes); });
    if (!whole) return Failed(whole.error());
    end.bundle_bytes = bundle->size;
    end.sha256 = hash.Finish();
    end.broken = "the process that collected " +
                 (id == child_id_ && !child_end_.empty() ? child_end_ : std::string("was ended"));
    if (const Status kept = spool_.End(id, end); !kept) return Failed(kept.error());
    bundle->end = std::move(end);
    return std::nullopt;
  }

  std::optional<Refusal> Begin(const Question& question) {
    SpoolOrder order;
    order.id = question.fetch.snapshot_id;
    order.instance_id = question.instance_id;
    order.hostname = question.hostname;
    order.trigger = question.fetch.trigger;
    order.operator_name = question.fetch.operator_name;
    order.case_id = question.fetch.case_id;
    order.last_tier = question.fetch.last_tier;
    return BeginBundle(std::move(order));
  }

  std::optional<Refusal> BeginBundle(SpoolOrder order) {
    if (auto refusal = MakeRoom(&order.max_bytes)) return refusal;
    auto fd = spool_.Begin(order);
    if (!fd) {
      spool_.Remove(order.id);
      return Failed(fd.error());
    }
    std::vector<std::string> arguments = options_.arguments;
    arguments.push_back(order.id.ToString());
    if (const Status started = child_.Start(options_.program, arguments, fd->get()); !started) {
      spool_.Remove(order.id);
      return Failed(started.error());
    }
    child_id_ = order.id;
    child_end_.clear();
    collecting_pid = child_.pid();
    ++begun;
    return std::nullopt;
  }

  // What is left for a new bundle; old ones that nobody asks about go first.
  std::optional<Refusal> MakeRoom(std::uint64_t* room) {
    const auto ids = spool_.Ids();
    if (!ids) return Failed(ids.error());
    std::uint64_t used = 0;
    std::vector<std::pair<Uuid, std::uint64_t>> idle;
    for (const Uuid& id : *ids) {
      const auto bundle = spool_.Look(id);
      if (!bundle) continue;
      if (bundle->being_written) {
        return Refusal{ControlFault::kBusy, "snapshot " + id.ToString() + " is being collected"};
      }
      used += bundle->size;
      if (Clock::now() - asked_about_[id] > kIdle) idle.emplace_back(id, bundle->size);
    }
    for (const auto& [id, size] : idle) {
      if (options_.max_bytes >= used && options_.max_bytes - used >= options_.max_bytes / 2) break;
      Forget(id);
      used -= size;
    }
    *room = options_.max_bytes - std::min(used, options_.max_bytes);
    if (*room >= std::min(kLeastRoom, options_.max_bytes)) return std::nullopt;
    return Refusal{ControlFault::kBusy, "bundles that the collector has not fetched take " +
                                            FormatByteSize(used) + " of snapshot.max_bytes"};
  }

  static Refusal Gone(std::string detail) { return {ControlFault::kGone, std::move(detail)}; }
  static Refusal Failed(const Error& error) { return {ControlFault::kFailed, error.message}; }

  // False: it is time to stop.
  bool Pause(milliseconds span) {
    Lock lock(mutex_);
    return !changed_.wait_for(lock, span, [this] { return stopping_; });
  }

  // Holds the pace of the configuration. What was not used in a pause is not caught up on.
  bool Pace(std::size_t size) {
    if (options_.bytes_per_second == 0) return true;
    const auto wait = pace_.Charge(static_cast<double>(size), Clock::now());
    return wait.count() <= 0 || Pause(std::chrono::ceil<milliseconds>(wait));
  }

  // False: it is time to stop. Waits until what was given before is taken.
  bool Give(ControlAnswer part) {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || answers_.size() < kMaxAnswers; });
    if (stopping_) return false;
    answers_.push_back(std::move(part));
    eventfd_write(wake_.get(), 1);
    return true;
  }

  // Under the lock, and never waits: there are at most as many as questions.
  void Refuse(const SnapshotFetch& fetch, const Refusal& refusal) {
    ControlAnswer answer;
    answer.request_id = fetch.request_id;
    answer.subject = ControlSubject::kSnapshot;
    answer.fault = refusal.fault;
    answer.detail = refusal.detail.substr(0, kMaxControlDetail);
    ++refused;
    if (answers_.size() < kMaxAnswers + kMaxAsked) answers_.push_back(std::move(answer));
    eventfd_write(wake_.get(), 1);
  }

  const SnapshotFetchOptions options_;

  // The thread's own from Start() on.
  const SnapshotSpool spool_;
  ChildProcess child_;
  Uuid child_id_;
  std::string child_end_;
  std::map<Uuid, Clock::time_point> asked_about_;
  std::map<Uuid, Position> positions_;
  RateLimit pace_{static_cast<double>(options_.bytes_per_second), 0};
  OwnSnapshots own_;
  Clock::time_point begin_own_at_;  // not before

  UniqueFd wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::deque<Question> asked_;
  std::vector<OwnSnapshot> wishes_;
  std::optional<SnapshotWatch> watch_;
  std::vector<ControlAnswer> answers_;
  bool stopping_ = false;

  std::thread thread_;
};

SnapshotFetches::SnapshotFetches(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SnapshotFetches::~SnapshotFetches() = default;

Result<std::unique_ptr<SnapshotFetches>> SnapshotFetches::Start(SnapshotFetchOptions options) {
  TRY(SnapshotSpool spool, SnapshotSpool::Open(options.directory));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(spool));
  TRY_VOID(impl->Start());
  return std::unique_ptr<SnapshotFetches>(new SnapshotFetches(std::move(impl)));
}

int SnapshotFetches::poll_fd() const { return impl_->poll_fd(); }
void SnapshotFetches::Ask(SnapshotFetch fetch, std::string instance_id, std::string hostname) {
  impl_->Ask({std::move(fetch), std::move(instance_id), std::move(hostname)});
}
std::vector<ControlAnswer> SnapshotFetches::Take() { return impl_->Take(); }
void SnapshotFetches::Begin(OwnSnapshot wish) { impl_->Begin(std::move(wish)); }
void SnapshotFetches::Watch(SnapshotWatch watch) { impl_->Watch(watch); }
std::uint64_t SnapshotFetches::own_unfinished() const { return impl_->own_unfinished; }
std::uint64_t SnapshotFetches::own_kept() const { return impl_->own_kept; }
std::uint64_t SnapshotFetches::own_begun() const { return impl_->own_begun; }
std::uint64_t SnapshotFetches::own_dropped() const { return impl_->own_dropped; }
int SnapshotFetches::collecting_pid() const { return impl_->collecting_pid; }
std::uint64_t SnapshotFetches::begun() const { return impl_->begun; }
std::uint64_t SnapshotFetches::handed_over() const { return impl_->handed_over; }
std::uint64_t SnapshotFetches::refused() const { return impl_->refused; }

}  // namespace culprit
