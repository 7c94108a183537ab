// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_process.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "agent/parser/parser_sandbox.h"
#include "agent/parser/parser_wire.h"
#include "agent/process/privileges.h"

namespace culprit {
namespace {

// OpenSSL finds its algorithms at their first use: a packet of QUIC that nobody sealed makes it do
// so while that is still allowed, and without reading its configuration.
void WarmUp() {
  constexpr std::size_t kInitialBytes = 1'200;
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  // A long header of version 1 with a destination id of eight bytes, no token, 1,178 bytes sealed.
  std::string datagram("\xc3\0\0\0\x01\x08\1\2\3\4\5\6\7\x08\0\0\x44\x9a", 18);
  datagram.resize(kInitialBytes);
  Packet packet;
  packet.protocol = IPPROTO_UDP;
  packet.destination_port = 443;
  packet.payload = datagram;
  packet.payload_bytes = kInitialBytes;
  NameObserver(kParserLimits).Observe(packet, 0, [](const Packet&, bool, const Observation&) {});
}

class Server {
 public:
  explicit Server(int link_fd) : fd_(link_fd) {}

  Status Answer(std::string_view batch) {
    const bool right = ReadSamples(batch, [this](const Packet& packet, BootTime at) {
      ++report_.samples;
      observer_.Observe(packet, at.time_since_epoch().count(),
                        [&](const Packet& last, bool from_client, const Observation& what) {
                          Tell(ObservationEvent{at,
                                                {last.source, last.source_port},
                                                {last.destination, last.destination_port},
                                                last.protocol,
                                                from_client,
                                                what});
                        });
    });
    if (!right) return DataLoss("what the sensor sent is no batch of samples");
    Send();
    if (broken_) return Unavailable("the sensor is gone");
    return Ok();
  }

 private:
  void Tell(const ObservationEvent& event) {
    ++report_.observations;
    if (reply_.Add(event)) return;
    Send();
    reply_.Add(event);
  }

  // Waits for room: what the sensor does not take yet holds back what it sends, and that is where
  // losses are counted.
  void Send() {
    const NameCounters counters = observer_.counters();
    report_.dns_malformed = counters.dns_malformed;
    report_.over_budget = counters.over_budget;
    report_.cut = counters.cut;
    report_.undecided_dropped = counters.undecided_dropped;
    report_.flows = static_cast<std::uint32_t>(observer_.flows());
    report_.held_bytes = static_cast<std::uint32_t>(observer_.held_bytes());
    const std::string_view bytes = reply_.Finish(report_);
    ssize_t sent = 0;
    do {
      sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    broken_ |= sent < 0;
    reply_.Clear();
  }

  int fd_;
  NameObserver observer_{kParserLimits};
  ReplyWriter reply_;
  ParserReport report_;
  bool broken_ = false;
};

}  // namespace

Status EnterSandbox(const std::string& user, int parent_pid, int link_fd) {
  WarmUp();
  TRY_VOID(DropPrivileges(user, parent_pid));
  TRY_VOID(LimitResources());
  return InstallFilter(link_fd);
}

Status ServeSensor(int link_fd) {
  Server server(link_fd);
  std::string batch(kMaxParserDatagram, '\0');
  for (;;) {
    const ssize_t n = recv(link_fd, batch.data(), batch.size(), MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("receive from the sensor");
    if (n == 0) return Ok();
    const auto size = static_cast<std::size_t>(n);
    if (size > batch.size()) return DataLoss("a batch of samples was cut off");
    TRY_VOID(server.Answer(std::string_view(batch).substr(0, size)));
  }
}

}  // namespace culprit
