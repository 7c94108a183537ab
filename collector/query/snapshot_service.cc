// SPDX-License-Identifier: Apache-2.0
#include "collector/query/snapshot_service.h"

#include <algorithm>

#include "collector/query/answer_call.h"
#include "collector/query/filter.h"
#include "collector/query/render.h"
#include "common/crc32c.h"
#include "culprit/v1/snapshot.grpc.pb.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;
constexpr auto kPoll = std::chrono::milliseconds(200);
constexpr auto kTellAgain = std::chrono::seconds(1);

class SnapshotService final : public v1::Snapshots::Service {
 public:
  SnapshotService(const EvidenceStore& store, Snapshots& snapshots)
      : store_(store), snapshots_(snapshots) {}

  grpc::Status TakeSnapshot(grpc::ServerContext* context, const v1::TakeSnapshotRequest* request,
                            v1::Snapshot* response) override {
    return AnswerCall(*context, response, [&]() -> Result<v1::Snapshot> {
      TRY(const HostRecord host, FindHost(request->host()));
      SnapshotWish wish;
      wish.agent_id = host.agent_id;
      wish.host = HostLabel(&host);
      wish.last_tier = request->last_tier();
      wish.case_id = request->case_id();
      wish.trigger = "operator";
      TRY(const PeerIdentity peer, RequirePeer(*context, PeerRole::kOperator));
      wish.operator_name = peer.name;
      return snapshots_.Take(wish);
    });
  }

  grpc::Status GetSnapshot(grpc::ServerContext* context, const v1::SnapshotName* request,
                           v1::Snapshot* response) override {
    return AnswerCall(*context, response, [&] { return snapshots_.Get(request->id()); });
  }

  grpc::Status WatchSnapshot(grpc::ServerContext* context, const v1::SnapshotName* request,
                             grpc::ServerWriter<v1::Snapshot>* writer) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    std::string told;
    auto told_at = std::chrono::steady_clock::now();
    for (std::uint64_t seen = 0; !context->IsCancelled();) {
      seen = snapshots_.WaitChange(seen, kPoll);
      const auto snapshot = snapshots_.Get(request->id());
      if (!snapshot) return ToGrpcStatus(snapshot.error());
      std::string now = snapshot->SerializeAsString();
      const auto at = std::chrono::steady_clock::now();
      if (now == told && at - told_at < kTellAgain) continue;
      told = std::move(now);
      told_at = at;
      if (!writer->Write(*snapshot) || IsFinal(snapshot->state())) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status ListSnapshots(grpc::ServerContext* context, const v1::ListSnapshotsRequest* request,
                             v1::ListSnapshotsResponse* response) override {
    return AnswerCall(*context, response, [&]() -> Result<v1::ListSnapshotsResponse> {
      std::optional<Uuid> agent;
      if (!request->host().empty()) {
        TRY(const HostRecord host, ResolveHost(store_, request->host()));
        agent = host.agent_id;
      }
      const std::uint32_t limit =
          request->limit() == 0 ? kDefaultLimit : std::min(request->limit(), kMaxLimit);
      v1::ListSnapshotsResponse list;
      for (v1::Snapshot& snapshot : snapshots_.List(agent, limit))
        *list.add_snapshots() = std::move(snapshot);
      return list;
    });
  }

  grpc::Status ReadSnapshot(grpc::ServerContext* context, const v1::ReadSnapshotRequest* request,
                            grpc::ServerWriter<v1::SnapshotChunk>* writer) override {
    auto peer = RequirePeer(*context, PeerRole::kOperator);
    if (!peer) return ToGrpcStatus(peer.error());
    v1::SnapshotChunk chunk;
    const Status read = snapshots_.Read(request->id(), request->offset(), peer->name,
                                        [&](std::uint64_t offset, std::string_view bytes) {
                                          chunk.set_offset(offset);
                                          chunk.set_data(std::string(bytes));
                                          chunk.set_crc32c(Crc32c(bytes));
                                          return writer->Write(chunk);
                                        });
    return read ? grpc::Status::OK : ToGrpcStatus(read.error());
  }

  grpc::Status RemoveSnapshot(grpc::ServerContext* context, const v1::SnapshotName* request,
                              v1::Snapshot* response) override {
    return AnswerCall(*context, response, [&]() -> Result<v1::Snapshot> {
      TRY(const PeerIdentity peer, RequirePeer(*context, PeerRole::kOperator));
      return snapshots_.Remove(request->id(), peer.name);
    });
  }

 private:
  Result<HostRecord> FindHost(const std::string& name) const {
    if (!name.empty()) return ResolveHost(store_, name);
    const std::vector<HostRecord> hosts = store_.Hosts();
    if (hosts.size() == 1) return hosts[0];
    if (hosts.empty()) return NotFound("no host is known here yet (`culprit hosts`)");
    return InvalidArgument("host: say of which one (`culprit hosts` lists them)");
  }

  const EvidenceStore& store_;
  Snapshots& snapshots_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSnapshotService(const EvidenceStore& store,
                                                   Snapshots& snapshots) {
  return std::make_unique<SnapshotService>(store, snapshots);
}

}  // namespace culprit
