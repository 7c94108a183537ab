// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_wire.h"

#include <netinet/in.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "common/byte_reader.h"

namespace culprit {
namespace {

constexpr std::size_t kVersionBytes = 2;
constexpr std::size_t kReplyHeader =
    kVersionBytes + 6 * sizeof(std::uint64_t) + 2 * sizeof(std::uint32_t);
constexpr std::uint64_t kMaxTimeNs = std::uint64_t{1} << 62;  // so that sums of times are sound
constexpr std::uint8_t kDns = 1, kServer = 2, kProxy = 3;
constexpr std::uint8_t kResponse = 1, kTruncated = 2, kMulticast = 4;
constexpr std::uint8_t kMaxFourBits = 15;  // opcode, rcode
constexpr std::uint8_t kMaxSocksCommand = 3;
constexpr std::uint16_t kMaxNameBytes = 255;

template <class T>
void Put(std::string& out, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<unsigned char>(value >> shift));
  }
}
void PutText(std::string& out, std::string_view text) {
  text = text.substr(0, kMaxNameLength);
  Put(out, static_cast<std::uint8_t>(text.size()));
  out += text;
}
template <class T>
std::uint8_t Byte(T value) {
  return static_cast<std::uint8_t>(value);
}

IpAddress TakeAddress(ByteReader& reader) {
  return IpAddress::FromBytes(reader.Take(16)).value_or(IpAddress());
}
// Boot times that are not within the bounds make `ok` false.
BootTime TakeTime(ByteReader& reader, bool& ok) {
  const std::uint64_t ns = reader.U64();
  ok = ok && ns < kMaxTimeNs;
  return ok ? BootTimeFromNs(ns) : BootTime();
}
bool KnownProtocol(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

// ---- Names ----

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Printable ASCII in lower case (with `upper` in any), a backslash only before the "xNN" of a byte
// that is not that, of a blank, or of a dot within a label.
bool IsNameText(std::string_view text, bool upper) {
  if (text.size() > kMaxNameLength) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c < 0x20 || c >= 0x7f || (!upper && c >= 'A' && c <= 'Z')) return false;
    if (c != '\\') continue;
    if (text.size() - i < 4 || text[i + 1] != 'x') return false;
    const int high = HexValue(text[i + 2]), low = HexValue(text[i + 3]);
    if (high < 0 || low < 0) return false;
    const int byte = high * 16 + low;
    const bool plain = byte > 0x20 && byte < 0x7f && byte != '\\' && byte != '.';
    if (plain) return false;
    i += 3;
  }
  return true;
}

bool TakeText(ByteReader& reader, std::string& out, bool upper = false) {
  const std::size_t size = reader.U8();
  const std::string_view text = reader.Take(size);
  if (!reader.ok() || !IsNameText(text, upper)) return false;
  out = text;
  return true;
}

// ---- Observations ----

void Encode(std::string& out, const DnsMessage& dns) {
  Put(out, kDns);
  Put(out, dns.id);
  Put(out, Byte((dns.response ? kResponse : 0) | (dns.truncated ? kTruncated : 0) |
                (dns.multicast ? kMulticast : 0)));
  Put(out, dns.opcode);
  Put(out, dns.rcode);
  PutText(out, dns.name);
  Put(out, dns.type);
  Put(out, dns.name_bytes);
  Put(out, static_cast<std::uint16_t>(std::min<std::uint32_t>(dns.message_bytes, UINT16_MAX)));
  const std::size_t answers = std::min(dns.answers.size(), kMaxDnsAnswers);
  Put(out, Byte(answers));
  for (std::size_t i = 0; i < answers; ++i) {
    const DnsAnswer& answer = dns.answers[i];
    PutText(out, answer.name);
    Put(out, answer.type);
    Put(out, answer.ttl_s);
    out += answer.address.AsBytes();
    PutText(out, answer.target);
  }
}

void Encode(std::string& out, const ServerName& server) {
  Put(out, kServer);
  Put(out, Byte(server.source));
  PutText(out, server.name);
  const std::size_t protocols = std::min(server.alpn.size(), kMaxAlpn);
  Put(out, Byte(protocols));
  for (std::size_t i = 0; i < protocols; ++i) PutText(out, server.alpn[i]);
}

