// SPDX-License-Identifier: Apache-2.0
#include "collector/query/audit_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "collector/audit/audit_log.h"
#include "collector/query/answer_call.h"
#include "culprit/v1/audit.grpc.pb.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;

bool Matches(const AuditEntry& entry, const v1::ListAuditRequest& request) {
  return (request.actor().empty() || entry.event.actor == request.actor()) &&
         entry.event.action.find(request.action()) != std::string::npos &&
         (request.result().empty() || entry.event.result == request.result()) &&
         ToNs(entry.time) >= request.since_ns();
}

void Render(const AuditEntry& entry, v1::AuditEntry* out) {
  out->set_seq(entry.seq);
  out->set_time_ns(ToNs(entry.time));
  out->set_actor(entry.event.actor);
  out->set_role(entry.event.role);
  out->set_peer(entry.event.peer);
  out->set_action(entry.event.action);
  out->set_result(entry.event.result);
  out->set_detail(entry.event.detail);
  out->set_hash(entry.hash);
}

Result<v1::ListAuditResponse> List(const std::string& directory,
                                   const v1::ListAuditRequest& request) {
  const std::size_t limit =
      request.limit() == 0 ? kDefaultLimit : std::min(request.limit(), kMaxLimit);
  std::deque<AuditEntry> newest;
  TRY(const AuditReport report, ReadAudit(directory, [&](const AuditEntry& entry) {
        if (!Matches(entry, request)) return;
        newest.push_back(entry);
        if (newest.size() > limit) newest.pop_front();
      }));
  v1::ListAuditResponse response;
  for (const AuditEntry& entry : newest) Render(entry, response.add_entries());
  response.set_total(report.entries);
  response.set_last_seq(report.last_seq);
  response.set_last_hash(report.last_hash);
  for (const std::string& place : report.damage) response.add_damage(place);
  return response;
}

class AuditService final : public v1::Audit::Service {
 public:
  explicit AuditService(std::string directory) : directory_(std::move(directory)) {}

  grpc::Status ListAudit(grpc::ServerContext* context, const v1::ListAuditRequest* request,
                         v1::ListAuditResponse* response) override {
    return AnswerCall(*context, response, [&] { return List(directory_, *request); });
  }

 private:
  const std::string directory_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAuditService(std::string directory) {
  return std::make_unique<AuditService>(std::move(directory));
}

}  // namespace culprit
