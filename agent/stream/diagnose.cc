// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/diagnose.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "common/net_address.h"
#include "common/openssl_ptr.h"

namespace culprit {
namespace {

constexpr int kConnectTimeoutMs = 3000;
constexpr timeval kTlsTimeout{2, 0};
// gRPC's own application protocol: a server of gRPC refuses a client without it.
constexpr std::array<unsigned char, 3> kAlpnH2{2, 'h', '2'};

// errno of the attempt; 0 = connected.
int ConnectOne(const addrinfo& a, UniqueFd* out) {
  UniqueFd fd(socket(a.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  if (connect(fd.get(), a.ai_addr, a.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    pollfd p{fd.get(), POLLOUT, 0};
    if (poll(&p, 1, kConnectTimeoutMs) <= 0) return ETIMEDOUT;
    int err = 0;
    socklen_t size = sizeof err;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
    if (err != 0) return err;
  }
  fcntl(fd.get(), F_SETFL, 0);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kTlsTimeout, sizeof kTlsTimeout);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kTlsTimeout, sizeof kTlsTimeout);
  *out = std::move(fd);
  return 0;
}

std::string ExplainErrno(const std::string& address, int err) {
  switch (err) {
    case ECONNREFUSED:
      return address + " refused the connection: is culprit-collector running and listening there?";
    case ETIMEDOUT:
      return address + " does not answer: check the address, security groups and firewalls";
    case ENETUNREACH:
    case EHOSTUNREACH:
      return "no route to " + address;
    default:
      return "can not connect to " + address + ": " + ErrnoError("connect", err).message;
  }
}

std::string ExplainVerify(long verify, const std::string& name) {
  switch (verify) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the collector's certificate is not valid yet: check this machine's clock";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the collector's certificate has expired (or this machine's clock is ahead): issue a "
             "new one";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the collector's certificate is not for \"" + name +
             "\": set the server name, or add the name with `culprit-collector init --name`";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "the collector's certificate is of another CA: this agent's ca.pem is not the "
             "collector's";
    default:
      return std::string("the collector's certificate: ") + X509_verify_cert_error_string(verify);
  }
}

// What the other side said about us before it hung up.
std::string ExplainAlert(unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "the collector says that this agent's certificate has expired or is not valid yet: "
             "check both clocks, or issue a new one";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return "the collector does not accept this agent's certificate: it is of another CA";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return "what listens there does not speak TLS";
    default: {
      std::array<char, 256> text{};
      ERR_error_string_n(error, text.data(), text.size());
      return std::string("TLS handshake failed: ") + text.data();
    }
  }
}

OpensslPtr<SSL_CTX> MakeContext(const Credentials& credentials) {
  OpensslPtr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return nullptr;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  const OpensslPtr<X509> ca = CertificateOfPem(credentials.ca_pem);
  if (!ca) return nullptr;
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), ca.get());
  if (!credentials.certificate_pem.empty()) {
    const OpensslPtr<X509> own = CertificateOfPem(credentials.certificate_pem);
    const OpensslPtr<EVP_PKEY> key = PrivateKeyOfPem(credentials.key_pem);
    if (!own || !key) return nullptr;
    SSL_CTX_use_certificate(context.get(), own.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(context.get(), kAlpnH2.data(), kAlpnH2.size());
  return context;
}

std::string DiagnoseTls(int fd, const std::string& name, const Credentials& credentials) {
  const OpensslPtr<SSL_CTX> context = MakeContext(credentials);
  const OpensslPtr<SSL> ssl(context ? SSL_new(context.get()) : nullptr);
  if (!ssl) return "this agent's certificate or key can not be used";
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl.get());
  if (IpAddress::Parse(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(param, name.c_str(), name.size());
    std::string sni = name;  // the macro of OpenSSL for this is an old-style cast
    SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.data());
  }
  SSL_set_fd(ssl.get(), fd);
  ERR_clear_error();
  const int rc = SSL_connect(ssl.get());
  const long verify = SSL_get_verify_result(ssl.get());
  if (rc != 1 && verify != X509_V_OK) return ExplainVerify(verify, name);
  if (rc == 1) {
    // In TLS 1.3 the server's verdict on our certificate comes after the handshake.
    char byte = 0;
    if (SSL_read(ssl.get(), &byte, 1) > 0) return {};
  }
  const unsigned long error = ERR_peek_error();
  if (error != 0) return ExplainAlert(error);
  return rc == 1 ? std::string() : "the collector hung up in the TLS handshake";
}

}  // namespace

Result<HostPort> SplitHostPort(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return InvalidArgument("\"" + address + "\" is not HOST:PORT");
  }
  HostPort out{address.substr(0, colon), address.substr(colon + 1)};
  const bool digits = std::ranges::all_of(out.port, [](char c) { return c >= '0' && c <= '9'; });
  if (out.host.front() == '[' && out.host.back() == ']') {
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (out.host.find(':') != std::string::npos) {
    return InvalidArgument("\"" + address + "\": write an IPv6 address as [ADDRESS]:PORT");
  }
  if (!digits || out.port.size() > 5 || out.host.empty()) {
    return InvalidArgument("\"" + address + "\" is not HOST:PORT");
  }
  return out;
}

Result<UniqueFd> DialTcp(const std::string& address) {
  TRY(const HostPort split, SplitHostPort(address));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int rc = getaddrinfo(split.host.c_str(), split.port.c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(raw, freeaddrinfo);
  if (rc != 0) {
    return Unavailable("the name \"" + split.host + "\" can not be resolved (" + gai_strerror(rc) +
                       "): check the collector's address and this machine's DNS");
  }
  int err = ETIMEDOUT;
  UniqueFd fd;
  int tries = 2;
  for (const addrinfo* a = addresses.get(); a != nullptr && !fd && tries > 0;
       a = a->ai_next, --tries) {
    err = ConnectOne(*a, &fd);
  }
  if (!fd) return Unavailable(ExplainErrno(address, err));
  return fd;
}

namespace {

std::string Diagnose(const DialTarget& target, const Credentials& credentials) {
  const auto fd = DialTcp(target.address);
  if (!fd) return fd.error().message;
  const auto split = SplitHostPort(target.address);
  return DiagnoseTls(fd->get(), target.server_name.empty() ? split->host : target.server_name,
                     credentials);
}

}  // namespace

std::string DiagnoseConnection(const DialTarget& target, const Credentials& credentials,
                               WallTime now) {
  if (const Status own = CheckCredentials(credentials, now); !own) {
    return "this agent's credentials: " + own.error().message;
  }
  return Diagnose(target, credentials);
}

std::string DiagnoseServer(const DialTarget& target, const std::string& ca_pem) {
  Credentials credentials;
  credentials.ca_pem = ca_pem;
  return Diagnose(target, credentials);
}

}  // namespace culprit
