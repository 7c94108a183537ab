// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/tls_server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "collector/ingest/tls_guard.h"
#include "collector/ingest/tls_identity.h"
#include "common/net_address.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr int kSecond = 1000;

class GrpcTlsServer final : public TlsServer {
 public:
  GrpcTlsServer(std::unique_ptr<TlsIdentity> identity, std::unique_ptr<grpc::Server> server,
                int port, bool has_log)
      : identity_(std::move(identity)),
        server_(std::move(server)),
        port_(port),
        has_log_(has_log) {}
  ~GrpcTlsServer() override { Stop(std::chrono::milliseconds(0)); }

  int port() const override { return port_; }
  Status SetCredentials(const Credentials& credentials) override {
    return identity_->Set(credentials);
  }
  void Stop(std::chrono::milliseconds drain) override {
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now() + drain);
    server_->Wait();
    server_.reset();
    if (has_log_) SetLogGuard(nullptr);
  }

 private:
  std::unique_ptr<TlsIdentity> identity_;
  std::unique_ptr<grpc::Server> server_;
  int port_;
  bool has_log_;
};

// gRPC says only that it could not listen: ask the system why, with a socket of our own.
Error WhyNotListening(const Endpoint& endpoint, const std::string& listen) {
  const bool v4 = endpoint.address.IsV4();
  const UniqueFd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("can not listen on " + listen);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int rc = 0;
  if (v4) {
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_port = htons(endpoint.port);
    std::copy(endpoint.address.bytes().end() - 4, endpoint.address.bytes().end(),
              reinterpret_cast<std::uint8_t*>(&sa.sin_addr));
    rc = bind(fd.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof sa);
  } else {
    sockaddr_in6 sa{};
    sa.sin6_family = AF_INET6;
    sa.sin6_port = htons(endpoint.port);
    std::copy(endpoint.address.bytes().begin(), endpoint.address.bytes().end(),
              sa.sin6_addr.s6_addr);
    rc = bind(fd.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof sa);
  }
  // Two sockets may be bound with SO_REUSEADDR; only one of them may listen.
  if (rc == 0) rc = ::listen(fd.get(), 1);
  const int err = rc == 0 ? 0 : errno;
  switch (err) {
    case EADDRINUSE:
      return MakeError(Code::kAlreadyExists,
                       listen +
                           " is in use by another program: stop it (see `ss -ltnp`), or choose "
                           "another port");
    case EACCES:
      return MakeError(Code::kPermissionDenied,
                       listen + ": ports below 1024 need root or CAP_NET_BIND_SERVICE");
    case EADDRNOTAVAIL:
      return InvalidArgument(listen + ": this machine has no such address");
    default:
      return Unavailable("can not listen on " + listen);
  }
}

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const TlsServerOptions& options,
                                                       const TlsIdentity& identity) {
  const bool required = options.client_certificate == ClientCertificate::kRequired;
  if (required && options.guard != nullptr) return GuardedTls(identity, options.guard);
  grpc::experimental::TlsServerCredentialsOptions tls(identity.provider());
  tls.watch_identity_key_cert_pairs();
  if (required) tls.watch_root_certs();
  tls.set_cert_request_type(required ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                     : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(tls);  // gRPC's own minimum is TLS 1.2
}

void SetLimits(const TlsServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_message_bytes);
  grpc::ResourceQuota quota("collector");
  quota.Resize(options.max_memory_bytes);
  quota.SetMaxThreads(options.max_threads);
  builder->SetResourceQuota(quota);
  // Else a second collector could share the port and take half of the agents in silence.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Notices a peer that vanished, and lets agents ping as often as they do (20 s) without being
  // sent away.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30 * kSecond);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * kSecond);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10 * kSecond);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Without a bound, probing may give each of thousands of streams a window of 4 MiB.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 20);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 16);
}

}  // namespace

Result<std::unique_ptr<TlsServer>> StartTlsServer(const TlsServerOptions& options,
                                                  const Credentials& credentials,
                                                  const std::vector<grpc::Service*>& services) {
  const auto endpoint = Endpoint::Parse(options.listen);
  const bool has_port =
      options.listen.find(endpoint && endpoint->address.IsV4() ? ":" : "]:") != std::string::npos;
  if (!endpoint || !has_port) {
    return InvalidArgument("listen address \"" + options.listen +
                           "\" is not ADDRESS:PORT (for instance 0.0.0.0:7443 or [::]:7443)");
  }
  const bool required = options.client_certificate == ClientCertificate::kRequired;
  TRY(auto identity, TlsIdentity::Make(credentials, !required));
  if (required) SetLogGuard(options.guard);
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  int port = 0;
  builder.AddListeningPort(endpoint->ToString(), CredentialsOf(options, *identity), &port);
  if (required && options.guard != nullptr) AddAudit(options.guard, &builder);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || port == 0) return WhyNotListening(*endpoint, options.listen);
  return std::make_unique<GrpcTlsServer>(std::move(identity), std::move(server), port, required);
}

}  // namespace culprit
