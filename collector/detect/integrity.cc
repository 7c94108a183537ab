// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/integrity.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "collector/detect/engine.h"
#include "collector/detect/events.h"
#include "collector/detect/rules.h"
#include "collector/model/imported.h"
#include "common/hex.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxAgents = 16'384, kMaxStreams = 16, kMaxGaps = 64, kMaxFlows = 16;
constexpr auto kEpisodeGap = std::chrono::hours(1);
// Two ticks further apart than this: it was the collector that did not listen.
constexpr auto kTickGap = seconds(10);
constexpr std::uint32_t kMaxIntervalMs = 60'000;

WatchedStream* FindStream(WatchedAgent* agent, const Uuid& id) {
  const auto it = std::ranges::find(agent->streams, id, &WatchedStream::id);
  return it == agent->streams.end() ? nullptr : &*it;
}

bool BeginsStream(const CollectorStamp& stamp) {
  return !stamp.stream_reason.empty() || stamp.sequence == SequenceState::kFirst;
}

// What of a hole a declared loss leaves: none, one or two parts.
std::vector<WatchedGap> Without(const WatchedGap& gap, std::uint64_t first, std::uint64_t last) {
  if (last < gap.first || first > gap.last) return {gap};
  std::vector<WatchedGap> rest;
  if (first > gap.first) {
    rest.push_back(gap);
    rest.back().last = first - 1;
  }
  if (last < gap.last) {
    rest.push_back(gap);
    rest.back().first = last + 1;
  }
  return rest;
}

void NoteFlows(const DecodedFrame& frame, std::deque<RecentFlow>* recent) {
  for (const FlowObservation& seen : frame.flows) {
    const FlowFacts& facts = seen.facts;
    if ((facts.flags & v1::FLOW_FLAG_AGENT) != 0 || facts.direction == v1::FLOW_DIRECTION_LISTEN)
      continue;
    std::erase_if(*recent, [&](const RecentFlow& one) { return one.id == facts.flow; });
    recent->push_back({facts.flow,
                       {facts.remote, facts.remote_port},
                       seen.cumulative.tx_wire_bytes,
                       seen.cumulative.rx_wire_bytes});
    if (recent->size() > kMaxFlows) recent->pop_front();
  }
}

// The spool could not be written, or a part of it is gone: heartbeats may be among that.
bool CostsFrames(v1::LossCause cause) {
  return cause == v1::LOSS_CAUSE_SPOOL_CAP || cause == v1::LOSS_CAUSE_SPOOL_CORRUPT ||
         cause == v1::LOSS_CAUSE_SPOOL_WRITE || cause == v1::LOSS_CAUSE_QUARANTINED;
}

}  // namespace

void IntegrityDetector::Take(const FrameHeader& header, const DecodedFrame& frame) {
  WatchedAgent& agent = AgentOf(frame);
  WatchedStream& stream = StreamOf(header, frame, &agent);
  TakeGap(header, frame, &agent);
  if (header.lane == Lane::kEvidence) {
    stream.interrupted |= frame.stamp.sequence != SequenceState::kInOrder;
    TakeLosses(frame, &agent, &stream);
    if (frame.has_fidelity) {
      stream.replay = frame.fidelity.source() == "replay";
      stream.fidelity = frame.fidelity;
    }
    const bool of_host = frame.has_heartbeat && !frame.heartbeat.exe_sha256().empty();
    if (of_host && !stream.replay) TakeBeat(frame, &agent, &stream);
  }
  if (stream.replay) return;
  TakeShed(frame, &agent);
  NoteFlows(frame, &agent.flows);
  EndSilence(frame, &agent);
  agent.last_received = std::max(agent.last_received, frame.stamp.received);
  agent.last_lsn = frame.lsn;
  Forget();
}

WatchedAgent& IntegrityDetector::AgentOf(const DecodedFrame& frame) {
  WatchedAgent& agent = agents_[frame.stamp.agent_id];
  agent.id = frame.stamp.agent_id;
  agent.imported = frame.stamp.peer == kImportPeer;
  agent.name = frame.stamp.agent_name;
  if (frame.has_host) {
    agent.version = frame.host.agent_version();
    if (!frame.host.hostname().empty()) agent.host = frame.host.hostname();
  }
  return agent;
}

