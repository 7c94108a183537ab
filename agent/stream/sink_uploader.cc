// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sink_uploader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <random>

#include "agent/process/backoff.h"
#include "agent/stream/lane_reader.h"
#include "agent/stream/sink_wire.h"
#include "agent/stream/spool_object.h"
#include "common/hex.h"

namespace culprit {
namespace {

namespace link = internal::v1;
using std::chrono::milliseconds;
using Clock = SensorPort::Clock;

constexpr std::array<std::string_view, kLaneCount> kLaneNames = {"evidence", "bulk"};

// What of one lane is on its way.
struct LaneQueue {
  std::optional<LaneReader> reader;
  SpoolObject object;
  std::optional<Frame> next;  // read, and too much for the object
  bool sealed = false;        // no more goes into the object: it is full, or was sent before
  Clock::time_point since;    // its first frame was read

  bool empty() const { return object.empty() && !next; }
};

class SinkUploader final : public Uploader {
 public:
  SinkUploader(const link::SinkConfig& config, KeySource keys, std::unique_ptr<S3Client> client,
               SensorPort* port)
      : config_(config),
        sink_(ReadSink(config)),
        keys_(std::move(keys)),
        client_(std::move(client)),
        port_(port) {}

  void Run() override;
  void Cancel() override {
    cancelled_ = true;
    port_->Wake();
  }

 private:
  void FollowStream();
  std::uint64_t StoredUpTo(const Uuid& stream, std::size_t lane) const;
  Status Fill(const SpoolView& view, std::size_t lane);
  std::optional<std::size_t> DueLane() const;
  milliseconds UntilDue() const;
  Status Upload(std::size_t lane);
  Result<S3Verdict> PutOnce(std::size_t lane);
  void Stored(std::size_t lane, bool there_already);
  void Pause(const std::string& why);
  void Report(bool connected, const std::string& why);
  bool Finished();

  const link::SinkConfig config_;
  const SinkOptions sink_;
  KeySource keys_;
  std::unique_ptr<S3Client> client_;
  SensorPort* port_;
  Uuid stream_;
  std::array<LaneQueue, kLaneCount> lanes_;
  bool once_ = true;    // the store knows If-None-Match
  bool urgent_ = true;  // the first object goes at once: whether all is right must show now
  Backoff backoff_;
  std::minstd_rand random_{std::random_device{}()};
  link::SenderReport report_;
  std::string last_logged_;
  std::atomic<bool> cancelled_{false};
};

void SinkUploader::Run() {
  port_->AwaitSpool();
  while (!Finished()) {
    FollowStream();
    const SpoolView view = port_->spool();
    Status done = Ok();
    for (std::size_t lane = 0; lane < kLaneCount && done; ++lane) done = Fill(view, lane);
    const std::optional<std::size_t> due = DueLane();
    if (done && due) done = Upload(*due);
    if (!done) Pause(done.error().message);
    if (done && !due && !Finished()) port_->WaitForChange(view.version, UntilDue());
  }
}

// Another stream: what is not stored of the one before comes again in the new one.
void SinkUploader::FollowStream() {
  const SpoolView view = port_->spool();
  if (view.stream_id == stream_) return;
  stream_ = view.stream_id;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const Lane lane = static_cast<Lane>(i);
    lanes_[i] = LaneQueue();
    lanes_[i].reader.emplace(stream_, [this, lane, stream = stream_](std::uint64_t seq) {
      return port_->RequestSegment(stream, lane, seq);
    });
    lanes_[i].reader->Restart(std::max(StoredUpTo(stream_, i) + 1, view.lanes[i].oldest_seq));
  }
}

std::uint64_t SinkUploader::StoredUpTo(const Uuid& stream, std::size_t lane) const {
  for (const link::LanePosition& p : config_.stored()) {
    if (p.lane() == lane && p.stream_id() == stream.AsBytes()) return p.seq();
  }
  return 0;
}

Status SinkUploader::Fill(const SpoolView& view, std::size_t lane) {
  LaneQueue& queue = lanes_[lane];
  while (!queue.sealed) {
    if (!queue.next) {
      if (view.stream_id != stream_ || queue.reader->next_seq() > view.lanes[lane].newest_seq)
        return Ok();
      TRY(queue.next, queue.reader->Next());
      if (!queue.next) return Ok();
    }
    if (!queue.object.Fits(*queue.next, sink_.object_bytes)) {
      queue.sealed = true;
      return Ok();
    }
    if (queue.object.empty()) queue.since = Clock::now();
    queue.object.Add(*queue.next);
    queue.next.reset();
  }
  return Ok();
}

std::optional<std::size_t> SinkUploader::DueLane() const {
  const bool all = urgent_ || port_->stop_deadline().has_value();
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    const LaneQueue& queue = lanes_[lane];
    if (queue.object.empty()) continue;
    if (all || queue.sealed || Clock::now() - queue.since >= sink_.interval) return lane;
  }
  return std::nullopt;
}

