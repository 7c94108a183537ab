// SPDX-License-Identifier: Apache-2.0
#include "agent/source/exe_hasher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "agent/source/hash_cache.h"
#include "agent/source/mounts.h"
#include "agent/source/package_book.h"
#include "common/ascii.h"
#include "common/file.h"
#include "common/md5.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kReadBytes = 128U << 10;
constexpr std::size_t kMaxMountinfoBytes = 4U << 20;
constexpr std::size_t kMaxResults = 16'384;
constexpr std::size_t kRecentOpens = 512;
constexpr int kNice = 10;

using Device = std::pair<std::uint32_t, std::uint32_t>;

struct Request {
  Tgid tgid;
  ExeIdentity exe;
  bool existing = false;
};

ExeIdentity IdentityOf(const struct stat& st) {
  ExeIdentity exe;
  exe.dev_major = major(st.st_dev);
  exe.dev_minor = minor(st.st_dev);
  exe.inode = st.st_ino;
  exe.size_bytes = static_cast<std::uint64_t>(st.st_size);
  exe.ctime_ns = static_cast<std::int64_t>(st.st_ctim.tv_sec) * 1'000'000'000 + st.st_ctim.tv_nsec;
  return exe;
}

// The same file seen through stat(2) and through the kernel's inode: overlayfs and btrfs give two
// device numbers.
bool SameButForDevice(const ExeIdentity& a, const ExeIdentity& b) {
  return a.inode == b.inode && a.size_bytes == b.size_bytes && a.ctime_ns == b.ctime_ns;
}

std::string PathOf(int fd) {
  const std::string path = ReadLink(DescriptorPath(fd)).value_or("");
  return std::string(WithoutDeleted(path));
}

void Signal(int event_fd) {
  const std::uint64_t one = 1;
  if (write(event_fd, &one, sizeof(one)) < 0) return;  // full: it is readable already
}

void Drain(int event_fd) {
  std::uint64_t count = 0;
  if (read(event_fd, &count, sizeof(count)) < 0) return;  // somebody was faster
}

class FanotifyHasher : public ExeHasher {
 public:
  explicit FanotifyHasher(const ExeHasherOptions& options)
      : options_(options),
        cache_(options.cache_entries),
        packages_(options.package_root),
        buffer_(kReadBytes, '\0') {}
  ~FanotifyHasher() override {
    thread_.request_stop();
    Signal(wake_fd_.get());
    if (thread_.joinable()) thread_.join();
  }

  Status Open();
  int poll_fd() const override { return result_fd_.get(); }
  std::vector<ExeHashEvent> Take() override;
  void OnExec(Tgid tgid, const ExeIdentity& exe, bool memfd) override;
  void OnExisting(Tgid tgid, const ExeIdentity& exe) override;
  ExeHasherStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  std::string mode() const override { return mode_; }

 private:
  void OpenFanotify();
  void MarkMounts();
  void MarkFile(int fd, const ExeIdentity& exe);
  void Run(const std::stop_token& stop);
  void ReadFanotify(const std::stop_token& stop);
  void Serve(const Request& request, const std::stop_token& stop);
  void ServeGone(const Request& request);
  std::optional<Request> NextRequest();
  // Hashes the file, or takes it from the cache; reports it if that is new. nullopt: not readable
  // as a file.
  std::optional<ExeHashEvent> HashFile(int fd, Tgid by, const std::stop_token& stop);
  bool HashBytes(int fd, std::uint64_t size, ExeHashEvent* event, Md5* md5,
                 const std::stop_token& stop);
  void HashWithPackage(int fd, const struct stat& st, ExeHashEvent* event,
                       const std::stop_token& stop);
  void Pace(std::uint64_t bytes, const std::stop_token& stop);
  void Report(const ExeHashEvent& event);

  const ExeHasherOptions options_;
  UniqueFd fanotify_fd_, mounts_fd_, wake_fd_, result_fd_;
  std::string mode_;

  mutable std::mutex mutex_;  // guards what stands between here and the thread's own state
  std::deque<Request> requests_, existing_;
  std::vector<ExeHashEvent> results_;
  HashCache cache_;
  ExeHasherStats stats_;

