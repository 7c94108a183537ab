// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/sequence.h"

#include <algorithm>

namespace culprit {
namespace {

using Action = SequenceVerdict::Action;

std::size_t IndexOf(Lane lane) { return static_cast<std::size_t>(lane); }

SequenceVerdict Refused(std::string_view why) {
  SequenceVerdict verdict;
  verdict.refusal = why;
  return verdict;
}

SequenceVerdict Duplicate() {
  SequenceVerdict verdict;
  verdict.action = Action::kDuplicate;
  return verdict;
}

}  // namespace

void AgentSequence::Load(const LaneHead& head) {
  Stream& stream = streams_[head.stream_id];
  stream.announced = true;
  LaneTrack& track = stream.lanes[IndexOf(head.lane)];
  if (track.known && track.head.seq >= head.seq) return;
  track.known = true;
  track.head = track.durable = {head.seq, head.hash};
  track.recent.assign(1, track.head);
}

bool AgentSequence::OnHello(const HelloClaim& claim) {
  const auto ahead = [this](const Uuid& id, const std::array<LaneClaim, kLaneCount>* lanes) {
    const auto stream = streams_.find(id);
    if (stream == streams_.end()) return false;
    for (std::size_t i = 0; i < kLaneCount; ++i) {
      const std::uint64_t here = stream->second.lanes[i].durable.seq;
      if (lanes != nullptr && here > (*lanes)[i].newest_seq) return true;
    }
    return false;
  };
  const bool behind = ahead(claim.stream_id, &claim.lanes);
  // The stream that replaces one of ours says itself that the old one's tail was lost.
  rolled_back_ = claim.stream_reason == "tail_lost" && streams_.contains(claim.previous_stream_id);
  claim_ = claim;
  return behind;
}

SequenceVerdict AgentSequence::Observe(const FrameHeader& header, const Sha256Digest& hash) {
  const bool new_stream = !streams_.contains(header.stream_id);
  if (new_stream && streams_.size() >= kMaxStreams) return Refused("too_many_streams");
  Stream& stream = streams_[header.stream_id];
  LaneTrack& track = stream.lanes[IndexOf(header.lane)];
  if (track.known && header.seq <= track.head.seq) return Old(track, header.seq, hash);

  if (const auto orphan = track.orphans.find(header.seq); orphan != track.orphans.end()) {
    if (orphan->second != hash) return Refused("fork");
    track.orphans.erase(orphan);
    Advance(&track, header.seq, hash);
    if (track.pending.empty()) track.durable = track.head;
    return Duplicate();
  }
  SequenceVerdict verdict;
  verdict.action = Action::kAccept;
  Classify(track, header, &verdict);
  if (verdict.missing_to != 0) {
    track.holes.push_back({verdict.missing_from, verdict.missing_to});
    if (track.holes.size() > kMaxHoles) track.holes.pop_front();
  }
  if (!stream.announced) {
    stream.announced = true;
    verdict.stream_reason = claim_.stream_reason;
    if (rolled_back_) verdict.state = SequenceState::kRollback;
  }
  Advance(&track, header.seq, hash);
  track.pending.push_back({header.seq, hash, Pending::State::kWaiting});
  ++unsettled_;
  return verdict;
}

SequenceVerdict AgentSequence::Old(const LaneTrack& track, std::uint64_t seq,
                                   const Sha256Digest& hash) {
  for (const Hole& hole : track.holes) {
    if (seq >= hole.first && seq <= hole.last) return Refused("out_of_order");
  }
  const auto at = std::ranges::find(track.recent, seq, &DurableHead::seq);
  if (at != track.recent.end() && at->hash != hash) return Refused("fork");
  return Duplicate();
}

void AgentSequence::Classify(const LaneTrack& track, const FrameHeader& header,
                             SequenceVerdict* verdict) {
  const bool gap = header.seq > track.head.seq + 1;
  if (gap) {
    verdict->missing_from = track.head.seq + 1;
    verdict->missing_to = header.seq - 1;
  }
  if (!track.known) {
    verdict->state = SequenceState::kFirst;
    // A first frame that claims a predecessor has lost it.
    if (!gap && header.prev_hash != Sha256Digest{}) verdict->state = SequenceState::kFork;
  } else if (gap) {
    verdict->state = SequenceState::kGap;
  } else if (header.prev_hash != track.head.hash) {
    verdict->state = SequenceState::kFork;
  }
}

void AgentSequence::Advance(LaneTrack* track, std::uint64_t seq, const Sha256Digest& hash) {
  track->known = true;
  track->head = {seq, hash};
  track->recent.push_back(track->head);
  if (track->recent.size() > kRemembered) track->recent.pop_front();
}

void AgentSequence::Settle(const Uuid& stream, Lane lane, std::uint64_t seq, bool durable) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  LaneTrack& track = found->second.lanes[IndexOf(lane)];
  const auto at = std::ranges::find(track.pending, seq, &Pending::seq);
  if (at == track.pending.end() || at->state != Pending::State::kWaiting) return;
  at->state = durable ? Pending::State::kDurable : Pending::State::kFailed;
  --unsettled_;
  while (!track.pending.empty() && track.pending.front().state == Pending::State::kDurable) {
    track.durable = {track.pending.front().seq, track.pending.front().hash};
    track.pending.pop_front();
  }
  const bool waiting = std::ranges::any_of(
      track.pending, [](const Pending& p) { return p.state == Pending::State::kWaiting; });
  if (!waiting && !track.pending.empty()) FallBack(&track);
}

// The front of `pending` failed, and all behind it are decided.
void AgentSequence::FallBack(LaneTrack* track) {
  for (const Pending& p : track->pending) {
    if (p.state == Pending::State::kDurable) track->orphans[p.seq] = p.hash;
  }
  track->pending.clear();
  track->head = track->durable;
  track->known = track->durable.seq != 0;
  const std::uint64_t last = track->head.seq;
  while (!track->recent.empty() && track->recent.back().seq > last) track->recent.pop_back();
  std::erase_if(track->holes, [last](const Hole& hole) { return hole.first > last; });
}

DurableHead AgentSequence::Durable(const Uuid& stream, Lane lane) const {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? DurableHead{} : found->second.lanes[IndexOf(lane)].durable;
}

}  // namespace culprit
