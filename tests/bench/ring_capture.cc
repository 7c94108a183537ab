// SPDX-License-Identifier: Apache-2.0
// The packet ring alone, for ring_bench.py: ring_capture DIR INTERFACE budget|headers
//   budget   the policy that the agent has by default
//   headers  the first 96 bytes of every packet, at any rate: what `tcpdump -s 96 -w` does
// Says "ready", runs until SIGTERM or SIGINT, and prints one JSON line of what it kept.
#include <signal.h>

#include <cstdio>
#include <limits>
#include <string>

#include "agent/decode/packet_decoder.h"
#include "agent/ring/ring.h"

namespace {

culprit::RingConfig ConfigOf(const std::string& directory, const std::string& interface,
                             bool headers) {
  culprit::RingConfig config;
  config.directory = directory;
  config.tap.interfaces = {interface};
  config.min_free_bytes = 0;
  if (headers) {
    constexpr culprit::TapRate kAny{1ULL << 30, 1ULL << 40};
    culprit::TapPolicy& policy = config.tap.policy;
    policy.first_bytes = policy.ssh_first_bytes = 0;
    policy.header_packets = std::numeric_limits<std::uint32_t>::max();
    policy.link = policy.general = policy.ssh = policy.dns = policy.contact = kAny;
  }
  return config;
}

void Print(const culprit::RingStatus& status) {
  std::uint64_t received = 0, dropped = 0, written = 0, lost = 0, seen = 0, kept = 0;
  for (const auto& interface : status.interfaces) {
    received += interface.received;
    dropped += interface.dropped;
  }
  for (const auto& lane : status.lanes) {
    written += lane.packets;
    lost += lane.lost_packets;
  }
  for (const auto& one : status.classes) {
    seen += one.seen;
    kept += one.kept;
  }
  std::printf(
      "{\"seen\":%lu,\"kept\":%lu,\"received\":%lu,\"dropped\":%lu,\"written\":%lu,\"lost\":%lu,"
      "\"bytes\":%lu}\n",
      seen, kept, received, dropped, written, lost, status.bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);  // before the ring's thread inherits the mask
  auto ring = culprit::PacketRing::Start(
      ConfigOf(argv[1], argv[2], std::string(argv[3]) == "headers"), culprit::DecodePacket);
  if (!ring) {
    std::fprintf(stderr, "%s\n", ring.error().message.c_str());
    return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&stop, &signal_number);
  (*ring)->Settle();
  Print((*ring)->status());
  return 0;
}
