// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/ingest.h"

#include <spdlog/spdlog.h>

#include <mutex>
#include <set>
#include <utility>

#include "collector/ingest/session.h"
#include "culprit/v1/ingest.grpc.pb.h"

namespace culprit {
namespace {

constexpr std::chrono::milliseconds kReconnectSpread{5};

class IngestImpl final : public Ingest, public AgentControl, private v1::Ingest::Service {
 public:
  IngestImpl(const IngestOptions& options, Journal* journal)
      : options_(options),
        journal_(journal),
        registry_(std::make_shared<Registry>(journal->lane_heads())) {}

  grpc::Service* service() override { return this; }
  IngestStats stats() const override { return registry_->Snapshot(); }
  AgentControl& control() override { return *this; }

  bool IsConnected(const Uuid& agent_id) const override { return Live(agent_id) != nullptr; }
  Status AskForPackets(const Uuid& agent_id, const v1::PacketRequest& request, const TakePart& take,
                       const IsCancelled& is_cancelled) override {
    const auto session = Live(agent_id);
    if (session == nullptr) return Unavailable("the agent is not connected");
    return session->AskForPackets(request, take, is_cancelled);
  }
  void ReleasePackets(const Uuid& agent_id, const std::string& fetch_id) override {
    if (const auto session = Live(agent_id)) session->ReleasePackets(fetch_id);
  }
  Status AskForSnapshot(const Uuid& agent_id, const v1::SnapshotRequest& request,
                        const TakeSnapshotPart& take, const IsCancelled& is_cancelled) override {
    const auto session = Live(agent_id);
    if (session == nullptr) return Unavailable("the agent is not connected");
    return session->AskForSnapshot(request, take, is_cancelled);
  }
  void ReleaseSnapshot(const Uuid& agent_id, const std::string& snapshot_id) override {
    if (const auto session = Live(agent_id)) session->ReleaseSnapshot(snapshot_id);
  }

  void EndUnwelcome(const std::function<std::string(const ConnectedAgent&)>& why) override {
    const std::lock_guard lock(mutex_);
    for (const auto& session : sessions_) {
      const auto agent = session->agent();
      std::string reason = agent ? why(*agent) : "";
      if (reason.empty()) continue;
      registry_->CountRefusal("unwelcome");
      spdlog::warn("agent cut off agent={} why=\"{}\"", agent->peer.name, reason);
      session->End(MakeError(Code::kPermissionDenied, std::move(reason)),
                   std::chrono::milliseconds(0));
    }
  }
  void Drain(std::chrono::milliseconds reconnect_after) override {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    // One after the other: each handshake costs some milliseconds of CPU.
    for (const auto& session : sessions_) {
      session->End(Unavailable("the collector is shutting down"), reconnect_after);
      reconnect_after += kReconnectSpread;
    }
  }

 private:
  std::shared_ptr<IngestSession> Live(const Uuid& agent_id) const {
    const std::shared_ptr<Agent> agent = registry_->Find(agent_id);
    if (agent == nullptr) return nullptr;
    const std::lock_guard lock(agent->mutex);
    return agent->live.lock();
  }

  grpc::Status Stream(grpc::ServerContext* context, IngestSession::Stream* stream) override {
    auto session = std::make_shared<IngestSession>(options_, journal_, registry_, context, stream);
    {
      const std::lock_guard lock(mutex_);
      if (draining_) return {grpc::StatusCode::UNAVAILABLE, "the collector is shutting down"};
      sessions_.insert(session);
    }
    grpc::Status status = session->Run();
    const std::lock_guard lock(mutex_);
    sessions_.erase(session);
    return status;
  }

  const IngestOptions options_;
  Journal* journal_;
  std::shared_ptr<Registry>
      registry_;  // also held by sessions whose frames are still with the journal
  std::mutex mutex_;
  bool draining_ = false;
  std::set<std::shared_ptr<IngestSession>> sessions_;
};

}  // namespace

std::unique_ptr<Ingest> Ingest::Create(const IngestOptions& options, Journal* journal) {
  return std::make_unique<IngestImpl>(options, journal);
}

}  // namespace culprit
