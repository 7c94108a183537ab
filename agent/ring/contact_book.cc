// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/contact_book.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>

#include "common/bytes.h"

namespace culprit {
namespace {

// The same for both directions. Two that have the same value share their room, no more.
std::uint64_t KeyOf(const Packet& packet, bool with_ports) {
  std::pair<IpAddress, std::uint16_t> a{packet.source, with_ports ? packet.source_port : 0};
  std::pair<IpAddress, std::uint16_t> b{packet.destination,
                                        with_ports ? packet.destination_port : 0};
  if (b < a) std::swap(a, b);
  std::array<char, 2 * sizeof(IpAddress) + 5> text{};
  char* at = std::copy_n(a.first.AsBytes().data(), sizeof(IpAddress), text.data());
  at = std::copy_n(b.first.AsBytes().data(), sizeof(IpAddress), at);
  StoreLe(at, a.second);
  StoreLe(at + 2, b.second);
  at[4] = static_cast<char>(with_ports ? packet.protocol : 0);
  return std::hash<std::string_view>{}({text.data(), text.size()});
}

}  // namespace

// A pair is known from its first packet on, whether or not there was a token for it.
bool ContactBook::IsNew(const Packet& headers, std::chrono::nanoseconds now) {
  const std::uint64_t pair = KeyOf(headers, false);
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
  const std::uint64_t connection = KeyOf(headers, true);
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