void Encode(std::string& out, const ProxyRequest& request) {
  Put(out, kProxy);
  Put(out, Byte(request.source));
  PutText(out, request.host);
  Put(out, request.port);
  Put(out, request.command);
}

void Encode(std::string& out, const ObservationEvent& event) {
  Put(out, ToNs(event.at));
  out += event.source.address.AsBytes();
  Put(out, event.source.port);
  out += event.destination.address.AsBytes();
  Put(out, event.destination.port);
  Put(out, event.protocol);
  Put(out, Byte(event.from_client ? 1 : 0));
  std::visit([&out](const auto& what) { Encode(out, what); }, event.what);
}

bool Decode(ByteReader& reader, DnsMessage& out) {
  out.id = reader.U16();
  const std::uint8_t flags = reader.U8();
  out.response = (flags & kResponse) != 0;
  out.truncated = (flags & kTruncated) != 0;
  out.multicast = (flags & kMulticast) != 0;
  out.opcode = reader.U8();
  out.rcode = reader.U8();
  if (flags > (kResponse | kTruncated | kMulticast) || out.opcode > kMaxFourBits ||
      out.rcode > kMaxFourBits || !TakeText(reader, out.name)) {
    return false;
  }
  out.type = reader.U16();
  out.name_bytes = reader.U16();
  out.message_bytes = reader.U16();
  const std::size_t answers = reader.U8();
  if (!reader.ok() || answers > kMaxDnsAnswers || out.name_bytes > kMaxNameBytes) return false;
  for (std::size_t i = 0; i < answers; ++i) {
    DnsAnswer answer;
    if (!TakeText(reader, answer.name)) return false;
    answer.type = reader.U16();
    answer.ttl_s = reader.U32();
    answer.address = TakeAddress(reader);
    if (!TakeText(reader, answer.target)) return false;
    out.answers.push_back(std::move(answer));
  }
  return true;
}

bool Decode(ByteReader& reader, ServerName& out) {
  out.source = static_cast<NameSource>(reader.U8());
  const bool known = out.source == NameSource::kTlsSni || out.source == NameSource::kQuicSni ||
                     out.source == NameSource::kHttpHost || out.source == NameSource::kStratum;
  if (!known || !TakeText(reader, out.name, out.source == NameSource::kStratum)) return false;
  const std::size_t protocols = reader.U8();
  if (!reader.ok() || protocols > kMaxAlpn) return false;
  out.alpn.resize(protocols);
  return std::all_of(out.alpn.begin(), out.alpn.end(),
                     [&reader](std::string& text) { return TakeText(reader, text); });
}

bool Decode(ByteReader& reader, ProxyRequest& out) {
  out.source = static_cast<NameSource>(reader.U8());
  const bool known = out.source == NameSource::kSocks || out.source == NameSource::kHttpConnect;
  if (!known || !TakeText(reader, out.host)) return false;
  out.port = reader.U16();
  out.command = reader.U8();
  return reader.ok() && out.command >= 1 && out.command <= kMaxSocksCommand;
}

template <class T>
bool DecodeAs(ByteReader& reader, Observation& out) {
  return Decode(reader, out.emplace<T>());
}

bool Decode(ByteReader& reader, ObservationEvent& out) {
  bool ok = true;
  out.at = TakeTime(reader, ok);
  out.source.address = TakeAddress(reader);
  out.source.port = reader.U16();
  out.destination.address = TakeAddress(reader);
  out.destination.port = reader.U16();
  out.protocol = reader.U8();
  const std::uint8_t from_client = reader.U8();
  out.from_client = from_client != 0;
  const std::uint8_t kind = reader.U8();
  if (!ok || !reader.ok() || !KnownProtocol(out.protocol) || from_client > 1) return false;
  switch (kind) {
    case kDns:
      return DecodeAs<DnsMessage>(reader, out.what);
    case kServer:
      return DecodeAs<ServerName>(reader, out.what);
    case kProxy:
      return DecodeAs<ProxyRequest>(reader, out.what);
    default:
      return false;
  }
}

}  // namespace

// ---- Samples ----

