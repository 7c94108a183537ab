// SPDX-License-Identifier: Apache-2.0
// The live half of triage: the whole agent for a while, with a book instead of a spool.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "agent/agent.h"
#include "agent/daemon.h"
#include "agent/output.h"
#include "agent/triage.h"
#include "common/log.h"
#include "common/unique_fd.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::chrono::seconds kProgress{5};
constexpr std::uint64_t kLogHistory = 64ULL << 20;

// Batches into the book, and a line now and then for whoever waits.
class BookOutput final : public BatchOutput {
 public:
  BookOutput(TriageBook* book, std::chrono::seconds watch) : book_(book), watch_(watch) {}

  Status Write(Lane /*lane*/, FrameKind /*kind*/, const RecordBatch& batch,
               const ClockPair& clock) override {
    book_->Take(batch, clock);
    if (began_ == BootTime{}) began_ = told_ = clock.boot;
    if (clock.boot - told_ >= kProgress) {
      told_ = clock.boot;
      std::cerr << "watching: " << FormatDuration(clock.boot - began_) << " of "
                << FormatDuration(watch_) << ", " << book_->processes().size() << " processes, "
                << book_->flows().size() << " flows\n";
    }
    return Ok();
  }

 private:
  TriageBook* book_;
  std::chrono::seconds watch_;
  BootTime began_, told_;
};

// Readable when the time is over or a signal came.
Result<UniqueFd> EndOfWatch(int signals, int timer) {
  UniqueFd end(epoll_create1(EPOLL_CLOEXEC));
  if (!end) return ErrnoError("epoll_create1");
  for (const int fd : {signals, timer}) {
    epoll_event event{EPOLLIN, {}};
    if (epoll_ctl(end.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError("epoll_ctl");
  }
  return end;
}

Result<UniqueFd> TimerOf(std::chrono::seconds span) {
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return ErrnoError("timerfd_create");
  itimerspec spec{};
  spec.it_value.tv_sec = span.count();
  if (timerfd_settime(timer.get(), 0, &spec, nullptr) != 0) return ErrnoError("timerfd_settime");
  return timer;
}

// The first one ended the watch; from now on they end the program, as anywhere.
void HandSignalsBack(int signals) {
  char taken[1024];
  while (read(signals, taken, sizeof taken) > 0) continue;
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

Status WatchHost(const TriageOptions& options, TriageBook* book, std::vector<std::string>* gaps) {
  TRY_VOID(CheckPrivileges());
  TRY(const UniqueFd signals, StopSignals());
  AgentSetup setup;
  setup.config.state_dir.clear();
  setup.config.identity.source = options.metadata ? "auto" : "machine";
  setup.config.posture.enabled = false;  // looked at once, afterwards
  setup.config.logins.history_bytes = kLogHistory;
  setup.version = options.version;
  setup.open_source = options.open_source;
  setup.output = std::make_unique<BookOutput>(book, options.watch);
  auto agent = Agent::Create(std::move(setup));
  if (agent) {
    TRY(const UniqueFd timer, TimerOf(options.watch));
    TRY(const UniqueFd end, EndOfWatch(signals.get(), timer.get()));
    const Status ran = (*agent)->Run(end.get());
    HandSignalsBack(signals.get());
    if (!ran) return ran;
    for (const std::string& problem : (*agent)->status().degraded) gaps->push_back(problem);
    return Ok();
  }
  HandSignalsBack(signals.get());
  return std::move(agent).error();
}

}  // namespace culprit
