// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/tap_handle.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "common/time.h"

namespace culprit {
namespace {

constexpr int kSnapLength = 262'144;  // the filter cuts
constexpr int kMaxPacketsPerDispatch = 16'384;

struct Delivery {
  const SegmentInterface* interface;
  const PacketTap::Sink* sink;
  PacketDirection direction;
  std::int64_t* filtered_since_ns;
};

void Deliver(u_char* user, const pcap_pkthdr* header, const u_char* bytes) {
  const auto& to = *reinterpret_cast<const Delivery*>(user);
  TapPacket packet;
  packet.interface = to.interface->id;
  packet.direction = to.direction;
  packet.wall_ns = header->ts.tv_sec * 1'000'000'000 + header->ts.tv_usec;  // ns as asked for
  packet.wire_bytes = header->len;
  packet.bytes = {reinterpret_cast<const char*>(bytes), header->caplen};
  if (packet.wall_ns < *to.filtered_since_ns) return;
  *to.filtered_since_ns = 0;
  (*to.sink)(packet, *to.interface);
}

Error PcapError(const std::string& interface, pcap_t* pcap, int status) {
  const std::string detail = pcap_geterr(pcap);
  const Code code = status == PCAP_ERROR_PERM_DENIED      ? Code::kPermissionDenied
                    : status == PCAP_ERROR_NO_SUCH_DEVICE ? Code::kNotFound
                                                          : Code::kUnavailable;
  return MakeError(code, "capture on " + interface + ": " + pcap_statustostr(status) +
                             (detail.empty() ? "" : ": " + detail));
}

}  // namespace

Result<std::unique_ptr<TapHandle>> TapHandle::Open(const std::string& interface,
                                                   PacketDirection direction,
                                                   std::uint64_t buffer_bytes,
                                                   const PacketTapOptions& options,
                                                   TapFilter* filter, bool dns_alone) {
  char message[PCAP_ERRBUF_SIZE] = "";
  std::unique_ptr<pcap_t, ClosePcap> pcap(pcap_create(interface.c_str(), message));
  if (pcap == nullptr) return Unavailable("capture on " + interface + ": " + message);
  pcap_set_snaplen(pcap.get(), kSnapLength);
  pcap_set_promisc(pcap.get(), 0);
  pcap_set_timeout(pcap.get(), static_cast<int>(options.gather.count()));
  pcap_set_buffer_size(pcap.get(), static_cast<int>(buffer_bytes));
  pcap_set_tstamp_precision(pcap.get(), PCAP_TSTAMP_PRECISION_NANO);
  if (const int status = pcap_activate(pcap.get()); status < 0) {
    return PcapError(interface, pcap.get(), status);
  }
  if (pcap_get_tstamp_precision(pcap.get()) != PCAP_TSTAMP_PRECISION_NANO) {
    return Unavailable("capture on " + interface + ": no nanosecond times");
  }
  if (pcap_setnonblock(pcap.get(), 1, message) != 0) {
    return Unavailable("capture on " + interface + ": " + message);
  }
  std::unique_ptr<TapHandle> handle(new TapHandle(std::move(pcap), direction));
  handle->link_type_ = pcap_datalink(handle->pcap_.get());
  TRY_VOID(handle->Restrict(options, filter, dns_alone));
  return handle;
}

// From here on the socket takes packets of one direction, as the filter wants them.
Status TapHandle::Restrict(const PacketTapOptions& options, TapFilter* filter, bool dns_alone) {
  const int socket = pcap_fileno(pcap_.get());
  if (direction_ != PacketDirection::kOut) {
    const int one = 1;  // spares the filter a look; Linux 4.20
    setsockopt(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
  }
  TRY_VOID(filter != nullptr
               ? dns_alone ? filter->AttachDns(socket) : filter->Attach(socket, direction_)
               : AttachClassicFilter(socket, direction_, options.policy.header_bytes));
  filtered_since_ns_ = ToNs(ReadWallClock());
  return Ok();
}

int TapHandle::fd() const { return pcap_get_selectable_fd(pcap_.get()); }

Status TapHandle::Dispatch(const SegmentInterface& interface, const PacketTap::Sink& sink) {
  Delivery delivery{&interface, &sink, direction_, &filtered_since_ns_};
  const int n = pcap_dispatch(pcap_.get(), kMaxPacketsPerDispatch, Deliver,
                              reinterpret_cast<u_char*>(&delivery));
  if (n < 0) return PcapError(interface.description.name, pcap_.get(), n);
  return Ok();
}

HandleStats TapHandle::stats() {
  pcap_stat now{};
  if (pcap_stats(pcap_.get(), &now) != 0) return totals_;
  totals_.received += now.ps_recv - last_.ps_recv;
  totals_.dropped += now.ps_drop - last_.ps_drop;
  totals_.if_dropped += now.ps_ifdrop - last_.ps_ifdrop;
  last_ = now;
  return totals_;
}

}  // namespace culprit
