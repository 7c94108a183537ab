// SPDX-License-Identifier: Apache-2.0
// Any bytes as what the parser process and the sensor send each other: the first byte says which
// way. What is taken is within the bounds, and written again it is the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "agent/parser/parser_wire.h"

namespace {

using namespace culprit;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckName(const std::string& name, bool upper = false) {
  Require(name.size() <= kMaxNameLength);
  for (const char c : name) Require(c >= 0x20 && c < 0x7f && (upper || c < 'A' || c > 'Z'));
}

void Check(const ObservationEvent& event) {
  Require(event.at >= BootTime());
  Require(event.at + std::chrono::hours(24 * 365) > event.at);
  if (const auto* dns = std::get_if<DnsMessage>(&event.what)) {
    CheckName(dns->name);
    Require(dns->answers.size() <= kMaxDnsAnswers);
    for (const DnsAnswer& answer : dns->answers) {
      CheckName(answer.name);
      CheckName(answer.target);
    }
  } else if (const auto* name = std::get_if<ServerName>(&event.what)) {
    CheckName(name->name, name->source == NameSource::kStratum);
    Require(name->alpn.size() <= kMaxAlpn);
    for (const std::string& protocol : name->alpn) CheckName(protocol);
  } else {
    CheckName(std::get<ProxyRequest>(event.what).host);
  }
}

void Reply(std::string_view bytes) {
  const auto reply = ReadReply(bytes);
  if (!reply) return;
  ReplyWriter writer;
  for (const ObservationEvent& event : reply->observations) {
    Check(event);
    Require(writer.Add(event));
  }
  Require(writer.Finish(reply->report) == bytes);
}

void Samples(std::string_view bytes) {
  SampleBatch batch;
  const bool right = ReadSamples(bytes, [&batch](const Packet& packet, BootTime at) {
    Require(packet.payload.size() <= packet.payload_bytes);
    Require(batch.Add(packet, at));
  });
  if (right && batch.count() > 0) Require(batch.bytes() == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // Of its exact size, for the sanitizer.
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) == 0) {
    Reply(bytes);
  } else {
    Samples(bytes);
  }
  return 0;
}