bool SampleBatch::Add(const Packet& packet, BootTime at) {
  constexpr std::size_t kSampleHeader = 8 + 2 * 16 + 2 * 2 + 2 + 3 * 4 + 2;
  static_assert(kVersionBytes + kSampleHeader + kMaxSamplePayload <= kMaxParserDatagram);
  const std::string_view payload = packet.payload.substr(0, kMaxSamplePayload);
  if (bytes_.empty()) Put(bytes_, kParserWireVersion);
  if (bytes_.size() + kSampleHeader + payload.size() > kMaxParserDatagram) return false;
  Put(bytes_, ToNs(at));
  bytes_ += packet.source.AsBytes();
  bytes_ += packet.destination.AsBytes();
  Put(bytes_, packet.source_port);
  Put(bytes_, packet.destination_port);
  Put(bytes_, packet.protocol);
  Put(bytes_, packet.tcp_flags);
  Put(bytes_, packet.tcp_seq);
  Put(bytes_, packet.tcp_ack);
  Put(bytes_, packet.payload_bytes);
  Put(bytes_, static_cast<std::uint16_t>(payload.size()));
  bytes_ += payload;
  ++count_;
  return true;
}

void SampleBatch::Clear() {
  bytes_.clear();
  count_ = 0;
}

bool ReadSamples(std::string_view batch,
                 const std::function<void(const Packet& packet, BootTime at)>& sink) {
  ByteReader reader(batch);
  if (batch.size() > kMaxParserDatagram || reader.U16() != kParserWireVersion) return false;
  while (!reader.rest().empty()) {
    bool ok = true;
    const BootTime at = TakeTime(reader, ok);
    Packet packet;
    packet.source = TakeAddress(reader);
    packet.destination = TakeAddress(reader);
    packet.source_port = reader.U16();
    packet.destination_port = reader.U16();
    packet.protocol = reader.U8();
    packet.tcp_flags = reader.U8();
    packet.tcp_seq = reader.U32();
    packet.tcp_ack = reader.U32();
    packet.payload_bytes = reader.U32();
    packet.payload = reader.Take(reader.U16());
    packet.ip_version = packet.source.IsV4() ? 4 : 6;
    if (!ok || !reader.ok() || !KnownProtocol(packet.protocol) ||
        packet.payload.size() > std::min<std::size_t>(packet.payload_bytes, kMaxSamplePayload)) {
      return false;
    }
    sink(packet, at);
  }
  return reader.ok();
}

// ---- Replies ----

bool ReplyWriter::Add(const ObservationEvent& event) {
  one_.clear();
  Encode(one_, event);
  if (bytes_.size() + one_.size() > kMaxParserDatagram) return false;
  bytes_ += one_;
  return true;
}

bool ReplyWriter::empty() const { return bytes_.size() == kReplyHeader; }

std::string_view ReplyWriter::Finish(const ParserReport& report) {
  one_.clear();
  Put(one_, kParserWireVersion);
  for (const std::uint64_t count : {report.samples, report.observations, report.dns_malformed,
                                    report.over_budget, report.cut, report.undecided_dropped}) {
    Put(one_, count);
  }
  Put(one_, report.flows);
  Put(one_, report.held_bytes);
  bytes_.replace(0, kReplyHeader, one_);
  return bytes_;
}

void ReplyWriter::Clear() { bytes_.assign(kReplyHeader, '\0'); }

std::optional<ParserReply> ReadReply(std::string_view datagram) {
  ByteReader reader(datagram);
  if (datagram.size() > kMaxParserDatagram || reader.U16() != kParserWireVersion) {
    return std::nullopt;
  }
  ParserReply reply;
  ParserReport& report = reply.report;
  for (std::uint64_t* count : {&report.samples, &report.observations, &report.dns_malformed,
                               &report.over_budget, &report.cut, &report.undecided_dropped}) {
    *count = reader.U64();
  }
  report.flows = reader.U32();
  report.held_bytes = reader.U32();
  if (!reader.ok()) return std::nullopt;
  while (!reader.rest().empty()) {
    ObservationEvent event;
    if (!Decode(reader, event) || !reader.ok()) return std::nullopt;
    reply.observations.push_back(std::move(event));
  }
  return reply;
}

}  // namespace culprit
