// SPDX-License-Identifier: Apache-2.0
// What a process did, in figures.
#include <limits>

#include "collector/query/render.h"

namespace culprit {
namespace {

// The definition has one point in time on both clocks: the start. 0 = no definition, or no time.
std::int64_t WallOf(std::uint64_t boot_ns, const ProcessRecord& process) {
  const std::uint64_t start = process.definition.start_boot_ns();
  if (boot_ns == 0 || start == 0 || process.start == WallTime{}) return 0;
  const __int128 wall = static_cast<__int128>(ToNs(process.start)) + boot_ns - start;
  const bool fits = wall > 0 && wall <= std::numeric_limits<std::int64_t>::max();
  return fits ? static_cast<std::int64_t>(wall) : 0;
}

void RenderActivity(const v1::ProcessCounters& c, v1::Counters* out) {
  out->set_first_contacts(c.first_contacts());
  out->set_first_contacts_ok(c.first_contacts_ok());
  out->set_first_contacts_failed(c.first_contacts_failed());
  out->set_initiated_tx_wire_bytes(c.initiated_tx_wire_bytes());
  out->set_initiated_rx_wire_bytes(c.initiated_rx_wire_bytes());
  out->set_accepted_tx_wire_bytes(c.accepted_tx_wire_bytes());
  out->set_accepted_rx_wire_bytes(c.accepted_rx_wire_bytes());
  out->set_raw_packets(c.raw_packets());
  out->set_raw_bytes(c.raw_bytes());
  out->set_link_packets(c.link_packets());
  out->set_link_bytes(c.link_bytes());
  out->set_bare_syns(c.bare_syns());
  out->set_window_addresses(c.window_addresses());
  out->set_window_ports(c.window_ports());
}

}  // namespace

v1::Counters RenderCounters(const ProcessRecord& process) {
  const v1::ProcessCounters& c = process.counters;
  v1::Counters out;
  out.set_tcp_attempts(c.tcp_attempts());
  out.set_ok(c.ok());
  out.set_refused(c.refused());
  out.set_timed_out(c.timed_out());
  out.set_unreachable(c.unreachable());
  out.set_denied(c.denied());
  out.set_reset(c.reset());
  out.set_aborted(c.aborted());
  out.set_not_sent(c.not_sent());
  out.set_other(c.other());
  out.set_accepts(c.accepts());
  out.set_suppressed_flows(c.suppressed_flows());
  out.set_at_ns(WallOf(c.at_boot_ns(), process));
  out.set_tx_wire_bytes(c.tx_wire_bytes());
  out.set_rx_wire_bytes(c.rx_wire_bytes());
  out.set_tx_packets(c.tx_packets());
  out.set_rx_packets(c.rx_packets());
  RenderActivity(c, &out);
  out.set_window_start_ns(WallOf(c.window_boot_ns(), process));
  return out;
}

}  // namespace culprit
