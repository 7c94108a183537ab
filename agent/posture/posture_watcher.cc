// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/posture_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "agent/posture/disk_tree.h"
#include "agent/posture/path_watch.h"
#include "agent/posture/posture_scan.h"
#include "agent/posture/proc_view.h"
#include "agent/posture/ssh_servers.h"
#include "agent/posture/watched_tree.h"
#include "common/mutex.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr milliseconds kSettle(100);  // editors write, rename and set modes in a row
constexpr milliseconds kLeastGap(300);
constexpr int kShare = 10;       // of the time that a look takes, at least so much until the next
constexpr seconds kPoll(1);      // of what fanotify cannot watch
constexpr seconds kAnyway(600);  // what no event told about
constexpr std::size_t kMaxChanges = 256;
constexpr std::size_t kMaxTouches = 4'096;
constexpr std::size_t kMaxPidfds = 64;
constexpr std::size_t kMaxListeners = 64;  // processes to look at, at once
constexpr std::size_t kMaxExecutable = std::size_t{2} << 20;
constexpr std::size_t kMaxRead = std::size_t{1} << 20;
constexpr std::size_t kMaxNews = 64;

void Signal(int event_fd) {
  const std::uint64_t one = 1;
  if (write(event_fd, &one, sizeof one) < 0) return;  // full: it is readable already
}

void Drain(int event_fd) {
  std::uint64_t count = 0;
  if (read(event_fd, &count, sizeof count) < 0) return;  // somebody was faster
}

nanoseconds ThreadTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// No file of anybody: a home may be called /dev/null.
bool IsOfKernel(const std::string& path) {
  return path.starts_with("/dev/") || path.starts_with("/proc/") || path.starts_with("/sys/");
}

// Programs open these all the time.
bool OpenedByAll(const std::string& path) {
  return path == "/etc/passwd" || path == "/etc/group" || path == "/etc/shadow";
}

struct Touch {
  PathTouch what;
  BootTime at;
};

class Watcher final : public PostureWatcher {
 public:
  ~Watcher() override {
    thread_.request_stop();
    Signal(wake_.get());
    if (thread_.joinable()) thread_.join();
  }
  Status Open();
  int poll_fd() const override { return news_fd_.get(); }
  std::vector<PostureNews> Take() override;
  void OnListen(std::uint32_t pid) override;
  PostureWatcherStats stats() const override {
    const MutexLock lock(&mutex_);
    return stats_;
  }
  std::string note() const override { return note_; }

 private:
  void Run(const std::stop_token& stop);
  void Wait();
  void TakeTouches();
  void CheckListeners();
  bool OtherLock(const std::string& path);
  bool PolledDiffers();
  void Look();
  PostureFacts Scan(FileTree& tree);
  void WatchAll();
  void WatchServers();
  void Attribute(PostureChangeFacts* change) const;
  std::string RealPath(const std::string& path);
  void DueIn(nanoseconds span) {
    const BootTime at = std::max(ReadBootClock() + span, earliest_);
    due_ = due_ ? std::min(*due_, at) : at;
  }

  UniqueFd wake_, news_fd_;
  std::string note_;
  mutable Mutex mutex_;
  std::vector<PostureNews> news_ CULPRIT_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> listeners_ CULPRIT_GUARDED_BY(mutex_);
  PostureWatcherStats stats_ CULPRIT_GUARDED_BY(mutex_);

  // The thread's own.
  std::unique_ptr<DiskTree> disk_;
  std::unique_ptr<HostView> host_;
  std::optional<PathWatch> watch_;
  WatchedPaths paths_;
  std::map<std::string, std::set<std::string>> by_real_;  // real path -> watched paths
  std::map<std::string, std::set<std::string>> reals_;    // watched path -> real paths
  std::set<std::string> missing_;                         // folders on the way to watched paths
  std::set<std::string> listed_;                          // folders in which a new name counts
  std::vector<std::string> polled_;
  std::vector<Touch> touches_;
  std::vector<UniqueFd> pidfds_;
  PostureFacts state_;
  bool begun_ = false;
  std::optional<BootTime> due_;
  BootTime earliest_, next_anyway_;

  std::jthread thread_;
};

Status Watcher::Open() {
  wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  news_fd_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_ || !news_fd_) return ErrnoError("watch the SSH of this host: eventfd");
  TRY(disk_, DiskTree::Open("/"));
  host_ = OpenProcView("/proc");
  if (auto watch = PathWatch::Open()) {
    watch_.emplace(std::move(*watch));
  } else {
    note_ = watch.error().message + ": files are looked at once a second, without their writers";
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return Ok();
}

std::vector<PostureNews> Watcher::Take() {
  const MutexLock lock(&mutex_);
  Drain(news_fd_.get());
  return std::exchange(news_, {});
}

void Watcher::OnListen(std::uint32_t pid) {
  {
    const MutexLock lock(&mutex_);
    if (listeners_.size() >= kMaxListeners) return;  // one look at them all finds it as well
    listeners_.push_back(pid);
  }
  Signal(wake_.get());
}