  // The thread's own.
  PackageBook packages_;
  std::set<Device> marked_, unmarkable_;
  std::deque<std::pair<Tgid, ExeIdentity>> recent_;  // what fanotify delivered last, newest first
  std::string buffer_;
  std::uint64_t tokens_ = 0;
  BootTime refilled_;
  std::mutex pace_mutex_;
  std::condition_variable_any pace_;

  std::jthread thread_;
};

Status FanotifyHasher::Open() {
  wake_fd_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  result_fd_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd_ || !result_fd_) return ErrnoError("start the hasher of executables: eventfd");
  tokens_ = options_.bytes_per_second;
  refilled_ = ReadBootClock();
  OpenFanotify();
  packages_.Refresh();  // before anything waits for its hash
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return Ok();
}

void FanotifyHasher::OpenFanotify() {
  if (!options_.use_fanotify) {
    mode_ = "none: switched off by the configuration";
    return;
  }
  // O_NOATIME: looking at evidence must not change it.
  fanotify_fd_.Reset(
      static_cast<int>(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                                     O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME)));
  if (!fanotify_fd_) {
    mode_ =
        "none: " + ErrnoError(errno == EPERM ? "fanotify needs CAP_SYS_ADMIN" : "fanotify").message;
    return;
  }
  mounts_fd_.Reset(open((options_.proc_root + "/self/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
  MarkMounts();
  if (marked_.empty()) {
    mode_ = "none: fanotify could mark no filesystem for FAN_OPEN_EXEC (needs Linux 5.0)";
    fanotify_fd_.Reset();
    return;
  }
  mode_ = "fanotify";
}

void FanotifyHasher::MarkMounts() {
  if (!mounts_fd_ || lseek(mounts_fd_.get(), 0, SEEK_SET) != 0) return;
  std::string text;
  while (text.size() < kMaxMountinfoBytes) {
    const ssize_t n = read(mounts_fd_.get(), buffer_.data(), buffer_.size());
    if (n <= 0) break;
    text.append(buffer_, 0, static_cast<std::size_t>(n));
  }
  for (const Mount& mount : ParseMountinfo(text)) {
    const Device device(mount.dev_major, mount.dev_minor);
    if (!HoldsPrograms(mount.fs_type) || marked_.contains(device) || unmarkable_.contains(device))
      continue;
    if (fanotify_mark(fanotify_fd_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC,
                      AT_FDCWD, mount.mount_point.c_str()) == 0) {
      marked_.insert(device);
    } else if (errno != ENOENT) {  // mounted over: another mount of it may still be reachable
      unmarkable_.insert(device);
    }
  }
  const std::lock_guard lock(mutex_);
  stats_.filesystems_marked = marked_.size();
}

// A program ran from a filesystem that our mount table does not show (another mount namespace):
// from now on it is seen.
void FanotifyHasher::MarkFile(int fd, const ExeIdentity& exe) {
  const Device device(exe.dev_major, exe.dev_minor);
  if (!fanotify_fd_ || marked_.contains(device) || unmarkable_.contains(device)) return;
  const bool ok = fanotify_mark(fanotify_fd_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                                FAN_OPEN_EXEC, fd, nullptr) == 0;
  (ok ? marked_ : unmarkable_).insert(device);
  const std::lock_guard lock(mutex_);
  stats_.filesystems_marked = marked_.size();
}

std::vector<ExeHashEvent> FanotifyHasher::Take() {
  const std::lock_guard lock(mutex_);
  Drain(result_fd_.get());
  return std::exchange(results_, {});
}

void FanotifyHasher::OnExec(Tgid tgid, const ExeIdentity& exe, bool memfd) {
  {
    const std::lock_guard lock(mutex_);
    // Inode numbers of memfds come round again, so their identity proves nothing.
    if (!memfd && cache_.Find(exe) != nullptr) {
      ++stats_.cache_hits;
      return;
    }
    if (requests_.size() >= options_.queue_entries) {
      ++stats_.requests_dropped;
      return;
    }
    requests_.push_back({tgid, exe, false});
  }
  Signal(wake_fd_.get());
}

void FanotifyHasher::OnExisting(Tgid tgid, const ExeIdentity& exe) {
  {
    const std::lock_guard lock(mutex_);
    if (existing_.size() >= options_.queue_entries) {
      ++stats_.requests_dropped;
      return;
    }
    existing_.push_back({tgid, exe, true});
  }
  Signal(wake_fd_.get());
}

std::optional<Request> FanotifyHasher::NextRequest() {
  const std::lock_guard lock(mutex_);
  std::deque<Request>& queue = requests_.empty() ? existing_ : requests_;
  if (queue.empty()) return std::nullopt;
  const Request request = queue.front();
  queue.pop_front();
  return request;
}

void FanotifyHasher::Run(const std::stop_token& stop) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  bool busy = false;
  while (!stop.stop_requested()) {
    std::array<pollfd, 3> fds{{{wake_fd_.get(), POLLIN, 0},
                               {fanotify_fd_.get(), POLLIN, 0},
                               {mounts_fd_.get(), POLLPRI, 0}}};
    // Negative descriptors (no fanotify) are passed over by poll(2).
    if (poll(fds.data(), fds.size(), busy ? 0 : -1) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) Drain(wake_fd_.get());
    if (fds[2].revents != 0 && fanotify_fd_) MarkMounts();
    if (fds[1].revents != 0) ReadFanotify(stop);
    const auto request = NextRequest();
    busy = request.has_value();
    if (request) Serve(*request, stop);
  }
}

void FanotifyHasher::ReadFanotify(const std::stop_token& stop) {
  alignas(fanotify_event_metadata) std::array<char, 4096> bytes{};
  ssize_t length = read(fanotify_fd_.get(), bytes.data(), bytes.size());
  if (length <= 0) return;
  const auto* event = reinterpret_cast<const fanotify_event_metadata*>(bytes.data());
  for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
    const UniqueFd fd(event->fd);
    if ((event->mask & FAN_Q_OVERFLOW) != 0) {
      const std::lock_guard lock(mutex_);
      ++stats_.fanotify_overflows;
    }
    if (!fd || stop.stop_requested()) continue;
    const Tgid by(static_cast<std::uint32_t>(std::max(event->pid, 0)));
    if (const auto known = HashFile(fd.get(), by, stop)) {
      if (recent_.size() >= kRecentOpens) recent_.pop_back();
      recent_.emplace_front(by, known->exe);
    }
  }
}

