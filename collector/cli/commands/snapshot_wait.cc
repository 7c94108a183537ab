// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/snapshot_wait.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kTryAgain{1000};
constexpr milliseconds kShow{100};
constexpr std::chrono::seconds kPatience{120};  // with a collector that is away
constexpr int kBar = 24;

bool IsFinal(v1::SnapshotState state) {
  return state >= v1::SNAPSHOT_STATE_COMPLETE && state <= v1::SNAPSHOT_STATE_REMOVED;
}

// The last line of a terminal; on no terminal a line where something is the matter.
class Progress {
 public:
  explicit Progress(Session& session) : session_(session) {}

  void Show(const v1::Snapshot& snapshot) {
    const bool waiting = snapshot.state() == v1::SNAPSHOT_STATE_WAITING;
    if (waiting && snapshot.problem() != told_) {
      Clear();
      session_.Note(EscapeText(snapshot.problem()) + "; it goes on by itself");
    }
    told_ = waiting ? snapshot.problem() : "";
    if (!terminal_ || Clock::now() - at_ < kShow) return;
    at_ = Clock::now();
    shown_ = true;
    fmt::print(stderr, "\r\x1b[K{}", Line(snapshot));
  }

  void Clear() {
    if (std::exchange(shown_, false)) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  static std::string Line(const v1::Snapshot& snapshot) {
    const std::uint64_t of = std::max(snapshot.collected_bytes(), snapshot.stored_bytes());
    const int full = of == 0 ? 0 : static_cast<int>(snapshot.stored_bytes() * kBar / of);
    std::string bar(static_cast<std::size_t>(full), '#');
    bar.resize(kBar, '.');
    std::string step = snapshot.state() == v1::SNAPSHOT_STATE_WAITING ? "waiting"
                       : snapshot.step().empty()
                           ? ""
                           : fmt::format("tier {} of {}: {}", snapshot.step_tier(),
                                         snapshot.last_tier(), EscapeText(snapshot.step()));
    return fmt::format("[{}] {} of {} so far  {}", bar, FormatByteSize(snapshot.stored_bytes()),
                       FormatByteSize(of), step);
  }

  Session& session_;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  std::string told_;
  Clock::time_point at_;
};

bool IsStuck(const v1::Snapshot& snapshot) {
  return snapshot.state() == v1::SNAPSHOT_STATE_WAITING &&
         (snapshot.problem().starts_with("disk: ") || snapshot.problem().starts_with("quota: "));
}

}  // namespace

Result<v1::Snapshot> AwaitSnapshot(Session& session, Client& client, const std::string& id,
                                   const WaitOptions& options) {
  Progress progress(session);
  v1::Snapshot last;
  auto heard = Clock::now();
  const auto began = heard;
  const auto late = [&] { return options.deadline && Clock::now() - began >= *options.deadline; };
  const auto stuck = [&] { return options.give_up_when_stuck && IsStuck(last); };
  for (;;) {
    const Status watched = client.WatchSnapshot(id, [&](const v1::Snapshot& now) {
      heard = Clock::now();
      last = now;
      progress.Show(now);
      return !late() && !stuck();
    });
    progress.Clear();
    if (IsFinal(last.state())) return last;
    if (stuck()) {
      return MakeError(Code::kResourceExhausted,
                       "the collector cannot store it: " + EscapeText(last.problem()));
    }
    if (late()) {
      return MakeError(Code::kDeadlineExceeded,
                       "not within " + FormatDuration(*options.deadline) +
                           "; it goes on at the collector: `culprit snapshot show " + id + "`");
    }
    const Code code = watched ? Code::kUnavailable : watched.error().code;
    const bool broken = code == Code::kUnavailable || code == Code::kUnauthenticated;
    if (!broken || Clock::now() - heard > kPatience) {
      return watched ? Unavailable("the collector ended the call") : watched.error();
    }
    if (!session.Wait(kTryAgain)) return MakeError(Code::kCancelled, "interrupted");
  }
}

}  // namespace culprit::cli
