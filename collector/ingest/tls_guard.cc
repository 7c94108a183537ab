// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/tls_guard.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <grpc/support/log.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_interceptor.h>

#include <mutex>
#include <string>
#include <vector>

#include "collector/pki/grpc_peer.h"
#include "common/log.h"

namespace culprit {
namespace {

using grpc::experimental::InterceptionHookPoints;

constexpr std::string_view kAgentService = "/culprit.v1.Ingest/";

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

class Verifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit Verifier(AccessGuard* guard) : guard_(*guard) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const Status checked = guard_.CheckCertificate(View(request->peer_cert()));
    *status = checked ? grpc::Status::OK : ToGrpcStatus(checked.error());
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  AccessGuard& guard_;
};

class CallCheck final : public grpc::AuthMetadataProcessor {
 public:
  explicit CallCheck(AccessGuard* guard) : guard_(*guard) {}

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) override {
    const auto pem = context->FindPropertyValues("x509_pem_cert");
    const auto path = metadata.find(":path");
    const Status checked =
        guard_.CheckCall(pem.size() == 1 ? View(pem[0]) : std::string_view(),
                         path == metadata.end() ? std::string_view() : View(path->second));
    return checked ? grpc::Status::OK : ToGrpcStatus(checked.error());
  }

 private:
  AccessGuard& guard_;
};

std::string JsonOf(const void* message) {
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(
      *static_cast<const google::protobuf::Message*>(message), &json);
  return status.ok() ? json : std::string();
}

class Auditor final : public grpc::experimental::Interceptor {
 public:
  Auditor(AccessGuard* guard, grpc::experimental::ServerRpcInfo* info)
      : guard_(*guard), info_(*info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE) &&
        methods->GetRecvMessage() != nullptr) {
      auto* context = static_cast<grpc::ServerContext*>(info_.server_context());
      const Status noted = guard_.Asked(PeerCertificate(*context), info_.method(), context->peer(),
                                        JsonOf(methods->GetRecvMessage()));
      if (!noted) context->TryCancel();
    }
    methods->Proceed();
  }

 private:
  AccessGuard& guard_;
  grpc::experimental::ServerRpcInfo& info_;
};

class AuditorFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit AuditorFactory(AccessGuard* guard) : guard_(guard) {}
  // nullptr: agents' streams pass without.
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    if (std::string_view(info->method()).starts_with(kAgentService)) return nullptr;
    return new Auditor(guard_, info);
  }

 private:
  AccessGuard* guard_;
};

// gRPC has one log for the process, and no hook of its own for handshakes that fail.
std::mutex log_mutex;
AccessGuard* log_guard = nullptr;

void OnGrpcLog(gpr_log_func_args* args) {
  static LogLimit limit{std::chrono::seconds(10)};
  if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
  {
    const std::lock_guard lock(log_mutex);
    if (log_guard != nullptr) log_guard->HandshakeFailed(args->message);
  }
  // Any port scan would fill the log.
  if (const auto n = limit.Allow(); n > 0) spdlog::warn("grpc: {} times={}", args->message, n);
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> GuardedTls(const TlsIdentity& identity,
                                                    AccessGuard* guard) {
  namespace tls = grpc::experimental;
  tls::TlsServerCredentialsOptions options(identity.provider());
  options.watch_root_certs();  // sent to the client as a hint which certificate to show
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<Verifier>(guard));
  auto out = tls::TlsServerCredentials(options);  // gRPC's own minimum is TLS 1.2
  out->SetAuthMetadataProcessor(std::make_shared<CallCheck>(guard));
  return out;
}

void AddAudit(AccessGuard* guard, grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
  creators.push_back(std::make_unique<AuditorFactory>(guard));
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

void SetLogGuard(AccessGuard* guard) {
  gpr_set_log_function(OnGrpcLog);
  const std::lock_guard lock(log_mutex);
  log_guard = guard;
}

}  // namespace culprit
