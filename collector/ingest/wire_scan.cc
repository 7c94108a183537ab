// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/wire_scan.h"

#include <cstdint>
#include <optional>

namespace culprit {
namespace {

// Wire types of the protobuf encoding.
constexpr std::uint64_t kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5;

std::optional<std::uint64_t> ReadVarint(std::string_view* in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(in->front());
    in->remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80U) return value;
  }
  return std::nullopt;
}

bool Skip(std::string_view* in, std::uint64_t bytes) {
  if (bytes > in->size()) return false;
  in->remove_prefix(bytes);
  return true;
}

// Calls visit(field number, content) for each length-delimited field. False where the bytes are no
// message.
template <class Visit>
bool Walk(std::string_view in, Visit&& visit) {
  while (!in.empty()) {
    const auto tag = ReadVarint(&in);
    if (!tag) return false;
    const std::uint64_t type = *tag & 7U;
    if (type == kVarint) {
      if (!ReadVarint(&in)) return false;
    } else if (type == kFixed64 || type == kFixed32) {
      if (!Skip(&in, type == kFixed64 ? 8 : 4)) return false;
    } else if (type == kLengthDelimited) {
      const auto size = ReadVarint(&in);
      if (!size || *size > in.size()) return false;
      visit(*tag >> 3U, in.substr(0, *size));
      in.remove_prefix(*size);
    } else {
      return false;  // groups: not in this format
    }
  }
  return true;
}

// EvidenceBatch: boot_id and run_id are bytes, all other fields are messages.
constexpr std::uint64_t kFirstMessageField = 3;

}  // namespace

WireCount CountWireParts(std::string_view batch) {
  WireCount count;
  bool nested_ok = true;
  const bool ok = Walk(batch, [&](std::uint64_t field, std::string_view content) {
    ++count.top_level;
    if (field < kFirstMessageField) return;
    nested_ok =
        Walk(content, [&count](std::uint64_t, std::string_view) { ++count.nested; }) && nested_ok;
  });
  count.well_formed = ok && nested_ok;
  return count;
}

}  // namespace culprit
