// SPDX-License-Identifier: Apache-2.0
// Any bytes as payload: the first byte says through which dissector, or through the observer as
// segments of a few flows.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/names/dns.h"
#include "agent/names/http.h"
#include "agent/names/name_observer.h"
#include "agent/names/socks.h"
#include "agent/names/stratum.h"
#include "agent/names/tls.h"
#include "common/byte_reader.h"
#include "tests/support/payload_builder.h"

namespace {

using namespace culprit;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckName(const std::string& name, bool upper = false) {
  Require(name.size() <= kMaxNameLength);
  for (const char c : name) Require(c >= 0x20 && c < 0x7f && (upper || c < 'A' || c > 'Z'));
}

void Check(const Observation& observation) {
  if (const auto* dns = std::get_if<DnsMessage>(&observation)) {
    CheckName(dns->name);
    Require(dns->answers.size() <= kMaxDnsAnswers);
    for (const DnsAnswer& answer : dns->answers) {
      CheckName(answer.name);
      CheckName(answer.target);
    }
  } else if (const auto* name = std::get_if<ServerName>(&observation)) {
    CheckName(name->name, name->source == NameSource::kStratum);
    Require(name->alpn.size() <= kMaxAlpn);
    for (const std::string& protocol : name->alpn) CheckName(protocol);
  } else {
    CheckName(std::get<ProxyRequest>(observation).host);
  }
}

// Each segment: what it is, its sequence number, its length, its bytes.
void Observe(std::string_view input) {
  constexpr std::uint16_t kPorts[] = {53, 443, 5353, 1080};
  NameLimits limits;
  limits.max_flows = 4;
  limits.max_bytes = 4'096;
  NameObserver observer(limits);
  ByteReader reader(input);
  for (std::int64_t now = 0; !reader.rest().empty(); now += 1'000'000'000) {
    const std::uint8_t what = reader.U8();
    const std::uint8_t flags = reader.U8();
    const std::uint16_t seq = reader.U16();
    const std::size_t length = reader.U16();
    const std::string bytes(reader.TakeUpTo(length));
    Packet packet;
    packet.protocol = (what & 1) != 0 ? 6 : 17;
    const bool from_client = (what & 2) != 0;
    (from_client ? packet.destination_port : packet.source_port) = kPorts[what >> 2 & 3];
    (from_client ? packet.source_port : packet.destination_port) =
        static_cast<std::uint16_t>(50'000 + (what >> 4 & 7));
    packet.tcp_flags = flags;
    packet.tcp_seq = seq;
    packet.tcp_ack = seq;
    packet.payload = bytes;
    packet.payload_bytes = static_cast<std::uint32_t>(bytes.size()) + ((what & 128) != 0 ? 9 : 0);
    observer.Observe(packet, now,
                     [](const Packet&, bool, const Observation& found) { Check(found); });
    Require(observer.flows() <= limits.max_flows);
    Require(observer.held_bytes() <= limits.max_bytes + 7 * kStreamHeadBytes);
  }
}

void Quic(std::string_view first, std::string_view second) {
  QuicInitials initials;
  ServerName name;
  for (const std::string_view datagram : {first, second}) {
    if (initials.Add(datagram, name) == Verdict::kFound) Check(name);
  }
}

void Run(std::uint8_t kind, const std::string& bytes) {
  Observation observation;
  ServerName name;
  ProxyRequest request;
  const std::string_view view = bytes;
  bool spoken = false;
  switch (kind % 9) {
    case 0:
      if (const auto message = ParseDns(bytes)) Check(*message);
      return;
    case 1:
      ParseTlsStream(bytes, name);
      return Check(name);
    case 2:
      ParseClientHello(bytes, name);
      return Check(name);
    case 3:
      if (ParseHttpRequest(bytes, observation) == Verdict::kFound) Check(observation);
      return;
    case 4:
      if (ParseSocks(bytes, request) == Verdict::kFound) Check(request);
      return;
    case 5:
      return Quic(view.substr(0, view.size() / 2), view.substr(view.size() / 2));
    case 6:  // as what a client has sealed
      return Quic(testing::QuicInitial(bytes.substr(0, bytes.size() / 2), {.payload_size = 32}),
                  testing::QuicInitial(bytes.substr(bytes.size() / 2), {.payload_size = 32}));
    case 8:
      if (ParseStratum(bytes, name, spoken) != Verdict::kOther) Check(name);
      return;
    default:
      return Observe(bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Run(data[0], std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
