// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/enrol_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <chrono>

#include "common/hex.h"
#include "common/openssl_ptr.h"
#include "culprit/v1/enrol.grpc.pb.h"

namespace culprit {
namespace {

namespace link = internal::v1;

constexpr std::chrono::seconds kCallTimeout{30};
constexpr int kMaxAnswerBytes = 65'536;
constexpr std::array<unsigned char, 3> kAlpnH2{2, 'h', '2'};

std::string PemOf(X509* certificate) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  return std::string(ContentOf(bio.get()));
}

std::string Fingerprint(const X509* certificate) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

Error OtherCa(const std::string& wanted, const std::string& seen) {
  return MakeError(Code::kPermissionDenied,
                   "the collector is not the one that was named: no certificate of its chain has "
                   "the SHA-256 " +
                       HexEncode(wanted) + (seen.empty() ? "" : " (its CA has " + seen + ")") +
                       "; nothing was sent. Compare with `install.sh collector` there");
}

}  // namespace

Result<std::string> FindCa(const DialTarget& target, const std::string& ca_sha256) {
  TRY(const UniqueFd fd, DialTcp(target.address));
  const OpensslPtr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
  const OpensslPtr<SSL> ssl(context ? SSL_new(context.get()) : nullptr);
  if (!ssl) return Internal("OpenSSL could not make a client");
  SSL_set_min_proto_version(ssl.get(), TLS1_2_VERSION);
  // The chain is only looked through here; who is trusted is decided by the fingerprint below.
  SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, nullptr);
  SSL_set_alpn_protos(ssl.get(), kAlpnH2.data(), kAlpnH2.size());
  SSL_set_fd(ssl.get(), fd.get());
  ERR_clear_error();
  if (SSL_connect(ssl.get()) != 1) {
    ERR_clear_error();
    return Unavailable("what listens at " + target.address +
                       " does not speak TLS as hosts that enrol do: is it the port of "
                       "enrol.listen?");
  }
  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl.get());
  std::string last;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    const std::string fingerprint = Fingerprint(certificate);
    if (fingerprint == ca_sha256 && X509_check_ca(certificate) != 0) return PemOf(certificate);
    last = HexEncode(fingerprint);
  }
  return OtherCa(ca_sha256, last);
}

Result<v1::EnrolResponse> AskToEnrol(const DialTarget& target, const std::string& ca_pem,
                                     const v1::EnrolRequest& request) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ca_pem;
  grpc::ChannelArguments args;
  if (!target.server_name.empty()) args.SetSslTargetNameOverride(target.server_name);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  const auto channel = grpc::CreateCustomChannel(target.address, grpc::SslCredentials(tls), args);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  v1::EnrolResponse response;
  const grpc::Status status =
      v1::Enrolment::NewStub(channel)->Enrol(&context, request, &response);
  if (status.ok()) return response;
  const bool unreachable = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                           status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  std::string why = unreachable ? DiagnoseServer(target, ca_pem) : "";
  if (why.empty()) why = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    why = "hosts do not enrol at " + target.address + ": is it the port of enrol.listen?";
  }
  return MakeError(static_cast<Code>(status.error_code()), why);
}

link::EnrolResult RunEnrolTask(const link::EnrolTask& task) {
  const DialTarget target{task.address(), task.server_name()};
  link::EnrolResult result;
  const auto fail = [&result](const Error& error) {
    result.set_code(static_cast<std::uint32_t>(error.code));
    result.set_error(error.message.substr(0, 1024));
    return result;
  };
  std::string ca = task.ca();
  if (ca.empty()) {
    auto found = FindCa(target, task.ca_sha256());
    if (!found) return fail(found.error());
    ca = std::move(*found);
  }
  auto response = AskToEnrol(target, ca, task.request());
  if (!response) return fail(response.error());
  response->set_ca(ca);  // the one that the connection was verified with
  *result.mutable_response() = std::move(*response);
  return result;
}

}  // namespace culprit
