// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_observer.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "agent/names/dns.h"
#include "agent/names/http.h"
#include "agent/names/socks.h"
#include "agent/names/stratum.h"
#include "agent/names/tls.h"
#include "agent/names/verdict.h"
#include "common/bytes.h"

namespace culprit {
namespace {

constexpr std::uint16_t kDns = 53, kMulticastDns = 5353, kLlmnr = 5355;

bool OnPort(const Packet& packet, std::uint16_t port) {
  return packet.source_port == port || packet.destination_port == port;
}
bool IsMulticastDns(const Packet& packet) {
  return OnPort(packet, kMulticastDns) || OnPort(packet, kLlmnr);
}

// What a client says first, by its first bytes.
Verdict Dissect(std::string_view bytes, Observation& out) {
  switch (bytes.front()) {
    case '\x16': {
      ServerName name;
      const Verdict verdict = ParseTlsStream(bytes, name);
      name.source = NameSource::kTlsSni;
      out = std::move(name);
      return verdict;
    }
    case '\x04':
    case '\x05': {
      ProxyRequest request;
      const Verdict verdict = ParseSocks(bytes, request);
      out = std::move(request);
      return verdict;
    }
    case '{': {
      ServerName name;
      bool spoken = false;
      const Verdict verdict = ParseStratum(bytes, name, spoken);
      out = std::move(name);
      return verdict;
    }
    default:
      return bytes.front() >= 'A' && bytes.front() <= 'Z' ? ParseHttpRequest(bytes, out)
                                                          : Verdict::kOther;
  }
}

}  // namespace

NameObserver::NameObserver(const NameLimits& limits)
    : table_(limits.max_flows, limits.max_bytes, limits.idle_ns) {}

NameCounters NameObserver::counters() const {
  NameCounters counters = counters_;
  counters.undecided_dropped = table_.undecided_dropped();
  return counters;
}

void NameObserver::Tell(const Packet& packet, bool from_client, const Observation& observation,
                        const Sink& sink) {
  if (std::holds_alternative<DnsMessage>(observation)) ++counters_.dns_messages;
  if (std::holds_alternative<ServerName>(observation)) ++counters_.server_names;
  if (std::holds_alternative<ProxyRequest>(observation)) ++counters_.proxy_requests;
  sink(packet, from_client, observation);
}

void NameObserver::Observe(const Packet& packet, std::int64_t at_ns, const Sink& sink) {
  if (packet.fragment) return;
  if (packet.protocol == IPPROTO_TCP) ObserveTcp(packet, at_ns, sink);
  if (packet.protocol == IPPROTO_UDP) ObserveUdp(packet, at_ns, sink);
}

void NameObserver::ObserveUdp(const Packet& packet, std::int64_t at_ns, const Sink& sink) {
  if (packet.payload.empty()) return;
  if (!OnPort(packet, kDns) && !IsMulticastDns(packet)) {
    // A client's are never shorter (RFC 9000 14.1).
    constexpr std::uint32_t kMinInitial = 1'200;
    if (packet.payload_bytes >= kMinInitial && LooksLikeQuicInitial(packet.payload)) {
      ObserveQuic(packet, at_ns, sink);
    }
    return;
  }
  auto message = ParseDns(packet.payload);
  if (!message) {
    ++counters_.dns_malformed;
    return;
  }
  message->message_bytes = packet.payload_bytes;
  message->multicast = IsMulticastDns(packet);
  const bool from_client = !message->response;
  Tell(packet, from_client, *std::move(message), sink);
}

void NameObserver::ObserveQuic(const Packet& packet, std::int64_t at_ns, const Sink& sink) {
  NameFlow& flow = table_.FindOrAdd(KeyOf(packet), at_ns);
  if (flow.decided) return;
  const std::size_t before = flow.held();
  if (!flow.quic) flow.quic = std::make_unique<QuicInitials>();
  ServerName name;
  const Verdict verdict = flow.quic->Add(packet.payload, name);
  if (verdict == Verdict::kFound) {
    Tell(packet, true, std::move(name), sink);
    flow.Decide();
  } else if (++flow.datagrams >= kMaxQuicDatagrams) {
    ++counters_.over_budget;
    flow.Decide();
  }
  table_.Account(flow, before);
}

void NameObserver::ObserveTcp(const Packet& packet, std::int64_t at_ns, const Sink& sink) {
  constexpr std::uint8_t kEnds = kTcpFin | kTcpRst;
  if ((packet.tcp_flags & kTcpSyn) != 0) BeginStream(packet, at_ns);
  const bool ends = (packet.tcp_flags & kEnds) != 0;
  if (packet.payload.empty() && !ends) return;
  const NameFlowKey key = KeyOf(packet);
  NameFlow* flow = packet.payload.empty() ? table_.Find(key, at_ns) : &table_.FindOrAdd(key, at_ns);
  if (flow == nullptr || flow->decided) return;
  const std::size_t before = flow->held();
  if (!packet.payload.empty()) TakeSegment(*flow, packet, sink);
  if (ends && !flow->decided) EndStream(*flow, packet, sink);
  table_.Account(*flow, before);
}

// Both ends' first sequence numbers are in the handshake; another one makes an old flow of the same
// ports a new one.
void NameObserver::BeginStream(const Packet& packet, std::int64_t at_ns) {
  NameFlow& flow = table_.FindOrAdd(KeyOf(packet), at_ns);
  const std::size_t side = DirectionOf(packet);
  const std::uint32_t first = packet.tcp_seq + 1;
  const bool known = flow.direction[side].started;
  if (known && flow.direction[side].first == first) return;  // sent again
  const std::size_t before = flow.held();
  const bool answers = (packet.tcp_flags & kTcpAck) != 0;
  if (known || !answers) {
    flow.Decide();
    flow.decided = false;
    flow.direction = {};
  }
  const auto begin = [](StreamDirection& direction, std::uint32_t seq) {
    if (direction.started) return;
    direction.first = direction.start = seq;
    direction.started = true;
  };
  begin(flow.direction[side], first);
  if (answers) begin(flow.direction[1 - side], packet.tcp_ack);
  table_.Account(flow, before);
}

void NameObserver::TakeSegment(NameFlow& flow, const Packet& packet, const Sink& sink) {
  StreamDirection& direction = flow.direction[DirectionOf(packet)];
  if (direction.done) return;
  const std::uint32_t seq = packet.tcp_seq + ((packet.tcp_flags & kTcpSyn) != 0 ? 1 : 0);
  if (!direction.started) {
    direction.started = true;
    direction.first = direction.start = seq;
  }
  std::string_view bytes = packet.payload;
  const auto ahead = static_cast<std::int32_t>(seq - direction.start);
  std::size_t offset = 0;
  if (ahead < 0) {
    const auto old = static_cast<std::size_t>(-static_cast<std::int64_t>(ahead));
    if (old >= bytes.size()) return;
    bytes.remove_prefix(old);
  } else {
    offset = static_cast<std::size_t>(ahead);
  }
  if (packet.payload.size() < packet.payload_bytes) {
    direction.cut = std::min(direction.cut, offset + bytes.size());
  }
  ++direction.segments;
  const std::uint32_t begin = direction.start;
  if (direction.head || offset != 0) {
    if (!direction.head) direction.head = std::make_unique<StreamHead>();
    if (direction.head->Add(offset, bytes)) {
      Examine(flow, packet, direction.head->in_order(), sink);
    }
  } else {
    Examine(flow, packet, bytes, sink);
    if (!direction.done && !flow.decided && direction.start == begin) {
      direction.head = std::make_unique<StreamHead>();
      direction.head->Add(0, bytes);
    }
  }
  const bool waits = !flow.decided && !direction.done && direction.head;
  if (!waits) return;
  const bool cut = direction.head->in_order().size() >= direction.cut;
  const bool spent = direction.head->full() || direction.segments >= kMaxNameSegments;
  if (cut) ++counters_.cut;
  if (!cut && spent) ++counters_.over_budget;
  if (cut || spent) GiveUp(flow, direction, packet, sink);
}

void NameObserver::Examine(NameFlow& flow, const Packet& packet, std::string_view bytes,
                           const Sink& sink) {
  StreamDirection& direction = flow.direction[DirectionOf(packet)];
  Observation found;
  const bool dns_begun = direction.taken > 0;
  const Verdict verdict = dns_begun ? Verdict::kOther : Dissect(bytes, found);
  if (verdict == Verdict::kMore) return;
  if (verdict == Verdict::kFound) {
    Tell(packet, true, found, sink);
    const bool behind_proxy = std::holds_alternative<ProxyRequest>(found) && !direction.inside;
    if (!behind_proxy) return flow.Decide();
    // What the client says to whom it asked for comes next, and only from its side.
    StreamDirection next;
    next.started = next.inside = true;
    next.first = direction.first;
    next.start = direction.start + static_cast<std::uint32_t>(bytes.size());
    direction = std::move(next);
    flow.direction[1 - DirectionOf(packet)].done = true;
    return;
  }
  if (OnPort(packet, kDns) && TakeDnsMessages(direction, packet, bytes, sink)) {
    return SkipTaken(direction, bytes.size());
  }
  direction.done = true;
  direction.head.reset();
  if (flow.direction[0].done && flow.direction[1].done) flow.Decide();
}

bool NameObserver::TakeDnsMessages(StreamDirection& direction, const Packet& packet,
                                   std::string_view bytes, const Sink& sink) {
  constexpr std::size_t kLength = 2;
  while (bytes.size() >= direction.taken + kLength) {
    const std::string_view rest = bytes.substr(direction.taken);
    const std::size_t length = LoadBe<std::uint16_t>(rest.data());
    if (rest.size() < kLength + length) return true;
    auto message = ParseDns(rest.substr(kLength, length));
    if (!message) {
      ++counters_.dns_malformed;
      return false;
    }
    direction.taken += kLength + length;
    const bool from_client = !message->response;
    Tell(packet, from_client, *std::move(message), sink);
  }
  return true;
}

// Messages that were told need not be held, so that a stream of them may be of any length.
void NameObserver::SkipTaken(StreamDirection& direction, std::size_t in_order) {
  const bool more_waits = direction.head && direction.head->has_gap();
  if (direction.taken != in_order || more_waits || direction.cut != SIZE_MAX) return;
  direction.start += static_cast<std::uint32_t>(direction.taken);
  direction.taken = 0;
  direction.segments = 0;
  direction.head.reset();
}

void NameObserver::GiveUp(NameFlow& flow, StreamDirection& direction, const Packet& packet,
                          const Sink& sink) {
  TellPartial(direction, packet, true, sink);
  direction.done = true;
  direction.head.reset();
  if (flow.direction[0].done && flow.direction[1].done) flow.Decide();
}

// Of a hello that is not whole the name may be; who has subscribed at a pool need not log in.
void NameObserver::TellPartial(const StreamDirection& direction, const Packet& packet,
                               bool from_client, const Sink& sink) {
  if (!direction.head || direction.taken > 0) return;
  const std::string_view bytes = direction.head->in_order();
  ServerName name;
  bool spoken = false;
  if (bytes.starts_with('{')) {
    const bool waits = ParseStratum(bytes, name, spoken) == Verdict::kMore;
    if (!waits || !spoken) return;
  } else {
    const bool hello = ParseTlsStream(bytes, name) == Verdict::kMore;
    if (!hello || name.name.empty()) return;
    name.source = NameSource::kTlsSni;
  }
  Tell(packet, from_client, std::move(name), sink);
}

void NameObserver::EndStream(NameFlow& flow, const Packet& packet, const Sink& sink) {
  const std::size_t side = DirectionOf(packet);
  TellPartial(flow.direction[side], packet, true, sink);
  flow.direction[side].done = true;
  flow.direction[side].head.reset();
  if ((packet.tcp_flags & kTcpRst) != 0) {
    TellPartial(flow.direction[1 - side], packet, false, sink);
    flow.direction[1 - side].done = true;
  }
  if (flow.direction[1 - side].done) flow.Decide();
}

}  // namespace culprit
