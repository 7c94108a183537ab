// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/syslog_tls.h"

#include <openssl/err.h>
#include <poll.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "common/net_address.h"
#include "common/openssl_ptr.h"

namespace culprit {
namespace {

using Context = OpensslPtr<SSL_CTX>;
using Session = OpensslPtr<SSL>;

// The newest of what OpenSSL remembers, which is then forgotten.
Error TlsError(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Unavailable(reason == nullptr ? what : what + ": " + reason);
}

int NoPassPhrase(char*, int, int, void*) { return 0; }

Status CheckKeyMode(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoError(path);
  if ((st.st_mode & S_IRWXO) != 0)
    return FailedPrecondition(
        fmt::format("{}: everybody may read or write it: chmod 0640 {}", path, path));
  return Ok();
}

Status UseOwnCertificate(SSL_CTX* context, const TlsPeer& peer) {
  TRY_VOID(CheckKeyMode(peer.key_file));
  if (SSL_CTX_use_certificate_chain_file(context, peer.certificate_file.c_str()) != 1)
    return TlsError(peer.certificate_file + ": no certificate in PEM form");
  if (SSL_CTX_use_PrivateKey_file(context, peer.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return TlsError(peer.key_file + ": not the key of " + peer.certificate_file +
                    " in PEM form without a pass phrase");
  return Ok();
}

Result<Context> MakeContext(const TlsPeer& peer) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return TlsError("TLS");
  SSL_CTX_set_default_passwd_cb(context.get(), NoPassPhrase);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const int trusted = peer.ca_file.empty()
                          ? SSL_CTX_set_default_verify_paths(context.get())
                          : SSL_CTX_load_verify_file(context.get(), peer.ca_file.c_str());
  if (trusted != 1)
    return TlsError((peer.ca_file.empty() ? "the system's authorities" : peer.ca_file) +
                    ": no certificates in PEM form");
  if (!peer.certificate_file.empty()) TRY_VOID(UseOwnCertificate(context.get(), peer));
  return context;
}

// Over memory, so that the socket keeps its time-out and its signals.
class TlsStream {
 public:
  TlsStream(int fd, const SendLimit& limit) : fd_(fd), limit_(limit) {}

  Status Begin(SSL_CTX* context, const std::string& host);
  Status Write(std::string_view bytes);
  Status End();

 private:
  Status Flush();
  // True: something came; false: the other side has ended its side. Error: neither in time.
  Result<bool> Fill();
  Status HandshakeError();

  const int fd_;
  const SendLimit& limit_;
  Session session_;
  BIO* from_peer_ = nullptr;  // both belong to the session
  BIO* to_peer_ = nullptr;
};

Status TlsStream::Begin(SSL_CTX* context, const std::string& host) {
  session_.reset(SSL_new(context));
  if (session_ == nullptr) return TlsError("TLS");
  from_peer_ = BIO_new(BIO_s_mem());
  to_peer_ = BIO_new(BIO_s_mem());
  SSL_set_bio(session_.get(), from_peer_, to_peer_);
  if (const auto address = IpAddress::Parse(host)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session_.get()), host.c_str()) != 1)
      return TlsError(host);
  } else if (SSL_set1_host(session_.get(), host.c_str()) != 1 ||
             SSL_ctrl(session_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                      const_cast<char*>(host.c_str())) != 1) {
    return TlsError(host);
  }
  SSL_set_connect_state(session_.get());
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(session_.get());
    const bool wants = SSL_get_error(session_.get(), done) == SSL_ERROR_WANT_READ;
    Status failed = done == 1 || wants ? Ok() : HandshakeError();
    const Status flushed = Flush();  // of an alert, too
    if (!failed) return failed;
    TRY_VOID(flushed);
    if (done == 1) return Ok();
    TRY(const bool more, Fill());
    if (!more) return Unavailable("TLS: the receiver ended the connection within the handshake");
  }
}

Status TlsStream::HandshakeError() {
  const long verdict = SSL_get_verify_result(session_.get());
  if (verdict == X509_V_OK) return TlsError("TLS handshake");
  ERR_clear_error();
  return Unavailable(fmt::format("the receiver's certificate is refused: {}",
                                 X509_verify_cert_error_string(verdict)));
}

Status TlsStream::Flush() {
  std::array<char, 16'384> bytes{};
  while (BIO_pending(to_peer_) > 0) {
    const int n = BIO_read(to_peer_, bytes.data(), static_cast<int>(bytes.size()));
    if (n <= 0) return TlsError("TLS");
    TRY_VOID(SendAll(fd_, {bytes.data(), static_cast<std::size_t>(n)}, limit_));
  }
  return Ok();
}

Result<bool> TlsStream::Fill() {
  std::array<char, 16'384> bytes{};
  while (WaitFor(fd_, POLLIN, limit_) != 0) {
    const ssize_t n = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n == 0) return false;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return ErrnoError("the receiver ended it");
    if (n < 0) continue;
    if (BIO_write(from_peer_, bytes.data(), static_cast<int>(n)) != n) return TlsError("TLS");
    return true;
  }
  return MakeError(Code::kDeadlineExceeded, "the receiver does not answer");
}

Status TlsStream::Write(std::string_view bytes) {
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &written) != 1 ||
      written != bytes.size()) {
    return TlsError("TLS write");
  }
  return Flush();
}

Status TlsStream::End() {
  ERR_clear_error();
  if (SSL_shutdown(session_.get()) < 0) return TlsError("TLS end");
  TRY_VOID(Flush());
  std::array<char, 256> ignored{};
  while (true) {
    ERR_clear_error();
    const int n = SSL_read(session_.get(), ignored.data(), static_cast<int>(ignored.size()));
    if (n > 0) continue;
    const int why = SSL_get_error(session_.get(), n);
    if (why == SSL_ERROR_ZERO_RETURN) return Ok();
    if (why != SSL_ERROR_WANT_READ) return TlsError("the receiver refuses");
    const auto more = Fill();
    if (!more && more.error().code == Code::kDeadlineExceeded)
      return CheckAcknowledged(fd_, limit_);
    if (!more) return more.error();
    // Some close without TLS's own word for it (rsyslog with GnuTLS). Who had not read all would
    // have reset the connection.
    if (!*more) return CheckAcknowledged(fd_, limit_);
  }
}

}  // namespace

Status CheckTlsFiles(const TlsPeer& peer) {
  TRY_VOID(MakeContext(peer));
  return Ok();
}

Status SendOverTls(int fd, const TlsPeer& peer, std::string_view bytes, const SendLimit& limit) {
  TRY(const Context context, MakeContext(peer));
  TlsStream stream(fd, limit);
  TRY_VOID(stream.Begin(context.get(), peer.host));
  TRY_VOID(stream.Write(bytes));
  return stream.End();
}

}  // namespace culprit