void FanotifyHasher::Serve(const Request& request, const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (request.exe.inode != 0 && cache_.Find(request.exe) != nullptr && request.exe.ctime_ns != 0)
      return;
  }
  const std::string link = options_.proc_root + "/" + std::to_string(request.tgid.value()) + "/exe";
  UniqueFd fd(open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME));
  if (!fd && errno == EPERM) fd.Reset(open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  if (!fd || fstat(fd.get(), &st) != 0) {
    ServeGone(request);
    return;
  }
  const ExeIdentity found = IdentityOf(st);
  if (request.exe.inode != 0 && !SameButForDevice(found, request.exe)) {
    ServeGone(request);  // it has run something else since
    return;
  }
  MarkFile(fd.get(), found);
  auto event = HashFile(fd.get(), request.tgid, stop);
  if (!event || request.exe.inode == 0 || found == request.exe) return;
  event->exe = request.exe;
  event->opened_by = request.tgid;
  const std::lock_guard lock(mutex_);
  cache_.Insert(*event);
  Report(*event);
}

// The process is gone, but its executable may have come by under the device number that stat(2)
// shows.
void FanotifyHasher::ServeGone(const Request& request) {
  const auto recent = std::find_if(recent_.begin(), recent_.end(), [&](const auto& opened) {
    return opened.first == request.tgid && SameButForDevice(opened.second, request.exe);
  });
  const std::lock_guard lock(mutex_);
  if (recent != recent_.end()) {
    if (const ExeHashEvent* known = cache_.Find(recent->second)) {
      ExeHashEvent event = *known;
      event.exe = request.exe;
      cache_.Insert(event);
      Report(event);
      return;
    }
  }
  ++stats_.gone;
}

