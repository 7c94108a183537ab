// SPDX-License-Identifier: Apache-2.0
// TapHandle: one libpcap handle on one interface for one direction.
// Stage: ring (edge: libpcap). Thread: one caller. Failure: opening says why; a handle whose
// interface went away says so in Dispatch().
#ifndef CULPRIT_AGENT_RING_TAP_HANDLE_H_
#define CULPRIT_AGENT_RING_TAP_HANDLE_H_

#include <pcap/pcap.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/ring/packet_tap.h"

namespace culprit {

struct HandleStats {
  std::uint64_t received = 0, dropped = 0, if_dropped = 0;
};

class TapHandle {
 public:
  // `filter` null: the classic one.
  static Result<std::unique_ptr<TapHandle>> Open(const std::string& interface,
                                                 PacketDirection direction,
                                                 std::uint64_t buffer_bytes,
                                                 const PacketTapOptions& options,
                                                 TapFilter* filter, bool dns_alone);

  int fd() const;
  int link_type() const { return link_type_; }
  // Gives out what is ready, to `interface`. Errors: the interface is gone or down.
  Status Dispatch(const SegmentInterface& interface, const PacketTap::Sink& sink);
  HandleStats stats();  // since it was opened

 private:
  struct ClosePcap {
    void operator()(pcap_t* pcap) const { pcap_close(pcap); }
  };
  TapHandle(std::unique_ptr<pcap_t, ClosePcap> pcap, PacketDirection direction)
      : pcap_(std::move(pcap)), direction_(direction) {}
  Status Restrict(const PacketTapOptions& options, TapFilter* filter, bool dns_alone);

  std::unique_ptr<pcap_t, ClosePcap> pcap_;
  PacketDirection direction_;
  int link_type_ = 0;
  HandleStats totals_;
  pcap_stat last_{};                    // 32 bits wide, and wraps
  std::int64_t filtered_since_ns_ = 0;  // older packets came before the filter; 0 = all gone
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_TAP_HANDLE_H_
