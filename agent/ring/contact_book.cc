// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/contact_book.h"

#include <netinet/in.h>

#include <algorithm>
#include <functional>

namespace culprit {
namespace {

std::uint64_t HashEnd(const IpAddress& address, std::uint32_t port) {
  return MixBits(std::hash<IpAddress>{}(address) + port);
}

// The same for both directions. Two that have the same value share their room, no more.
std::uint64_t PairOf(const Packet& packet) {
  return HashEnd(packet.source, 0) + HashEnd(packet.destination, 0);
}
std::uint64_t ConnectionOf(const Packet& packet) {
  const std::uint32_t protocol = std::uint32_t{packet.protocol} << 16;
  return HashEnd(packet.source, protocol | packet.source_port) +
         HashEnd(packet.destination, protocol | packet.destination_port);
}

}  // namespace

// A pair is known from its first packet on, whether or not there was a token for it.
bool ContactBook::IsNew(const Packet& headers, std::chrono::nanoseconds now) {
  const std::uint64_t pair = PairOf(headers);
  if (!pairs_.insert(pair).second) return false;
  pair_order_.push_back(pair);
  if (pair_order_.size() > kMaxPairs) {
    pairs_.erase(pair_order_.front());
    pair_order_.pop_front();
  }
  tokens_ =
      std::min(kBurst, tokens_ + kPerSecond * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

bool ContactBook::Begins(const Packet& headers, std::size_t bytes, std::chrono::nanoseconds now) {
  if (headers.tunnel != Tunnel::kNone || headers.fragment ||
      (headers.protocol != IPPROTO_TCP && headers.protocol != IPPROTO_UDP)) {
    return false;
  }
  const std::uint64_t connection = ConnectionOf(headers);
  auto open = open_.find(connection);
  if (open == open_.end()) {
    // What was there before the agent is no contact that it saw the beginning of.
    const bool begins = headers.protocol == IPPROTO_UDP || (headers.tcp_flags & kTcpSyn) != 0;
    if (!IsNew(headers, now) || !begins) return false;
    open = open_.emplace(connection, kFirstBytes).first;
    open_order_.push_back(connection);
    if (open_order_.size() > kMaxOpen) {
      open_.erase(open_order_.front());
      open_order_.pop_front();
      open = open_.find(connection);
      if (open == open_.end()) return false;
    }
  }
  if (open->second < bytes) {
    open->second = 0;
    return false;
  }
  open->second -= static_cast<std::uint32_t>(bytes);
  return true;
}

}  // namespace culprit
