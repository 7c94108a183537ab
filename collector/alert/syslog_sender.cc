// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "collector/alert/alert_body.h"
#include "collector/alert/alert_sender.h"
#include "collector/alert/syslog_address.h"
#include "collector/alert/syslog_socket.h"
#include "collector/alert/syslog_tls.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;
using Transport = SyslogAddress::Transport;

// A datagram of this size passes every receiver that keeps to RFC 5426.
constexpr std::size_t kMaxUdp = 2048, kMaxOther = 8192;
// How long a datagram is given to come back as "port unreachable".
constexpr std::chrono::milliseconds kUdpAnswer{100};

std::string LocalHostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Status SendLocal(const std::string& path, const std::string& message, const SendLimit& limit) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return ErrnoError(path);
  return SendAll(fd.get(), message, limit);
}

Status SendUdp(const SyslogAddress& address, const std::string& message, const SendLimit& limit) {
  TRY(const UniqueFd fd, ConnectTo(address, limit));
  TRY_VOID(SendAll(fd.get(), message, limit));
  WaitFor(fd.get(), POLLIN, {std::min(limit.deadline, Clock::now() + kUdpAnswer), limit.stop});
  return PendingError(fd.get(), "send");
}

// RFC 6587 and RFC 5425: its length before it.
std::string Counted(const std::string& message) {
  return std::to_string(message.size()) + " " + message;
}

Status SendTcp(const SyslogAddress& address, const std::string& message, const SendLimit& limit) {
  TRY(const UniqueFd fd, ConnectTo(address, limit));
  TRY_VOID(SendAll(fd.get(), Counted(message), limit));
  if (shutdown(fd.get(), SHUT_WR) != 0) return ErrnoError("shutdown");
  return AwaitClose(fd.get(), limit);
}

Status SendTls(const AlertTarget& target, const SyslogAddress& address, const std::string& message,
               const SendLimit& limit) {
  TRY(const UniqueFd fd, ConnectTo(address, limit));
  return SendOverTls(fd.get(),
                     {address.host, target.ca_file, target.certificate_file, target.key_file},
                     Counted(message), limit);
}

class SyslogSender final : public AlertSender {
 public:
  explicit SyslogSender(const AlertTarget& target)
      : target_(target), address_(ParseSyslogAddress(target.address).value_or(SyslogAddress{})) {}

  SendOutcome Send(const SendRequest& request) override {
    const bool udp = address_.transport == Transport::kUdp;
    const std::string message =
        SyslogMessage(request.alert, target_.facility, LocalHostName(), udp ? kMaxUdp : kMaxOther);
    const SendLimit limit{Clock::now() + target_.timeout, request.stop};
    const Status sent = Deliver(message, limit);
    if (sent) return {SendResult::kDelivered, "", {}};
    return {SendResult::kFailed, sent.error().message, {}};
  }

 private:
  Status Deliver(const std::string& message, const SendLimit& limit) const {
    switch (address_.transport) {
      case Transport::kUdp:
        return SendUdp(address_, message, limit);
      case Transport::kTcp:
        return SendTcp(address_, message, limit);
      case Transport::kTls:
        return SendTls(target_, address_, message, limit);
      case Transport::kLocal:
        break;
    }
    return SendLocal(address_.host, message, limit);
  }

  const AlertTarget target_;
  const SyslogAddress address_;
};

}  // namespace

std::unique_ptr<AlertSender> MakeSyslogSender(const AlertTarget& target) {
  return std::make_unique<SyslogSender>(target);
}

}  // namespace culprit
