// SPDX-License-Identifier: Apache-2.0
#include "agent/names/socks.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "agent/names/name_text.h"
#include "common/byte_reader.h"
#include "common/net_address.h"

namespace culprit {
namespace {

constexpr std::uint8_t kConnect = 1, kUdpAssociate = 3;

// Names and users are text: what is not is another protocol that begins with the same bytes.
bool IsText(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Takes text and the zero behind it.
Verdict TakeText(ByteReader& reader, std::string_view& text) {
  const std::string_view rest = reader.rest();
  const std::size_t end = rest.find('\0');
  text = rest.substr(0, end);
  if (text.size() > kMaxSocks4User || !IsText(text)) return Verdict::kOther;
  if (end == std::string_view::npos) return Verdict::kMore;
  reader.Take(end + 1);
  return Verdict::kFound;
}

// Behind the version.
Verdict ParseSocks4(ByteReader reader, ProxyRequest& out) {
  if (reader.rest().empty()) return Verdict::kMore;
  out.command = reader.U8();
  if (out.command < kConnect || out.command >= kUdpAssociate) return Verdict::kOther;
  out.port = reader.U16();
  const std::string_view address = reader.Take(4);
  if (!reader.ok()) return Verdict::kMore;
  if (out.port == 0) return Verdict::kOther;
  std::string_view user;
  if (const Verdict verdict = TakeText(reader, user); verdict != Verdict::kFound) return verdict;
  if (address.starts_with(std::string_view("\0\0\0", 3)) && address[3] != 0) {  // 4a
    std::string_view host;
    if (const Verdict verdict = TakeText(reader, host); verdict != Verdict::kFound) return verdict;
    if (host.empty()) return Verdict::kOther;
    out.host = NameText(host);
  } else {
    out.host = AddressText(address);
  }
  // The client waits for the answer, so that this is all; so short a pattern is met elsewhere too.
  return reader.rest().empty() ? Verdict::kFound : Verdict::kOther;
}

// RFC 1929, if it is there: a client that offered a method without it goes on with its request at
// once.
Verdict SkipUserAndPassword(ByteReader& reader) {
  if (reader.rest().empty()) return Verdict::kMore;
  constexpr char kVersion = 1;
  if (reader.rest().front() != kVersion) return Verdict::kFound;
  reader.U8();
  reader.Take(reader.U8());
  reader.Take(reader.U8());
  return reader.ok() ? Verdict::kFound : Verdict::kMore;
}

Verdict ParseRequest5(ByteReader& reader, ProxyRequest& out) {
  const std::string_view begin = reader.rest();
  const std::uint8_t version = reader.U8();
  out.command = reader.U8();
  const std::uint8_t reserved = reader.U8();
  const std::uint8_t kind = reader.U8();
  const bool plausible =
      (begin.empty() || version == 5) &&
      (begin.size() < 2 || (out.command >= kConnect && out.command <= kUdpAssociate)) &&
      (begin.size() < 3 || reserved == 0) &&
      (begin.size() < 4 || kind == 1 || kind == 3 || kind == 4);
  if (!plausible) return Verdict::kOther;
  if (!reader.ok()) return Verdict::kMore;
  constexpr std::uint8_t kName = 3, kV4 = 1;
  const std::string_view host =
      reader.Take(kind == kName ? reader.U8() : (kind == kV4 ? std::size_t{4} : std::size_t{16}));
  out.port = reader.U16();
  if (!reader.ok()) return Verdict::kMore;
  if (host.empty() || (kind == kName && !IsText(host))) return Verdict::kOther;
  out.host = kind == kName ? NameText(host) : AddressText(host);
  return Verdict::kFound;
}

Verdict ParseSocks5(ByteReader reader, ProxyRequest& out) {
  if (reader.rest().empty()) return Verdict::kMore;
  const std::uint8_t methods = reader.U8();
  if (methods == 0 || methods > kMaxSocksMethods) return Verdict::kOther;
  reader.Take(methods);
  if (!reader.ok()) return Verdict::kMore;
  if (const Verdict verdict = SkipUserAndPassword(reader); verdict != Verdict::kFound) {
    return verdict;
  }
  return ParseRequest5(reader, out);
}

}  // namespace

Verdict ParseSocks(std::string_view stream, ProxyRequest& out) {
  out = ProxyRequest{};
  out.source = NameSource::kSocks;
  ByteReader reader(stream);
  if (stream.empty()) return Verdict::kMore;
  switch (reader.U8()) {
    case 4:
      return ParseSocks4(reader, out);
    case 5:
      return ParseSocks5(reader, out);
    default:
      return Verdict::kOther;
  }
}

}  // namespace culprit
