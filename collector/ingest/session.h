// SPDX-License-Identifier: Apache-2.0
// One agent's connection: hello, frames in, acks out. Hides gRPC's synchronous stream.
//
// Stage: ingest (edge: network). Thread: the handler's thread reads, validates and journals; one
// more thread writes acks, so that a peer that does not read can hold up nobody but itself; the
// journal's commit thread only marks what is durable. Back-pressure: no more is read while too much
// of this connection is not durable yet, or the journal's queue is full.
#ifndef CULPRIT_COLLECTOR_INGEST_SESSION_H_
#define CULPRIT_COLLECTOR_INGEST_SESSION_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "collector/ingest/ingest.h"
#include "collector/ingest/registry.h"
#include "collector/ingest/session_calls.h"
#include "collector/ingest/validate.h"
#include "collector/journal/journal.h"
#include "collector/model/agent_control.h"
#include "collector/pki/peer_identity.h"
#include "culprit/v1/ingest.pb.h"

namespace culprit {

class IngestSession : public std::enable_shared_from_this<IngestSession> {
 public:
  using Stream = grpc::ServerReaderWriter<v1::CollectorMessage, v1::AgentMessage>;

  IngestSession(const IngestOptions& options, Journal* journal, std::shared_ptr<Registry> registry,
                grpc::ServerContext* context, Stream* stream);

  // Runs the whole connection. `context` and `stream` are not used after it returned.
  grpc::Status Run();
  // Asks the peer to close; the connection ends with `error`, at the latest after a short grace.
  // Any thread.
  void End(Error error, std::chrono::milliseconds reconnect_after);
  // Who it is, once that is known. Any thread.
  std::optional<ConnectedAgent> agent();
  // As in AgentControl. Any thread, also after the connection has ended.
  Status AskForPackets(const v1::PacketRequest& request, const AgentControl::TakePart& take,
                       const AgentControl::IsCancelled& is_cancelled);
  void ReleasePackets(const std::string& fetch_id);
  Status AskForSnapshot(const v1::SnapshotRequest& request,
                        const AgentControl::TakeSnapshotPart& take,
                        const AgentControl::IsCancelled& is_cancelled);
  void ReleaseSnapshot(const std::string& snapshot_id);

 private:
  using Lock = std::unique_lock<std::mutex>;

  using TakeReply = std::function<bool(v1::ControlReply&& reply)>;

  Status TakeAnswer(std::uint64_t request_id, std::string_view subject, const TakeReply& take,
                    const AgentControl::IsCancelled& is_cancelled);
  Result<HelloClaim> ReadHello();
  grpc::Status Serve(const HelloClaim& claim);
  Status TakeOver(const HelloClaim& claim);
  bool SendHelloAck();
  grpc::Status ReadFrames();
  grpc::Status HandleFrame(v1::FrameData* data);
  grpc::Status HandleReply(v1::ControlReply* reply);
  grpc::Status HandleValid(ValidFrame valid);
  bool WaitForRoom(std::uint64_t bytes);
  bool WaitForRate(std::uint64_t bytes);
  void Journalise(CollectorStamp stamp, ValidFrame valid);
  void OnSettled(Lane lane, std::uint64_t seq, std::uint64_t bytes, const Status& result);
  grpc::Status Refuse(std::string_view reason, const std::string& message);
  void CountRejectedFrame(const std::string& why);
  CollectorStamp MakeStamp(const FrameHeader& header, const SequenceVerdict& verdict) const;

  void WriteLoop();
  bool WriteAcks();
  bool WriteRequests(Lock* lock);
  bool Write(const v1::CollectorMessage& message, Lock* lock);
  void WakeWriter();
  void WaitUntilSettled();

  const IngestOptions options_;
  Journal* journal_;
  const std::shared_ptr<Registry> registry_;
  grpc::ServerContext* context_;
  Stream* stream_;
  PeerIdentity peer_;
  std::string peer_address_;
  std::shared_ptr<Agent> agent_;
  HelloClaim claim_;
  std::optional<FrameValidator> validator_;
  v1::AgentMessage incoming_;  // reused: cheaper than an arena
  std::uint64_t frame_index_ = 0;
  SessionCalls calls_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::optional<ConnectedAgent> who_;
  bool hello_done_ = false, closing_ = false, write_failed_ = false;
  std::array<std::uint64_t, kLaneCount> durable_{}, acked_{};
  std::array<bool, kLaneCount> repeat_ack_{};
  std::uint64_t rejected_records_ = 0;
  std::uint64_t inflight_frames_ = 0, inflight_bytes_ = 0;
  std::optional<Error> end_;
  std::chrono::milliseconds reconnect_after_{0};
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_SESSION_H_