// A stream that was replaced by another one does not come back, unless both are alive.
WatchedStream& IntegrityDetector::StreamOf(const FrameHeader& header, const DecodedFrame& frame,
                                           WatchedAgent* agent) {
  WatchedStream* known = FindStream(agent, header.stream_id);
  const bool other = agent->current != Uuid{} && agent->current != header.stream_id;
  const bool begins = known == nullptr && BeginsStream(frame.stamp);
  const bool forks = frame.stamp.sequence == SequenceState::kFork || (other && !begins);
  if (known == nullptr) {
    WatchedStream fresh;
    fresh.id = header.stream_id;
    if (const WatchedStream* before = FindStream(agent, agent->current);
        begins && before != nullptr) {
      fresh.reason = frame.stamp.stream_reason;
      fresh.rolled_back = frame.stamp.sequence == SequenceState::kRollback;
      fresh.beat = before->beat;
      fresh.hooks = before->hooks;
      fresh.interrupted = true;
    }
    if (agent->streams.size() >= kMaxStreams) {
      agent->streams.erase(std::ranges::min_element(agent->streams, {}, &WatchedStream::used));
    }
    agent->streams.push_back(std::move(fresh));
    known = &agent->streams.back();
  }
  if (forks) JudgeFork(header, frame, agent);
  known->used = frame.lsn;
  known->peer = frame.stamp.peer;
  agent->current = header.stream_id;
  return *known;
}

void IntegrityDetector::JudgeFork(const FrameHeader& header, const DecodedFrame& frame,
                                  WatchedAgent* agent) {
  const WatchedStream* before = FindStream(agent, agent->current);
  const WatchedStream* known = FindStream(agent, header.stream_id);
  Notice notice;
  notice.rule = "evidence-fork";
  notice.first = notice.at = frame.stamp.received;
  notice.lsn = frame.lsn;
  notice.with_flows = true;
  if (frame.stamp.sequence == SequenceState::kFork) {
    notice.severity = v1::SEVERITY_HIGH;
    notice.reason = fmt::format(
        "frame {} of its stream does not follow from the one before it: part of its history was "
        "replaced by another",
        header.seq);
  } else {
    const bool replay = (before != nullptr && before->replay) || known->replay;
    notice.severity = replay ? v1::SEVERITY_LOW : v1::SEVERITY_CRITICAL;
    notice.reason = fmt::format(
        "two programs speak under this agent's certificate: stream {} from {}, and again stream {} "
        "from {}, which it had replaced{}",
        agent->current.ToString(), before == nullptr ? "an unknown peer" : before->peer,
        header.stream_id.ToString(), frame.stamp.peer,
        replay ? "; one of them replays a recording" : "");
  }
  Raise(std::move(notice), agent);
}

void IntegrityDetector::TakeGap(const FrameHeader& header, const DecodedFrame& frame,
                                WatchedAgent* agent) {
  const CollectorStamp& stamp = frame.stamp;
  if (stamp.missing_to_seq == 0 || agent->gaps.size() >= kMaxGaps) return;
  // A collector that begins in the middle of a stream has lost its own part, not the agent.
  if (stamp.sequence == SequenceState::kFirst && agent->streams.size() < 2) return;
  agent->gaps.push_back({header.stream_id, header.lane, stamp.missing_from_seq,
                         stamp.missing_to_seq, stamp.received, frame.lsn});
}

void IntegrityDetector::TakeLosses(const DecodedFrame& frame, WatchedAgent* agent,
                                   WatchedStream* stream) {
  for (const v1::Loss& loss : frame.losses) {
    if (!CostsFrames(loss.cause())) continue;
    stream->interrupted = true;
    if (loss.lane_plus_one() == 0) continue;
    std::vector<WatchedGap> left;
    for (const WatchedGap& gap : agent->gaps) {
      const bool same = gap.stream == stream->id &&
                        static_cast<std::uint32_t>(gap.lane) + 1 == loss.lane_plus_one();
      // Where the agent does not know which frames, all of the lane may be meant.
      if (same && loss.last_seq() == 0) continue;
      const auto rest =
          same ? Without(gap, loss.first_seq(), loss.last_seq()) : std::vector<WatchedGap>{gap};
      left.insert(left.end(), rest.begin(), rest.end());
    }
    if (left.size() > kMaxGaps) left.resize(kMaxGaps);
    agent->gaps = std::move(left);
  }
}

// A run tells of its hooks before it attaches them, too: what holds is what stands at a heartbeat.
void IntegrityDetector::JudgeHooks(const Beat& beat, WatchedAgent* agent, WatchedStream* stream) {
  if (!stream->fidelity) return;
  std::set<std::string> active;
  std::string gone;
  std::uint32_t lost = 0;
  for (const auto& hook : stream->fidelity->hooks()) {
    if (hook.active()) {
      active.insert(hook.name());
    } else if (stream->hooks.contains(hook.name()) && ++lost <= 8) {
      gone += (gone.empty() ? "" : ", ") + hook.name();
    }
  }
  stream->hooks = std::move(active);
  stream->fidelity.reset();
  if (lost == 0) return;
  Notice notice;
  notice.rule = "hooks-detached";
  notice.severity = v1::SEVERITY_HIGH;
  notice.first = notice.at = beat.received;
  notice.lsn = beat.lsn;
  notice.reason = gone == "canary"
                      ? "does not see connections of its own any more (canary): its hooks are "
                        "gone or blinded, and what others do may not be seen either"
                      : "no longer sees through " + gone + (lost > 8 ? ", and others" : "");
  notice.measures = {MakeMeasure("hooks that were active before and are not", lost, 1)};
  notice.with_flows = true;
  Raise(std::move(notice), agent);
}