void Watcher::Run(const std::stop_token& stop) {
  Look();
  while (!stop.stop_requested()) {
    Wait();
    if (stop.stop_requested()) return;
    TakeTouches();
    CheckListeners();
    const BootTime now = ReadBootClock();
    if (!polled_.empty() && PolledDiffers()) DueIn(kSettle);
    if (now >= next_anyway_) DueIn(nanoseconds(0));
    if (due_ && now >= *due_) Look();
  }
}

void Watcher::Wait() {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}, {watch_ ? watch_->poll_fd() : -1, POLLIN, 0}};
  for (const UniqueFd& pidfd : pidfds_) fds.push_back({pidfd.get(), POLLIN, 0});
  BootTime until = due_ ? std::min(*due_, next_anyway_) : next_anyway_;
  const BootTime now = ReadBootClock();
  if (!polled_.empty()) until = std::min(until, now + kPoll);
  const auto left = std::chrono::ceil<milliseconds>(until - now).count();
  const int timeout = static_cast<int>(std::clamp<milliseconds::rep>(left, 0, 600'000));
  if (poll(fds.data(), fds.size(), timeout) < 0) return;
  if (fds[0].revents != 0) Drain(wake_.get());
  for (std::size_t i = pidfds_.size(); i-- > 0;) {
    if (fds[i + 2].revents == 0) continue;
    pidfds_.erase(pidfds_.begin() + static_cast<std::ptrdiff_t>(i));
    DueIn(kSettle);
  }
}

// The lock of a file that was only opened: nothing else tells of it.
bool Watcher::OtherLock(const std::string& path) {
  const auto names = by_real_.find(path);
  if (names == by_real_.end()) return false;
  const auto now = disk_->Stat(path);
  return std::any_of(names->second.begin(), names->second.end(), [&](const std::string& name) {
    const auto known = paths_.find(name);
    return known != paths_.end() && known->second.info && now &&
           (known->second.info->immutable != now->immutable ||
            known->second.info->append_only != now->append_only);
  });
}

void Watcher::TakeTouches() {
  if (!watch_) return;
  std::vector<PathTouch> touches;
  if (watch_->Read(&touches)) {
    DueIn(kSettle);
    const MutexLock lock(&mutex_);
    ++stats_.overflows;
  }
  const BootTime now = ReadBootClock();
  std::set<std::string> opened;
  for (PathTouch& touch : touches) {
    const bool listed = touch.wrote && listed_.contains(ParentOf(touch.path));
    if (IsOfClient(touch.path) || (!by_real_.contains(touch.path) && !listed)) continue;
    if (touch.wrote && missing_.contains(touch.path)) {
      // What is written into it a moment later has a writer, too.
      for (const std::string& inside : by_real_[touch.path]) {
        (void)watch_->Watch(inside, true);
        touches_.push_back({{inside, touch.pid, false}, now});
      }
    }
    if (touch.wrote) {
      DueIn(kSettle);
    } else {
      opened.insert(touch.path);
    }
    if (touches_.size() >= kMaxTouches)
      touches_.erase(touches_.begin(), touches_.begin() + kMaxTouches / 2);
    touches_.push_back({std::move(touch), now});
  }
  for (const std::string& path : opened)
    if (OtherLock(path)) DueIn(nanoseconds(0));
}

void Watcher::CheckListeners() {
  std::vector<std::uint32_t> pids;
  {
    const MutexLock lock(&mutex_);
    pids = std::exchange(listeners_, {});
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  for (const std::uint32_t pid : pids) {
    const auto bytes = host_->ReadExecutable(static_cast<std::int32_t>(pid), kMaxExecutable);
    if (!bytes || !IsSshServer(*bytes)) continue;
    DueIn(kSettle);
    return;
  }
}

bool Watcher::PolledDiffers() {
  return std::any_of(polled_.begin(), polled_.end(), [this](const std::string& path) {
    const auto known = paths_.find(path);
    if (known == paths_.end()) return false;
    const auto now = disk_->Stat(path);
    const auto& then = known->second.info;
    if (!now || !then) return now.has_value() != then.has_value();
    const bool folder = now->kind == FileKind::kDirectory;
    return now->kind != then->kind || now->uid != then->uid || now->mode != then->mode ||
           now->immutable != then->immutable || now->append_only != then->append_only ||
           (!folder && (now->size != then->size || now->mtime_ns != then->mtime_ns)) ||
           (folder && now->mtime_ns != then->mtime_ns);
  });
}

PostureFacts Watcher::Scan(FileTree& tree) {
  PostureScanOptions options;
  options.now_s = std::time(nullptr);
  auto report = ScanPosture(tree, host_.get(), options);
  if (report) return FactsOf(*report);
  // No configuration of OpenSSH; another server may listen.
  PostureReport none;
  none.limits.push_back(report.error().message);
  if (auto servers = FindSshServers(*host_, std::nullopt)) none.servers = std::move(*servers);
  return FactsOf(none);
}

void Watcher::Look() {
  due_.reset();
  const BootTime began = ReadBootClock();
  const nanoseconds cpu = ThreadTime();
  WatchedTree tree(*disk_);
  PostureFacts state = Scan(tree);
  // What is not asked for any more may have been taken away.
  for (const auto& [path, was] : paths_)
    if (was.info)
      (void)(was.read ? tree.Read(path, kMaxRead).has_value() : tree.Stat(path).has_value());
  const BootTime looked = ReadBootClock();
  const bool full = tree.full();
  WatchedPaths paths = tree.Take();
  TakeTouches();
  PostureNews news;
  if (begun_) {
    std::size_t more = 0;
    news.changes = CompareWatched(paths_, paths, kMaxChanges, &more);
    if (more > 0)
      state.limits.push_back(std::to_string(more) + " more changes at once are not told");
    for (PostureChangeFacts& change : news.changes) Attribute(&change);
    for (PostureChangeFacts& change : CompareServers(state_, state))
      news.changes.push_back(std::move(change));
    for (PostureChangeFacts& change : news.changes)
      if (change.at == BootTime{}) change.at = looked;
  }
  if (full) state.limits.emplace_back("more paths than are watched: changes of the rest show late");
  std::erase_if(touches_, [&](const Touch& touch) { return touch.at < began; });
  paths_ = std::move(paths);
  WatchAll();
  state.watched = static_cast<std::uint32_t>(paths_.size());
  state.polled = static_cast<std::uint32_t>(polled_.size());
  state.at = began;
  state_ = state;
  WatchServers();
  begun_ = true;
  const nanoseconds used = ThreadTime() - cpu;
  const BootTime now = ReadBootClock();
  earliest_ = now + std::max<nanoseconds>(kLeastGap, used * kShare);
  next_anyway_ = now + kAnyway;
  if (due_) due_ = std::max(*due_, earliest_);
  news.state = std::move(state);
  const MutexLock lock(&mutex_);
  ++stats_.looks;
  stats_.look_us += static_cast<std::uint64_t>(used / std::chrono::microseconds(1));
  if (news_.size() >= kMaxNews) news_.erase(news_.begin());
  news_.push_back(std::move(news));
  Signal(news_fd_.get());
}

// Without links; of a path that does not exist as far as it does.
std::string Watcher::RealPath(const std::string& path) {
  if (path == "/") return path;
  if (const auto real = disk_->Resolve(path)) return *real;
  const std::string parent = RealPath(ParentOf(path));
  return (parent == "/" ? "" : parent) + "/" + BaseOf(path);
}

void Watcher::WatchAll() {
  by_real_.clear();
  reals_.clear();
  missing_.clear();
  listed_.clear();
  polled_.clear();
  for (const auto& [path, known] : paths_) {
    if (IsOfKernel(path)) continue;
    const std::string real = RealPath(path);
    const std::string parent = RealPath(ParentOf(path));
    const std::string named = (parent == "/" ? "" : parent) + "/" + BaseOf(path);
    for (std::string folder = parent; !known.info && folder != "/" && !disk_->Stat(folder);
         folder = ParentOf(folder)) {
      missing_.insert(folder);
      by_real_[folder].insert(path);
    }
    if (known.listed) listed_.insert(real);
    bool watched = watch_.has_value();
    for (const std::string& place : std::set<std::string>{real, named}) {
      by_real_[place].insert(path);
      reals_[path].insert(place);
      watched = watched && watch_->Watch(place, known.read && !OpenedByAll(place));
    }
    if (!watched) polled_.push_back(path);
  }
}

void Watcher::WatchServers() {
  pidfds_.clear();
  for (const SshServerFacts& server : state_.servers) {
    if (pidfds_.size() >= kMaxPidfds || server.pid == 0) continue;
    UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, server.pid, 0)));
    if (fd) pidfds_.push_back(std::move(fd));
  }
}

