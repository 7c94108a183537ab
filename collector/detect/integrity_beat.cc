// SPDX-License-Identifier: Apache-2.0
// What heartbeats tell: of two that follow each other, and of one alone.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "collector/detect/events.h"
#include "collector/detect/integrity.h"
#include "common/hex.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::seconds;

std::string ShortHash(const std::string& bytes) {
  return bytes.empty() ? "none" : HexEncode(bytes).substr(0, 16);
}

double Seconds(std::chrono::nanoseconds span) {
  return std::round(std::chrono::duration<double>(span).count() * 10) / 10;
}

std::chrono::nanoseconds Between(std::uint64_t before, std::uint64_t after) {
  return std::chrono::nanoseconds(after > before ? static_cast<std::int64_t>(after - before) : 0);
}

// Without the port, which is another with each connection. As gRPC writes them:
// "ipv4:192.0.2.1:5000".
std::string HostOfPeer(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

std::chrono::nanoseconds Magnitude(std::chrono::nanoseconds span) {
  return span < std::chrono::nanoseconds(0) ? -span : span;
}

}  // namespace

// Why an agent that is known has another spool.
void IntegrityDetector::JudgeStream(const Beat& beat, WatchedAgent* agent, WatchedStream* stream) {
  Notice notice;
  notice.first = notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.rule = "spool-lost";
  // Counted from the run's begin.
  const bool same_run = stream->beat && stream->beat->run_id == beat.run_id;
  const std::uint32_t before_it = same_run ? stream->beat->facts.spool_files_missing() : 0;
  const std::uint32_t removed = beat.facts.spool_files_missing();
  if (removed > before_it && stream->reason.empty()) {
    notice.severity = v1::SEVERITY_HIGH;
    notice.reason = fmt::format(
        "finds {} of its spool's files removed under it, and goes on: what the collector did not "
        "have yet may be gone, and is then declared as lost",
        removed - before_it);
    notice.measures = {MakeMeasure("files removed", removed - before_it, 1)};
    Raise(std::move(notice), agent);
    return;
  }
  if (stream->reason.empty()) return;
  const std::string reason = std::exchange(stream->reason, "");
  const std::optional<Beat>& before = stream->beat;
  const bool same_boot = before && before->boot_id == beat.boot_id;
  std::string where;
  if (before && HostOfPeer(before->peer) != HostOfPeer(beat.peer)) {
    where = fmt::format("; it speaks from {}, and did from {}", HostOfPeer(beat.peer),
                        HostOfPeer(before->peer));
  }
  if (reason == "tail_lost") {
    notice.rule = "evidence-rollback";
    notice.severity = same_boot ? v1::SEVERITY_HIGH : v1::SEVERITY_LOW;
    notice.reason = same_boot ? "has less in its spool than it had sent, without a reset of the "
                                "host: an older copy was put back, or another host has its key" +
                                    where
                              : "lost the end of its spool when the host was reset" + where;
  } else {
    notice.severity = v1::SEVERITY_HIGH;
    notice.reason =
        "began a new spool: the one before is gone, and with it what had not been sent" + where;
  }
  // Nothing is compared over this: with a new spool it may as well be another installation.
  if (reason == "new") stream->beat.reset();
  notice.with_flows = true;
  Raise(std::move(notice), agent);
}

void IntegrityDetector::JudgeRestart(const Beat& before, const Beat& beat, WatchedAgent* agent) {
  if (!before.facts.stop_reason().empty()) return;
  const bool same_boot = before.boot_id == beat.boot_id;
  Notice notice;
  notice.rule = "agent-killed";
  notice.severity = same_boot ? v1::SEVERITY_HIGH : v1::SEVERITY_MEDIUM;
  notice.first = before.received;
  notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.with_flows = true;
  notice.reason = fmt::format(
      "{} after its heartbeat of {}, without saying so, and was started again",
      same_boot ? "was killed or crashed" : "ended with its host, which was reset or switched off,",
      FormatUtc(before.received));
  if (beat.facts.previous_run() == "stopped") {
    notice.reason += "; its mark on disk says that it stopped, which never came here";
  }
  const auto unseen = same_boot ? Between(before.facts.at_boot_ns(), beat.facts.at_boot_ns())
                                : beat.clock.wall - before.clock.wall;
  notice.measures = {MakeMeasure("between its heartbeats", Seconds(unseen), 0, "s")};
  Raise(std::move(notice), agent);
}

