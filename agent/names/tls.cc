// SPDX-License-Identifier: Apache-2.0
#include "agent/names/tls.h"

#include <cstdint>
#include <string>

#include "agent/names/name_text.h"
#include "common/byte_reader.h"

namespace culprit {
namespace {

constexpr std::uint8_t kHandshakeRecord = 22, kClientHello = 1;
constexpr std::size_t kMaxRecord = 16'384 + 256;
constexpr std::size_t kMaxHello = 65'536;  // more is no hello
constexpr std::uint16_t kServerName = 0, kAlpn = 16;

void ReadServerName(std::string_view extension, ServerName& out) {
  ByteReader reader(extension);
  ByteReader list(reader.TakeUpTo(reader.U16()));
  const std::uint8_t type = list.U8();
  const std::string_view name = list.Take(list.U16());
  if (list.ok() && type == 0) out.name = NameText(name);
}

void ReadAlpn(std::string_view extension, ServerName& out) {
  ByteReader reader(extension);
  ByteReader list(reader.TakeUpTo(reader.U16()));
  while (!list.rest().empty() && out.alpn.size() < kMaxAlpn) {
    const std::string_view protocol = list.Take(list.U8());
    if (!list.ok()) return;
    out.alpn.push_back(NameText(protocol));
  }
}

// What of the body is there; extensions that are cut are left out.
void ReadBody(std::string_view body, ServerName& out) {
  ByteReader reader(body);
  reader.Take(2 + 32);        // version, random
  reader.Take(reader.U8());   // session
  reader.Take(reader.U16());  // cipher suites
  reader.Take(reader.U8());   // compression
  const std::uint16_t length = reader.U16();
  if (!reader.ok()) return;
  ByteReader extensions(reader.TakeUpTo(length));
  while (!extensions.rest().empty()) {
    const std::uint16_t type = extensions.U16();
    const std::string_view extension = extensions.Take(extensions.U16());
    if (!extensions.ok()) return;
    if (type == kServerName && out.name.empty()) ReadServerName(extension, out);
    if (type == kAlpn && out.alpn.empty()) ReadAlpn(extension, out);
  }
}

// Whether what is there of a hello's beginning contradicts one.
bool Contradicts(std::string_view handshake) {
  ByteReader reader(handshake);
  const std::uint8_t type = reader.U8();
  if (reader.ok() && type != kClientHello) return true;
  const std::uint32_t length = reader.U24();
  if (reader.ok() && (length < 2 + 32 + 1 || length > kMaxHello)) return true;
  const std::uint8_t version = reader.U8();
  return reader.ok() && version != 3;  // SSL 3.0 to TLS 1.3
}

bool IsWhole(std::string_view handshake) {
  ByteReader reader(handshake);
  reader.U8();
  reader.Take(reader.U24());
  return reader.ok();
}

}  // namespace

Verdict ParseClientHello(std::string_view handshake, ServerName& out) {
  out.name.clear();
  out.alpn.clear();
  if (Contradicts(handshake)) return Verdict::kOther;
  ByteReader reader(handshake);
  reader.U8();
  const std::uint32_t length = reader.U24();
  if (!reader.ok()) return Verdict::kMore;
  const std::string_view body = reader.TakeUpTo(length);
  ReadBody(body, out);
  return body.size() == length ? Verdict::kFound : Verdict::kMore;
}

Verdict ParseTlsStream(std::string_view stream, ServerName& out) {
  // Most hellos are in one record, and so are found where they lie; of several the bodies are
  // joined.
  std::string joined;
  std::string_view handshake;
  ByteReader reader(stream);
  while (!reader.rest().empty() && !Contradicts(handshake) && !IsWhole(handshake)) {
    const std::size_t left = reader.rest().size();
    const std::uint8_t type = reader.U8();
    const std::uint8_t major = reader.U8();
    const std::uint8_t minor = reader.U8();
    const std::size_t length = reader.U16();
    const bool known =
        type == kHandshakeRecord && (left < 2 || major == 3) && (left < 3 || minor <= 4);
    if (!known) return Verdict::kOther;
    if (!reader.ok()) break;
    if (length == 0 || length > kMaxRecord) return Verdict::kOther;
    const std::string_view body = reader.TakeUpTo(length);
    if (handshake.empty()) {
      handshake = body;
    } else {
      if (joined.empty()) joined = handshake;
      joined += body;
      handshake = joined;
    }
  }
  return ParseClientHello(handshake, out);
}

}  // namespace culprit