void IntegrityDetector::TakeBeat(const DecodedFrame& frame, WatchedAgent* agent,
                                 WatchedStream* stream) {
  Beat beat{frame.heartbeat,      frame.run_id,     frame.boot_id,  frame.clock,
            frame.stamp.received, frame.stamp.peer, agent->version, frame.lsn};
  JudgeStream(beat, agent, stream);
  if (stream->beat) {
    const Beat& before = *stream->beat;
    if (before.run_id != beat.run_id) {
      JudgeRestart(before, beat, agent);
    } else if (!stream->interrupted) {
      JudgePause(before, beat, agent);
    }
    JudgeClock(before, beat, agent);
    JudgeChange(before, beat, agent);
    JudgeGaps(before, beat, agent);
  }
  JudgeHooks(beat, agent, stream);
  JudgeLinks(stream->beat ? &*stream->beat : nullptr, beat, agent);
  JudgeStop(beat, agent);
  agent->live = true;
  stream->beat = std::move(beat);
  stream->interrupted = false;
}

void IntegrityDetector::Tick(WallTime now, const std::vector<AgentIngestStats>& agents) {
  if (last_tick_ == WallTime{} || last_tick_ + kTickGap < now || now < last_tick_) {
    watching_since_ = now;
  }
  last_tick_ = now;
  std::unordered_map<Uuid, const AgentIngestStats*> known;
  for (const AgentIngestStats& stats : agents) known.emplace(stats.agent_id, &stats);
  for (auto& [id, agent] : agents_) {
    const auto it = known.find(id);
    const AgentIngestStats* stats = it == known.end() ? nullptr : it->second;
    JudgeSilence(now, stats, &agent);
    JudgeAbsence(now, &agent);
    if (stats == nullptr || stats->refused_forks <= agent.refused_forks) continue;
    Notice notice;
    notice.rule = "evidence-fork";
    notice.severity = v1::SEVERITY_HIGH;
    notice.first = notice.at = now;
    notice.lsn = agent.last_lsn;
    notice.reason =
        "sent other evidence under numbers that were taken already; it was refused: somebody "
        "has its key, or an older copy of its spool";
    notice.measures = {MakeMeasure(
        "frames refused", static_cast<double>(stats->refused_forks - agent.refused_forks), 1)};
    agent.refused_forks = stats->refused_forks;
    Raise(std::move(notice), &agent);
  }
}

void IntegrityDetector::JudgeSilence(WallTime now, const AgentIngestStats* known,
                                     WatchedAgent* agent) {
  if (!agent->live || agent->imported || agent->stopped) return;
  const WallTime heard = known == nullptr ? agent->last_received
                                          : std::max(agent->last_received, known->last_received);
  const WallTime since = std::max(heard, watching_since_);
  const WatchedStream* stream = FindStream(agent, agent->current);
  const std::uint32_t interval_ms =
      stream == nullptr || !stream->beat
          ? 0
          : std::min(stream->beat->facts.interval_ms(), kMaxIntervalMs);
  const auto patience = std::chrono::milliseconds(3 * std::uint64_t{interval_ms});
  const auto warning =
      std::max<std::chrono::nanoseconds>(seconds(thresholds_.silence_warning_seconds), patience);
  const auto finding =
      std::max<std::chrono::nanoseconds>(seconds(thresholds_.silence_seconds), warning);
  if (now - since < warning) return;
  const auto severity = now - since < finding ? v1::SEVERITY_LOW : v1::SEVERITY_HIGH;
  if (severity <= agent->silence) return;
  agent->silence = severity;
  agent->silent_since = agent->last_received;
  const bool connected = known != nullptr && known->connected;
  Notice notice;
  notice.rule = "agent-silent";
  notice.severity = severity;
  notice.first = agent->silent_since;
  notice.at = now;
  notice.lsn = agent->last_lsn;
  notice.alone = true;
  notice.with_flows = true;
  notice.reason = fmt::format(
      "has sent nothing since {}, and did not say that it would stop; {}",
      FormatUtc(agent->silent_since),
      connected ? "its connection is open: its sensor is stopped, or its packets are dropped"
                : "it is not connected: killed, cut off, or the host is gone");
  const double silent = std::chrono::duration<double>(now - agent->silent_since).count();
  notice.measures = {MakeMeasure(
      "silent for", std::floor(silent),
      std::chrono::duration<double>(severity == v1::SEVERITY_LOW ? warning : finding).count(),
      "s")};
  Raise(std::move(notice), agent);
}

