// SPDX-License-Identifier: Apache-2.0
#include "agent/source/shutdown_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kName = "org.freedesktop.login1";
constexpr const char* kPath = "/org/freedesktop/login1";
constexpr const char* kManager = "org.freedesktop.login1.Manager";
constexpr std::uint64_t kCallUs = 5'000'000;
constexpr milliseconds kMargin{300};  // logind goes on by itself when its time is over

struct BusClose {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusClose>;
struct MessageUnref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};

Error BusError(const std::string& what, int code) {
  return Unavailable(what + ": " + std::strerror(-code));
}

}  // namespace

class ShutdownWatch::Impl {
 public:
  explicit Impl(ShutdownWatchOptions options)
      : options_(std::move(options)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
  ~Impl() {
    thread_.request_stop();
    eventfd_write(wake_.get(), 1);
  }

  void Release() {
    release_ = true;
    eventfd_write(wake_.get(), 1);
  }
  std::string problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
  }

  std::atomic<bool> going_down{false}, holding{false};

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const Status status = Watch(stop);
      hold_.Reset();
      holding = false;
      deadline_.reset();
      Tell(status ? "" : status.error().message);
      if (!stop.stop_requested()) Wait(-1, 0, options_.retry);
    }
  }

  // Until the bus is lost.
  Status Watch(const std::stop_token& stop) {
    TRY(const Bus bus, Open());
    const int matched = sd_bus_match_signal(bus.get(), nullptr, kName, kPath, kManager,
                                            "PrepareForShutdown", &Impl::OnPrepare, this);
    if (matched < 0) return BusError("listen for logind's PrepareForShutdown", matched);
    TRY_VOID(Inhibit(bus.get()));
    Tell("");
    while (!stop.stop_requested()) {
      const int done = sd_bus_process(bus.get(), nullptr);
      if (done < 0) return BusError("the system bus was lost", done);
      // What came while a call waited is processed before the next wait.
      if (going_down && !deadline_ && hold_) {
        TRY_VOID(SetDeadline(bus.get()));
        continue;
      }
      if (!going_down && !hold_) {
        TRY_VOID(Inhibit(bus.get()));
        continue;
      }
      if (deadline_ && (release_ || Clock::now() >= *deadline_)) LetGo();
      if (done > 0) continue;
      const int fd = sd_bus_get_fd(bus.get()), events = sd_bus_get_events(bus.get());
      if (fd < 0 || events < 0) return Unavailable("the system bus was lost");
      Wait(fd, events,
           deadline_ ? std::chrono::ceil<milliseconds>(*deadline_ - Clock::now())
                     : milliseconds(-1));
    }
    return Ok();
  }

  Result<Bus> Open() const {
    sd_bus* made = nullptr;
    if (options_.address.empty()) {
      const int opened = sd_bus_open_system(&made);
      if (opened < 0) return BusError("no system bus answers", opened);
      sd_bus_set_method_call_timeout(made, kCallUs);
      return Bus(made);
    }
    if (sd_bus_new(&made) < 0) return Internal("no memory for a bus");
    Bus bus(made);
    int done = sd_bus_set_address(made, options_.address.c_str());
    if (done >= 0) done = sd_bus_set_bus_client(made, 1);
    if (done >= 0) done = sd_bus_start(made);
    if (done < 0) return BusError("no bus answers at " + options_.address, done);
    sd_bus_set_method_call_timeout(made, kCallUs);
    return bus;
  }

  Status Inhibit(sd_bus* bus) {
    sd_bus_error error{};
    sd_bus_message* answer = nullptr;
    const int called = sd_bus_call_method(bus, kName, kPath, kManager, "Inhibit", &error, &answer,
                                          "ssss", "shutdown", "culprit-agent",
                                          "keeps the volatile evidence of this host", "delay");
    const std::unique_ptr<sd_bus_message, MessageUnref> owned(answer);
    const std::string why = error.message != nullptr ? error.message : "";
    sd_bus_error_free(&error);
    if (called < 0) {
      return Unavailable("no logind answers: " + (why.empty() ? std::strerror(-called) : why));
    }
    int fd = -1;
    const int read = sd_bus_message_read(answer, "h", &fd);
    if (read < 0) return BusError("logind gives no inhibitor", read);
    hold_.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!hold_) return ErrnoError("logind's inhibitor");
    holding = true;
    release_ = false;
    return Ok();
  }

  // Asked for at that moment: the administrator may have changed it.
  Status SetDeadline(sd_bus* bus) {
    std::uint64_t max_us = 0;
    const int asked = sd_bus_get_property_trivial(bus, kName, kPath, kManager,
                                                  "InhibitDelayMaxUSec", nullptr, 't', &max_us);
    if (asked < 0) return BusError("logind does not say how long it waits", asked);
    const auto most = std::chrono::duration_cast<milliseconds>(
        std::chrono::microseconds(std::min<std::uint64_t>(max_us, 3'600'000'000)));
    deadline_ = prepared_ + std::max(most - kMargin, most / 2);
    spdlog::warn("the host goes down: held back for at most {} ms", most.count());
    Wake();
    return Ok();
  }

  void LetGo() {
    spdlog::warn("the shutdown of the host goes on{}", release_ ? "" : ": the time is over");
    hold_.Reset();
    holding = false;
    deadline_.reset();
    Wake();
  }

  static int OnPrepare(sd_bus_message* message, void* self, sd_bus_error* /*error*/) {
    auto& impl = *static_cast<Impl*>(self);
    int start = 0;
    if (sd_bus_message_read(message, "b", &start) < 0) return 0;
    impl.prepared_ = Clock::now();
    impl.release_ = false;
    impl.going_down = start != 0;
    if (start == 0) impl.deadline_.reset();
    impl.Wake();
    return 0;
  }

  // -1 ms: for ever.
  void Wait(int fd, int events, milliseconds most) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {fd, static_cast<short>(events), 0}};
    const auto ms = std::min<milliseconds::rep>(most.count(), 3'600'000);
    poll(fds, 2, most.count() < 0 ? -1 : static_cast<int>(std::max<milliseconds::rep>(ms, 0)));
    eventfd_t wakes = 0;
    eventfd_read(wake_.get(), &wakes);
  }

  void Tell(std::string problem) {
    const std::lock_guard lock(mutex_);
    problem_ = std::move(problem);
  }
  void Wake() const {
    if (options_.wake) options_.wake();
  }

  const ShutdownWatchOptions options_;
  UniqueFd wake_;
  std::atomic<bool> release_{false};
  // The thread's:
  UniqueFd hold_;
  Clock::time_point prepared_;
  std::optional<Clock::time_point> deadline_;
  mutable std::mutex mutex_;
  std::string problem_ = "logind has not been asked yet";  // under mutex_
  std::jthread thread_;
};

ShutdownWatch::ShutdownWatch(ShutdownWatchOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
ShutdownWatch::~ShutdownWatch() = default;

bool ShutdownWatch::going_down() const { return impl_->going_down; }
bool ShutdownWatch::holding() const { return impl_->holding; }
void ShutdownWatch::Release() { impl_->Release(); }
std::string ShutdownWatch::problem() const { return impl_->problem(); }

}  // namespace culprit
