// SPDX-License-Identifier: Apache-2.0
#include "agent/names/dns.h"

#include <cstdint>
#include <string>
#include <utility>

#include "agent/names/name_text.h"
#include "common/byte_reader.h"
#include "common/bytes.h"

namespace culprit {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kA = 1, kNs = 2, kCname = 5, kPtr = 12, kMx = 15, kAaaa = 28, kSrv = 33,
                        kOpt = 41;
constexpr std::uint16_t kInternet = 1, kClassMask = 0x7fff;  // the top bit is mDNS's own

struct Name {
  std::string text;
  std::size_t encoded = 0;  // bytes, without compression
};

// Reads the name at `at` and moves `at` behind it. A pointer leads to what stands before the part
// that it ends, so that none can lead round in a circle.
bool ReadName(std::string_view message, std::size_t& at, Name& out) {
  std::size_t position = at;
  std::size_t part = at;  // where the labels that are being read began
  bool jumped = false;
  for (std::size_t pointers = 0; position < message.size();) {
    const auto length = static_cast<std::uint8_t>(message[position]);
    if ((length & 0xc0) == 0xc0) {
      if (position + 2 > message.size() || ++pointers > kMaxDnsPointers) return false;
      const std::size_t target = LoadBe<std::uint16_t>(message.data() + position) & 0x3fffU;
      if (target >= part) return false;
      if (!jumped) at = position + 2;
      jumped = true;
      part = position = target;
      continue;
    }
    if (length > 63 || position + 1 + length > message.size()) return false;
    out.encoded += 1U + length;
    if (out.encoded > kMaxDnsName) return false;
    if (length == 0) {
      BoundName(out.text);
      if (!jumped) at = position + 1;
      return true;
    }
    if (!out.text.empty()) AppendNameText(".", true, out.text);
    AppendNameText(message.substr(position + 1, length), false, out.text);
    position += 1U + length;
  }
  return false;
}

// The name within a record's data, `before` bytes behind its beginning. Empty if it does not end
// where the data does.
std::string TargetName(std::string_view message, std::size_t data, std::size_t length,
                       std::size_t before) {
  std::size_t at = data + before;
  Name name;
  if (length < before || !ReadName(message, at, name) || at > data + length) return {};
  return std::move(name.text);
}

void ReadData(std::string_view message, std::size_t at, std::size_t length, DnsAnswer& answer) {
  switch (answer.type) {
    case kA:
    case kAaaa:
      if (length == (answer.type == kA ? 4 : 16)) {
        answer.address = IpAddress::FromBytes(message.substr(at, length)).value_or(IpAddress());
      }
      return;
    case kNs:
    case kCname:
    case kPtr:
      answer.target = TargetName(message, at, length, 0);
      return;
    case kMx:
      answer.target = TargetName(message, at, length, 2);
      return;
    case kSrv:
      answer.target = TargetName(message, at, length, 6);
      return;
    default:
      return;
  }
}

// False once nothing whole is left.
bool ReadAnswer(std::string_view message, std::size_t& at, DnsMessage& out) {
  Name name;
  if (!ReadName(message, at, name)) return false;
  ByteReader reader(message.substr(at));
  DnsAnswer answer;
  answer.name = std::move(name.text);
  answer.type = reader.U16();
  const std::uint16_t in_class = reader.U16() & kClassMask;
  answer.ttl_s = reader.U32();
  const std::size_t length = reader.U16();
  const std::size_t data = at + reader.position();
  if (reader.Take(length); !reader.ok()) return false;
  at = data + length;
  if (answer.type == kOpt) return true;
  if (in_class == kInternet) ReadData(message, data, length, answer);
  out.answers.push_back(std::move(answer));
  return true;
}

constexpr unsigned kStatus = 2;
// 0 query, 1 inverse query, 2 status, 4 notify, 5 update, 6 stateful.
bool KnownOpcode(unsigned opcode) { return opcode <= 6 && opcode != 3; }

}  // namespace

std::optional<DnsMessage> ParseDns(std::string_view message) {
  ByteReader header(message);
  DnsMessage out;
  out.id = header.U16();
  const std::uint16_t flags = header.U16();
  const std::uint16_t questions = header.U16();
  const std::uint16_t answers = header.U16();
  header.Take(4);  // authority and additional records are not looked at
  if (!header.ok()) return std::nullopt;
  out.response = (flags & 0x8000) != 0;
  out.truncated = (flags & 0x0200) != 0;
  out.opcode = static_cast<std::uint8_t>(flags >> 11 & 0xf);
  out.rcode = static_cast<std::uint8_t>(flags & 0xf);
  out.message_bytes = static_cast<std::uint32_t>(message.size());
  if (!KnownOpcode(out.opcode)) return std::nullopt;
  // Without a question: an answer of mDNS, a server that did not understand one, or a scanner's
  // asking for the status.
  if (questions == 0 && !out.response && out.opcode != kStatus) return std::nullopt;
  if (questions == 0 && answers == 0 && message.size() != kHeader) return std::nullopt;

  std::size_t at = kHeader;
  for (std::uint16_t i = 0; i < questions; ++i) {
    Name name;
    const bool whole = ReadName(message, at, name) && at + 4 <= message.size();
    if (!whole && i == 0) return std::nullopt;
    if (!whole) return out;
    if (i == 0) {
      out.type = LoadBe<std::uint16_t>(message.data() + at);
      out.name = std::move(name.text);
      out.name_bytes = static_cast<std::uint16_t>(name.encoded);
    }
    at += 4;
  }
  for (std::uint16_t i = 0; i < answers && out.answers.size() < kMaxDnsAnswers; ++i) {
    if (!ReadAnswer(message, at, out)) break;
  }
  return out;
}

}  // namespace culprit