void Watcher::Attribute(PostureChangeFacts* change) const {
  const auto places = reals_.find(change->path);
  const auto meant = [&](const std::string& touched) {
    return touched == change->path || (places != reals_.end() && places->second.contains(touched));
  };
  std::set<std::uint32_t> writers;
  std::uint32_t writer = 0, opener = 0;
  for (const Touch& touch : touches_) {
    if (!meant(touch.what.path) || touch.what.pid == 0) continue;
    (touch.what.wrote ? writer : opener) = touch.what.pid;
    if (touch.what.wrote || writer == 0) change->at = touch.at;
    if (touch.what.wrote) writers.insert(touch.what.pid);
  }
  change->pid = writer != 0 ? writer : opener;
  change->confidence = writers.size() > 1    ? WriterConfidence::kOneOfSeveral
                       : writers.size() == 1 ? WriterConfidence::kNamed
                       : opener != 0         ? WriterConfidence::kNear
                                             : WriterConfidence::kNone;
}

}  // namespace

Result<std::unique_ptr<PostureWatcher>> PostureWatcher::Start() {
  auto watcher = std::make_unique<Watcher>();
  TRY_VOID(watcher->Open());
  return std::unique_ptr<PostureWatcher>(std::move(watcher));
}

}  // namespace culprit
