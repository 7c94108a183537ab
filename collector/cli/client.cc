// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/client.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "common/crc32c.h"
#include "common/text.h"
#include "culprit/v1/alerts.grpc.pb.h"
#include "culprit/v1/audit.grpc.pb.h"
#include "culprit/v1/findings.grpc.pb.h"
#include "culprit/v1/query.grpc.pb.h"
#include "culprit/v1/query_login.grpc.pb.h"
#include "culprit/v1/query_posture.grpc.pb.h"
#include "culprit/v1/report.grpc.pb.h"
#include "culprit/v1/snapshot.grpc.pb.h"

namespace culprit::cli {
namespace {

constexpr int kKeepaliveMs = 20'000;  // of calls that may be silent for long

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

class GrpcClient : public Client {
 public:
  GrpcClient(ClientOptions options, const Credentials& credentials) : options_(std::move(options)) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = credentials.ca_pem;
    ssl.pem_cert_chain = credentials.certificate_pem;
    ssl.pem_private_key = credentials.key_pem;
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 << 20);
    // A collector's address is dialled as it was given, whatever http_proxy says.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    const auto channel = grpc::CreateCustomChannel("dns:///" + options_.collector,
                                                   grpc::SslCredentials(ssl), arguments);
    stub_ = v1::Query::NewStub(channel);
    findings_ = v1::Findings::NewStub(channel);
    alerts_ = v1::Alerts::NewStub(channel);
    logins_ = v1::LoginQuery::NewStub(channel);
    posture_ = v1::PostureQuery::NewStub(channel);
    custody_ = v1::Custody::NewStub(channel);
    audit_ = v1::Audit::NewStub(channel);
    snapshots_ = v1::Snapshots::NewStub(channel);
  }

  Result<v1::ListHostsResponse> ListHosts(const v1::ListHostsRequest& request) override {
    return Call<v1::ListHostsResponse>(request, &v1::Query::Stub::ListHosts);
  }
  Result<v1::ListFlowsResponse> ListFlows(const v1::ListFlowsRequest& request) override {
    return Call<v1::ListFlowsResponse>(request, &v1::Query::Stub::ListFlows);
  }
  Result<v1::ListDnsResponse> ListDns(const v1::ListDnsRequest& request) override {
    return Call<v1::ListDnsResponse>(request, &v1::Query::Stub::ListDns);
  }
  Result<v1::GetProcessResponse> GetProcess(const v1::GetProcessRequest& request) override {
    return Call<v1::GetProcessResponse>(request, &v1::Query::Stub::GetProcess);
  }
  Result<v1::TopResponse> Top(const v1::TopRequest& request) override {
    return Call<v1::TopResponse>(request, &v1::Query::Stub::Top);
  }
  Result<v1::GetStatusResponse> GetStatus() override {
    return Call<v1::GetStatusResponse>(v1::GetStatusRequest(), &v1::Query::Stub::GetStatus);
  }
  Result<v1::WhereResponse> Where(const v1::WhereRequest& request) override {
    return Call<v1::WhereResponse>(request, &v1::Query::Stub::Where);
  }

  Result<v1::EvidenceHead> GetEvidenceHead(const std::string& agent_id) override {
    v1::GetEvidenceHeadRequest request;
    request.set_agent_id(agent_id);
    return Call<v1::EvidenceHead>(request, &v1::Custody::Stub::GetEvidenceHead, custody_.get());
  }
  Result<v1::GetPostureResponse> GetPosture(const v1::GetPostureRequest& request) override {
    return Call<v1::GetPostureResponse>(request, &v1::PostureQuery::Stub::GetPosture,
                                        posture_.get());
  }
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request) override {
    return Call<v1::ListKeysResponse>(request, &v1::PostureQuery::Stub::ListKeys, posture_.get());
  }

  Result<v1::ListFindingsResponse> ListFindings(const v1::ListFindingsRequest& request) override {
    return Call<v1::ListFindingsResponse>(request, &v1::Findings::Stub::ListFindings,
                                          findings_.get());
  }
  Result<v1::Finding> SetFindingState(const v1::SetFindingStateRequest& request) override {
    return Call<v1::Finding>(request, &v1::Findings::Stub::SetFindingState, findings_.get());
  }

  Result<v1::ListAlertTargetsResponse> ListAlertTargets() override {
    return Call<v1::ListAlertTargetsResponse>(
        v1::ListAlertTargetsRequest(), &v1::Alerts::Stub::ListAlertTargets, alerts_.get());
  }
  Result<v1::TestAlertsResponse> TestAlerts(const v1::TestAlertsRequest& request) override {
    return Call<v1::TestAlertsResponse>(request, &v1::Alerts::Stub::TestAlerts, alerts_.get());
  }

  Result<v1::ListLoginsResponse> ListLogins(const v1::ListLoginsRequest& request) override {
    return Call<v1::ListLoginsResponse>(request, &v1::LoginQuery::Stub::ListLogins, logins_.get());
  }
  Result<v1::GetSessionResponse> GetSession(const v1::GetSessionRequest& request) override {
    return Call<v1::GetSessionResponse>(request, &v1::LoginQuery::Stub::GetSession, logins_.get());
  }

  Result<v1::ListAuditResponse> ListAudit(const v1::ListAuditRequest& request) override {
    return Call<v1::ListAuditResponse>(request, &v1::Audit::Stub::ListAudit, audit_.get());
  }

  Status FollowFlows(const v1::ListFlowsRequest& request,
                     const std::function<bool(const v1::FlowRow&)>& visit) override {
    return Follow<v1::FlowRow>(
        [&](grpc::ClientContext* context) { return stub_->FollowFlows(context, request); }, visit);
  }
  Status FollowFindings(const v1::ListFindingsRequest& request,
                        const std::function<bool(const v1::Finding&)>& visit) override {
    return Follow<v1::Finding>(
        [&](grpc::ClientContext* context) { return findings_->FollowFindings(context, request); },
        visit);
  }

  Status FetchPackets(
      const v1::FetchPacketsRequest& request,
      const std::function<Status(const v1::FetchPacketsResponse&)>& visit) override {
    grpc::ClientContext context;
    if (!Enter(&context)) return MakeError(Code::kCancelled, "interrupted");
    const auto reader = stub_->FetchPackets(&context, request);
    v1::FetchPacketsResponse message;
    Status visited = Ok();
    while (visited && reader->Read(&message)) visited = visit(message);
    if (!visited) context.TryCancel();
    const grpc::Status status = reader->Finish();
    Leave();
    if (cancelled()) return MakeError(Code::kCancelled, "interrupted");
    if (!visited) return visited;
    return status.ok() ? Ok() : Status(Explain(status));
  }

  Result<v1::Snapshot> TakeSnapshot(const v1::TakeSnapshotRequest& request) override {
    return Call<v1::Snapshot>(request, &v1::Snapshots::Stub::TakeSnapshot, snapshots_.get());
  }
  Result<v1::Snapshot> GetSnapshot(const std::string& id) override {
    return Call<v1::Snapshot>(NameOf(id), &v1::Snapshots::Stub::GetSnapshot, snapshots_.get());
  }
  Result<v1::Snapshot> RemoveSnapshot(const std::string& id) override {
    return Call<v1::Snapshot>(NameOf(id), &v1::Snapshots::Stub::RemoveSnapshot, snapshots_.get());
  }
  Result<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) override {
    return Call<v1::ListSnapshotsResponse>(request, &v1::Snapshots::Stub::ListSnapshots,
                                           snapshots_.get());
  }

  Status WatchSnapshot(const std::string& id,
                       const std::function<bool(const v1::Snapshot&)>& visit) override {
    grpc::ClientContext context;
    if (!Enter(&context)) return MakeError(Code::kCancelled, "interrupted");
    const auto reader = snapshots_->WatchSnapshot(&context, NameOf(id));
    v1::Snapshot snapshot;
    bool wanted = true;
    while (wanted && reader->Read(&snapshot)) wanted = visit(snapshot);
    if (!wanted) context.TryCancel();
    const grpc::Status status = reader->Finish();
    Leave();
    if (cancelled()) return MakeError(Code::kCancelled, "interrupted");
    return !wanted || status.ok() ? Ok() : Status(Explain(status));
  }

  std::unique_ptr<SnapshotStream> ReadSnapshot(const std::string& id) override {
    return std::make_unique<Stream>(this, id);
  }

  void Cancel() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_ = true;
    if (current_ != nullptr) current_->TryCancel();
  }

 private:
  class Stream final : public SnapshotStream {
   public:
    Stream(GrpcClient* client, const std::string& id) : client_(client) {
      v1::ReadSnapshotRequest request;
      request.set_id(id);
      if (client_->Enter(&context_))
        reader_ = client_->snapshots_->ReadSnapshot(&context_, request);
    }
    ~Stream() override {
      if (reader_ == nullptr) return;
      context_.TryCancel();
      if (!ended_) static_cast<void>(reader_->Finish());
      client_->Leave();
    }

    Result<std::size_t> Read(std::span<char> buffer) override {
      if (reader_ == nullptr) return MakeError(Code::kCancelled, "interrupted");
      while (position_ == chunk_.data().size()) {
        if (ended_) return std::size_t{0};
        if (!reader_->Read(&chunk_)) {
          ended_ = true;
          chunk_.Clear();
          position_ = 0;
          const grpc::Status status = reader_->Finish();
          if (client_->cancelled()) return MakeError(Code::kCancelled, "interrupted");
          if (!status.ok()) return client_->Explain(status);
          continue;
        }
        position_ = 0;
        if (chunk_.offset() != offset_ || Crc32c(chunk_.data()) != chunk_.crc32c())
          return DataLoss("what came of the bundle is damaged: try again");
        offset_ += chunk_.data().size();
      }
      const std::size_t size = std::min(buffer.size(), chunk_.data().size() - position_);
      std::memcpy(buffer.data(), chunk_.data().data() + position_, size);
      position_ += size;
      return size;
    }

   private:
    GrpcClient* client_;
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<v1::SnapshotChunk>> reader_;
    v1::SnapshotChunk chunk_;
    std::size_t position_ = 0;
    std::uint64_t offset_ = 0;
    bool ended_ = false;
  };

  static v1::SnapshotName NameOf(const std::string& id) {
    v1::SnapshotName name;
    name.set_id(id);
    return name;
  }

  bool Enter(grpc::ClientContext* context) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (cancelled_) return false;
    current_ = context;
    return true;
  }
  void Leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    current_ = nullptr;
  }
  bool cancelled() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cancelled_;
  }

  template <class Row, class Open>
  Status Follow(const Open& open, const std::function<bool(const Row&)>& visit) {
    grpc::ClientContext context;
    if (!Enter(&context)) return Ok();
    const auto reader = open(&context);
    Row row;
    bool wanted = true;
    while (wanted && reader->Read(&row)) wanted = visit(row);
    if (!wanted) context.TryCancel();
    const grpc::Status status = reader->Finish();
    Leave();
    if (!wanted || cancelled()) return Ok();
    if (status.ok())
      return Unavailable("the collector ended the stream; run the command again to go on");
    return Explain(status);
  }

  template <class Response, class Request, class Method>
  Result<Response> Call(const Request& request, Method method) {
    return Call<Response>(request, method, stub_.get());
  }
  template <class Response, class Request, class Method, class Stub>
  Result<Response> Call(const Request& request, Method method, Stub* stub) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + options_.timeout);
    if (!Enter(&context)) return MakeError(Code::kCancelled, "interrupted");
    Response response;
    const grpc::Status status = (stub->*method)(&context, request, &response);
    Leave();
    if (cancelled()) return MakeError(Code::kCancelled, "interrupted");
    if (!status.ok()) return Explain(status);
    return response;
  }

  // Turns gRPC's words into what happened and what to do about it.
  Error Explain(const grpc::Status& status) const {
    const std::string said = EscapeText(status.error_message());
    const std::string& at = options_.collector;
    switch (status.error_code()) {
      case grpc::StatusCode::UNAVAILABLE:
        return ExplainUnavailable(said);
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return {Code::kUnavailable, fmt::format("no answer from {} within {} s: is the address "
                                                "right, does a firewall or security group "
                                                "let this machine in, is the collector overloaded "
                                                "(`culprit status`)? --timeout waits longer",
                                                at, options_.timeout.count() / 1000)};
      case grpc::StatusCode::UNAUTHENTICATED:
      case grpc::StatusCode::PERMISSION_DENIED:
        return {
            Code::kPermissionDenied,
            fmt::format(
                "{} refused {}: {}; queries need an operator's certificate: on the collector run "
                "`culprit-collector issue operator NAME --role ROLE`",
                at, options_.credentials.certificate, said)};
      case grpc::StatusCode::UNIMPLEMENTED:
        return {Code::kUnimplemented,
                fmt::format("the collector at {} does not know this request: its version is "
                            "older than this command's",
                            at)};
      default:
        return {static_cast<Code>(status.error_code()), said};
    }
  }

  Error ExplainUnavailable(const std::string& said) const {
    const std::string& at = options_.collector;
    if (Contains(said, "CERTIFICATE_VERIFY_FAILED") ||
        Contains(said, "certificate verify failed")) {
      return {Code::kUnauthenticated,
              fmt::format("the certificate of {} is not one that the CA in {} vouches for: the "
                          "credentials belong to "
                          "another collector, or its certificate has expired (`culprit-collector "
                          "check-config` there)",
                          at, options_.credentials.ca)};
    }
    if (Contains(said, "Peer name") || Contains(said, "Hostname Verification")) {
      return {
          Code::kUnauthenticated,
          fmt::format("the certificate of {} is for other names: dial one of those, or add this "
                      "one to server_names "
                      "in collector.toml and make a new certificate with `culprit-collector init`",
                      at)};
    }
    if (Contains(said, "onnection refused")) {
      return Unavailable(
          fmt::format("nothing listens at {}: is the collector running (`systemctl status "
                      "culprit-collector`), and is --collector right?",
                      at));
    }
    if (Contains(said, "DNS resolution") || Contains(said, "Domain name")) {
      return Unavailable(
          fmt::format("the name in \"{}\" cannot be resolved: check --collector or the DNS", at));
    }
    if (Contains(said, "handshake") || Contains(said, "Handshake") ||
        Contains(said, "ocket closed") || Contains(said, "reset by peer")) {
      return {Code::kUnauthenticated, fmt::format("{} ended the TLS handshake: it does not accept "
                                                  "{} (another CA, or expired?), or it is not a "
                                                  "collector ({})",
                                                  at, options_.credentials.certificate, said)};
    }
    return Unavailable(fmt::format("cannot reach the collector at {}: {}", at, said));
  }

  const ClientOptions options_;
  std::unique_ptr<v1::Query::Stub> stub_;
  std::unique_ptr<v1::Findings::Stub> findings_;
  std::unique_ptr<v1::Alerts::Stub> alerts_;
  std::unique_ptr<v1::LoginQuery::Stub> logins_;
  std::unique_ptr<v1::PostureQuery::Stub> posture_;
  std::unique_ptr<v1::Custody::Stub> custody_;
  std::unique_ptr<v1::Audit::Stub> audit_;
  std::unique_ptr<v1::Snapshots::Stub> snapshots_;
  std::mutex mutex_;
  grpc::ClientContext* current_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace

Result<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  // Failed handshakes are reported by Explain(); gRPC's own lines on stderr would only say them
  // again.
  gpr_set_log_function([](gpr_log_func_args*) {});
  TRY(const Credentials credentials, CheckCredentials(options.credentials, ReadWallClock()));
  return std::unique_ptr<Client>(std::make_unique<GrpcClient>(options, credentials));
}

}  // namespace culprit::cli