void IntegrityDetector::EndSilence(const DecodedFrame& frame, WatchedAgent* agent) {
  if (agent->silence == v1::SEVERITY_UNSPECIFIED) return;
  const auto silent = frame.stamp.received - agent->silent_since;
  Notice notice;
  notice.rule = "agent-silent";
  notice.severity = agent->silence;
  notice.first = agent->silent_since;
  notice.at = frame.stamp.received;
  notice.lsn = frame.lsn;
  notice.alone = true;
  notice.with_flows = true;
  notice.reason =
      fmt::format("sent nothing from {} to {}; it speaks again, and what it kept meanwhile follows",
                  FormatUtc(agent->silent_since), FormatUtc(frame.stamp.received));
  notice.measures = {MakeMeasure("silent for",
                                 std::floor(std::chrono::duration<double>(silent).count()),
                                 thresholds_.silence_warning_seconds, "s")};
  agent->silence = v1::SEVERITY_UNSPECIFIED;
  Raise(std::move(notice), agent);
}

// A stop that was declared, and no start after it. A host that goes down is meant to.
void IntegrityDetector::JudgeAbsence(WallTime now, WatchedAgent* agent) {
  if (!agent->stopped || agent->imported || agent->stopped->told_absent ||
      agent->stopped->reason == "shutdown") {
    return;
  }
  const WallTime since = std::max(agent->stopped->at, watching_since_);
  if (now - since < seconds(thresholds_.silence_seconds)) return;
  agent->stopped->told_absent = true;
  Notice notice;
  notice.rule = "agent-stopped";
  notice.severity = v1::SEVERITY_MEDIUM;
  notice.first = agent->stopped->at;
  notice.at = now;
  notice.lsn = agent->stopped->lsn;
  notice.with_flows = true;
  notice.reason =
      fmt::format("was told to stop at {} and was not started again: the host goes on unseen",
                  FormatUtc(agent->stopped->at));
  Raise(std::move(notice), agent);
}

void IntegrityDetector::Raise(Notice notice, WatchedAgent* agent) {
  const std::string key =
      notice.alone ? fmt::format("{}@{}", notice.rule, ToNs(notice.first)) : notice.rule;
  std::erase_if(agent->episodes, [&](const auto& one) {
    return WallTimeFromNs(one.second.finding.last_ns()) + kEpisodeGap < notice.at;
  });
  WatchedAgent::Episode& episode = agent->episodes[key];
  const v1::Finding before = episode.finding;
  const bool fresh = episode.times++ == 0;
  const Rule& rule = RuleOf(notice.rule);
  v1::Finding next;
  next.set_rule(notice.rule);
  next.set_rule_version(rule.version);
  for (const char* id : rule.attack_ids) {
    if (id != nullptr) next.add_attack_ids(id);
  }
  next.set_agent_id(agent->id.ToString());
  next.set_host(agent->host.empty() ? agent->name : agent->host);
  next.set_process_id("0000000000000000");
  next.set_first_ns(fresh ? ToNs(notice.first) : before.first_ns());
  next.set_trigger_ns(fresh ? ToNs(notice.at) : before.trigger_ns());
  next.set_trigger_lsn(fresh ? notice.lsn : before.trigger_lsn());
  next.set_last_ns(std::max(before.last_ns(), ToNs(notice.at)));
  next.set_last_lsn(std::max(before.last_lsn(), notice.lsn));
  next.set_severity(std::max(notice.severity, before.severity()));
  next.set_confidence(notice.confidence);
  next.set_subject(notice.alone ? fmt::format("evidence@{}", ToNs(notice.first)) : "evidence");
  next.set_reason("the agent " + notice.reason);
  for (v1::Measure& measure : notice.measures) *next.add_measures() = std::move(measure);
  *next.add_measures() = MakeMeasure("told", static_cast<double>(episode.times), 0,
                                     episode.times == 1 ? "time" : "times");
  if (notice.with_flows) {
    for (auto flow = agent->flows.rbegin(); flow != agent->flows.rend(); ++flow) {
      next.add_flow_ids(HexId(flow->id.value()));
      *next.add_targets() = MakeTarget(flow->remote, flow->tx_bytes, flow->rx_bytes);
    }
  }
  next.set_state(v1::FINDING_STATE_OPEN);
  next.set_id(FindingId(next));
  sink_(next);
  episode.finding = std::move(next);
}

void IntegrityDetector::Forget() {
  if (agents_.size() <= kMaxAgents) return;
  agents_.erase(std::ranges::min_element(agents_, {},
                                         [](const auto& one) { return one.second.last_received; }));
}

}  // namespace culprit