milliseconds SinkUploader::UntilDue() const {
  milliseconds left = SensorPort::kIdleWait;
  for (const LaneQueue& queue : lanes_) {
    if (queue.object.empty()) continue;
    const auto due = queue.since + sink_.interval - Clock::now();
    left = std::min(left, std::chrono::duration_cast<milliseconds>(due) + milliseconds(1));
  }
  return std::max(left, milliseconds(1));
}

Status SinkUploader::Upload(std::size_t lane) {
  lanes_[lane].sealed = true;
  TRY(S3Verdict verdict, PutOnce(lane));
  if (verdict.what == S3Verdict::What::kKeysRanOut && keys_.Refused()) {
    TRY(verdict, PutOnce(lane));
  }
  if (verdict.what == S3Verdict::What::kNoConditions && once_) {
    once_ = false;
    spdlog::warn("the store does not know If-None-Match: an object may be written twice");
    TRY(verdict, PutOnce(lane));
  }
  switch (verdict.what) {
    case S3Verdict::What::kStored:
    case S3Verdict::What::kThereAlready:
      Stored(lane, verdict.what == S3Verdict::What::kThereAlready);
      return Ok();
    case S3Verdict::What::kTryAgain:
    case S3Verdict::What::kKeysRanOut:
    case S3Verdict::What::kNoConditions:
      break;
  }
  return Unavailable(verdict.why);
}

Result<S3Verdict> SinkUploader::PutOnce(std::size_t lane) {
  const SpoolObject& object = lanes_[lane].object;
  const WallTime now = ReadWallClock();
  TRY(const AwsKeys keys, keys_.Get(now));
  const std::string hash = HexEncode(AsBytes(object.last_hash()));
  const std::string key = ObjectKey(sink_, {sink_.agent_id, stream_, kLaneNames[lane],
                                            object.first_seq(), object.last_seq(), hash});
  TRY(const S3Answer answer, client_->Put(key, object.bytes(), once_, keys, now, cancelled_));
  return JudgeAnswer(answer, sink_);
}

void SinkUploader::Stored(std::size_t lane, bool there_already) {
  LaneQueue& queue = lanes_[lane];
  spdlog::debug("stored lane={} first={} last={} bytes={} there_already={}", kLaneNames[lane],
                queue.object.first_seq(), queue.object.last_seq(), queue.object.bytes().size(),
                there_already);
  if (!report_.connected()) spdlog::info("evidence is put into {}", SinkName(sink_));
  link::FromSender message;
  message.mutable_ack()->set_stream_id(std::string(stream_.AsBytes()));
  message.mutable_ack()->set_lane(static_cast<std::uint32_t>(lane));
  message.mutable_ack()->set_seq(queue.object.last_seq());
  port_->Send(message);
  report_.set_frames_sent(report_.frames_sent() + queue.object.frames());
  report_.set_sent_bytes(report_.sent_bytes() + queue.object.bytes().size());
  queue.object = SpoolObject();
  queue.sealed = false;
  urgent_ = false;
  backoff_.Reset();
  last_logged_.clear();
  Report(true, "");
}

void SinkUploader::Pause(const std::string& why) {
  if (why != last_logged_) spdlog::warn("evidence is not stored why=\"{}\"", why);
  last_logged_ = why;
  report_.set_reconnects(report_.reconnects() + 1);
  Report(false, why);
  port_->Pause(backoff_.Next(static_cast<std::uint32_t>(random_())),
               [this] { return port_->TimeIsUp() || cancelled_; });
}

void SinkUploader::Report(bool connected, const std::string& why) {
  report_.set_connected(connected);
  report_.set_last_error(why.substr(0, 512));
  link::FromSender message;
  *message.mutable_report() = report_;
  port_->Send(message);
}

// Nothing is left to store, or there is no more time.
bool SinkUploader::Finished() {
  if (!port_->stop_deadline()) return false;
  if (port_->TimeIsUp() || cancelled_) return true;
  const SpoolView view = port_->spool();
  if (view.stream_id != stream_) return false;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    if (!lanes_[i].empty() || lanes_[i].reader->next_seq() <= view.lanes[i].newest_seq)
      return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Uploader> MakeSinkUploader(const link::SinkConfig& config, KeySource keys,
                                           std::unique_ptr<S3Client> client, SensorPort* port) {
  return std::make_unique<SinkUploader>(config, std::move(keys), std::move(client), port);
}

}  // namespace culprit