std::optional<ExeHashEvent> FanotifyHasher::HashFile(int fd, Tgid by, const std::stop_token& stop) {
  struct stat st {};
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  ExeHashEvent event;
  event.exe = IdentityOf(st);
  event.path = PathOf(fd);
  event.at = ReadBootClock();
  event.opened_by = by;
  const bool memfd = event.path.starts_with("/memfd:");
  {
    const std::lock_guard lock(mutex_);
    if (ExeHashEvent* known = memfd ? nullptr : cache_.Find(event.exe)) {
      ++stats_.cache_hits;
      if (known->path != event.path) {  // a hard link or another mount: the name counts
        known->path = event.path;
        if (known->package.state == PackageState::kNone)
          known->package = packages_.Claim(event.path, st).facts;
        known->at = event.at;
        known->opened_by = by;
        Report(*known);
      }
      return *known;
    }
  }
  HashWithPackage(fd, st, &event, stop);
  struct stat after {};
  const bool changed = event.hashed && (fstat(fd, &after) != 0 || IdentityOf(after) != event.exe);
  // An unlink changes ctime and nothing of the content.
  const bool only_unlinked =
      changed && after.st_nlink != st.st_nlink && after.st_size == st.st_size &&
      after.st_mtim.tv_sec == st.st_mtim.tv_sec && after.st_mtim.tv_nsec == st.st_mtim.tv_nsec;
  const std::lock_guard lock(mutex_);
  if (changed && !only_unlinked) {
    ++stats_.changed_while_hashing;
    event.hashed = false;
    event.package = {};
  }
  if (stop.stop_requested()) return std::nullopt;
  cache_.Insert(event);
  Report(event);
  return event;
}

void FanotifyHasher::HashWithPackage(int fd, const struct stat& st, ExeHashEvent* event,
                                     const std::stop_token& stop) {
  const PackageClaim claim = packages_.Claim(event->path, st);
  event->package = claim.facts;
  Md5 md5;
  const bool compares = !claim.md5.empty() && md5.usable();
  event->hashed = HashBytes(fd, event->exe.size_bytes, event, compares ? &md5 : nullptr, stop);
  if (!compares || !event->hashed) return;
  event->package.state =
      md5.FinishHex() == claim.md5 ? PackageState::kIntact : PackageState::kDiffers;
}

bool FanotifyHasher::HashBytes(int fd, std::uint64_t size, ExeHashEvent* event, Md5* md5,
                               const std::stop_token& stop) {
  if (size > options_.max_file_bytes) {
    const std::lock_guard lock(mutex_);
    ++stats_.too_big;
    return false;
  }
  Sha256 sha;
  std::uint64_t offset = 0;
  while (!stop.stop_requested()) {
    const ssize_t n = pread(fd, buffer_.data(), buffer_.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || offset > options_.max_file_bytes) {  // it may grow while it is read
      const std::lock_guard lock(mutex_);
      ++stats_.unreadable;
      return false;
    }
    if (n == 0) break;
    sha.Update({buffer_.data(), static_cast<std::size_t>(n)});
    if (md5 != nullptr) md5->Update({buffer_.data(), static_cast<std::size_t>(n)});
    offset += static_cast<std::uint64_t>(n);
    Pace(static_cast<std::uint64_t>(n), stop);
  }
  event->sha256 = sha.Finish();
  const std::lock_guard lock(mutex_);
  ++stats_.hashed;
  stats_.hashed_bytes += offset;
  return !stop.stop_requested();
}

// A token bucket that holds one second's worth.
void FanotifyHasher::Pace(std::uint64_t bytes, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const BootTime now = ReadBootClock();
    const auto elapsed_ms =
        static_cast<std::uint64_t>((now - refilled_) / std::chrono::milliseconds(1));
    if (elapsed_ms > 0) {
      const std::uint64_t refill =
          std::min<std::uint64_t>(elapsed_ms, 1000) * (options_.bytes_per_second / 1000 + 1);
      tokens_ = std::min(options_.bytes_per_second, tokens_ + refill);
      refilled_ = now;
    }
    if (tokens_ >= std::min(bytes, options_.bytes_per_second)) {
      tokens_ -= std::min(bytes, tokens_);
      return;
    }
    std::unique_lock lock(pace_mutex_);
    pace_.wait_for(lock, stop, std::chrono::milliseconds(20), [] { return false; });
  }
}

// With mutex_ held.
void FanotifyHasher::Report(const ExeHashEvent& event) {
  if (results_.size() >= kMaxResults) {
    ++stats_.results_dropped;
    return;
  }
  results_.push_back(event);
  Signal(result_fd_.get());
}

}  // namespace

Result<std::unique_ptr<ExeHasher>> ExeHasher::Start(const ExeHasherOptions& options) {
  auto hasher = std::make_unique<FanotifyHasher>(options);
  TRY_VOID(hasher->Open());
  return std::unique_ptr<ExeHasher>(std::move(hasher));
}

}  // namespace culprit