// The sensor alone makes heartbeats: where time went on and they did not, it stood still. What the
// host slept is in the boot clock and not in the monotonic one.
void IntegrityDetector::JudgePause(const Beat& before, const Beat& beat, WatchedAgent* agent) {
  const auto boot = Between(before.facts.at_boot_ns(), beat.facts.at_boot_ns());
  const auto awake = Between(before.facts.at_mono_ns(), beat.facts.at_mono_ns());
  const auto patience = std::chrono::milliseconds(
      3 * std::uint64_t{std::min<std::uint32_t>(before.facts.interval_ms(), 60'000)});
  const auto limit =
      std::max<std::chrono::nanoseconds>(seconds(thresholds_.pause_seconds), patience);
  if (std::min(boot, awake) < limit) return;
  Notice notice;
  notice.rule = "agent-paused";
  notice.severity = v1::SEVERITY_HIGH;
  notice.first = before.received;
  notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.with_flows = true;
  notice.reason = fmt::format(
      "stood still for {} while its host went on (SIGSTOP, a debugger, or a starved host), and "
      "goes on "
      "in the same run",
      FormatDuration(std::chrono::duration_cast<std::chrono::milliseconds>(awake)));
  notice.measures = {MakeMeasure("between its heartbeats", Seconds(awake), Seconds(limit), "s")};
  Raise(std::move(notice), agent);
}

void IntegrityDetector::JudgeClock(const Beat& before, const Beat& beat, WatchedAgent* agent) {
  if (before.boot_id != beat.boot_id) return;
  const auto jump =
      (beat.clock.wall - before.clock.wall) -
      std::chrono::duration_cast<std::chrono::nanoseconds>(beat.clock.boot - before.clock.boot);
  if (Magnitude(jump) < seconds(thresholds_.clock_jump_seconds)) return;
  // Towards the collector's clock it was put right, as at every boot of a host without a good one.
  const auto off_before = Magnitude(before.clock.wall - before.received);
  const auto off = Magnitude(beat.clock.wall - beat.received);
  const bool righted = off < off_before;
  Notice notice;
  notice.rule = "clock-jump";
  notice.severity = righted ? v1::SEVERITY_LOW : v1::SEVERITY_HIGH;
  notice.first = before.received;
  notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.reason = fmt::format(
      "saw its host's clock set {} by {}, {} the collector's; its evidence is timed by the clock "
      "since boot too",
      jump > std::chrono::nanoseconds(0) ? "forward" : "back",
      FormatDuration(std::chrono::duration_cast<std::chrono::milliseconds>(Magnitude(jump))),
      righted ? "towards" : "away from");
  notice.measures = {
      MakeMeasure("clock set by", Seconds(jump), thresholds_.clock_jump_seconds, "s"),
      MakeMeasure("ahead of the collector's now", Seconds(beat.clock.wall - beat.received), 0,
                  "s")};
  Raise(std::move(notice), agent);
}

void IntegrityDetector::JudgeChange(const Beat& before, const Beat& beat, WatchedAgent* agent) {
  const bool program = before.facts.exe_sha256() != beat.facts.exe_sha256();
  const bool config = before.facts.config_sha256() != beat.facts.config_sha256();
  if (!program && !config) return;
  const bool upgraded = before.run_id != beat.run_id && before.version != beat.version;
  Notice notice;
  notice.rule = "agent-changed";
  notice.severity = !program   ? v1::SEVERITY_MEDIUM
                    : upgraded ? v1::SEVERITY_LOW
                               : v1::SEVERITY_HIGH;
  notice.first = before.received;
  notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.reason = "has another ";
  if (program) {
    notice.reason += fmt::format(
        "program (SHA-256 {} for {}{})", ShortHash(beat.facts.exe_sha256()),
        ShortHash(before.facts.exe_sha256()),
        upgraded ? fmt::format(", version {} for {}", beat.version, before.version) : "");
  }
  if (config) {
    notice.reason +=
        fmt::format("{}configuration (SHA-256 {} for {})", program ? " and another " : "",
                    ShortHash(beat.facts.config_sha256()), ShortHash(before.facts.config_sha256()));
  }
  notice.reason += before.run_id == beat.run_id ? " on disk, while it runs" : " since its last run";
  Raise(std::move(notice), agent);
}

void IntegrityDetector::JudgeLinks(const Beat* before, const Beat& beat, WatchedAgent* agent) {
  const v1::Heartbeat& facts = beat.facts;
  const auto alive = static_cast<std::uint32_t>(facts.link_ids_size());
  std::uint32_t replaced = 0;
  if (before != nullptr && before->run_id == beat.run_id) {
    for (const std::uint32_t id : facts.program_ids()) {
      replaced +=
          std::ranges::find(before->facts.program_ids(), id) == before->facts.program_ids().end()
              ? 1U
              : 0U;
    }
  }
  // Told once: a link that is gone stays so.
  const bool fewer =
      alive < facts.links_made() && (before == nullptr || before->run_id != beat.run_id ||
                                     before->facts.link_ids_size() > facts.link_ids_size());
  if (!fewer && replaced == 0) return;
  Notice notice;
  notice.rule = "hooks-detached";
  notice.severity = v1::SEVERITY_CRITICAL;
  notice.first = before == nullptr ? beat.received : before->received;
  notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.with_flows = true;
  notice.reason = fmt::format(
      "finds {} of the {} links to its kernel programs taken away{}: what they counted is not seen "
      "any more",
      facts.links_made() - std::min(alive, facts.links_made()), facts.links_made(),
      replaced > 0 ? fmt::format(", and {} with a program that is not its own", replaced) : "");
  notice.measures = {MakeMeasure("links in place", alive, facts.links_made())};
  Raise(std::move(notice), agent);
}

void IntegrityDetector::JudgeStop(const Beat& beat, WatchedAgent* agent) {
  if (beat.facts.stop_reason().empty()) {
    if (agent->stopped && agent->stopped->run_id != beat.run_id) agent->stopped.reset();
    return;
  }
  if (agent->stopped && agent->stopped->run_id == beat.run_id) return;
  agent->stopped = {beat.run_id, beat.facts.stop_reason(), beat.received, beat.lsn};
  Notice notice;
  notice.rule = "agent-stopped";
  notice.severity = v1::SEVERITY_LOW;
  notice.first = notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.reason = beat.facts.stop_reason() == "shutdown" ? "stopped with its host, which goes down"
                                                         : "was told to stop, and said so";
  Raise(std::move(notice), agent);
}

// A loss is declared behind what it concerns, so a gap is judged by heartbeats that come as they
// are made, not by those of a backlog.
void IntegrityDetector::JudgeGaps(const Beat& before, const Beat& beat, WatchedAgent* agent) {
  const auto made = Between(before.facts.at_boot_ns(), beat.facts.at_boot_ns());
  if (before.run_id != beat.run_id || (beat.received - before.received) * 2 < made) return;
  std::uint64_t missing = 0;
  Notice notice;
  std::erase_if(agent->gaps, [&](const WatchedGap& gap) {
    if (gap.seen + seconds(thresholds_.gap_seconds) > before.received) return false;
    missing += gap.last - gap.first + 1;
    notice.first = notice.lsn == 0 ? gap.seen : std::min(notice.first, gap.seen);
    notice.lsn = std::max(notice.lsn, gap.lsn);
    notice.reason = fmt::format(
        "never sent frames {} to {} of its {} lane, and does not say that they were lost",
        gap.first, gap.last, gap.lane == Lane::kEvidence ? "evidence" : "bulk");
    return true;
  });
  if (missing == 0) return;
  notice.rule = "evidence-gap";
  notice.severity = v1::SEVERITY_HIGH;
  notice.at = beat.received;
  notice.measures = {MakeMeasure("frames missing", static_cast<double>(missing), 1)};
  Raise(std::move(notice), agent);
}

}  // namespace culprit
