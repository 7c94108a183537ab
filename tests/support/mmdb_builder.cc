// SPDX-License-Identifier: Apache-2.0
#include "tests/support/mmdb_builder.h"

#include <array>

namespace culprit::testing {
namespace {

enum Type : std::uint8_t {
  kText = 2,
  kUint16 = 5,
  kUint32 = 6,
  kMap = 7,
  kUint64 = 9,
  kArray = 11
};

std::string Control(Type type, std::size_t size) {
  const bool extended = type > 7;
  std::string out(
      1, static_cast<char>((extended ? 0U : unsigned{type} << 5U) | (size < 29 ? size : 29U)));
  if (extended) out += static_cast<char>(type - 7);
  if (size >= 29) out += static_cast<char>(size - 29);  // texts of these tests end below 285
  return out;
}

std::string Number(Type type, std::uint64_t value, std::size_t bytes) {
  std::string out = Control(type, bytes);
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i));
  return out;
}

// A node has a record for bit 0 and one for bit 1: 0 = nothing, else a node, or data behind kData.
constexpr std::uint32_t kData = 0x800000;
using Node = std::array<std::uint32_t, 2>;

void Insert(const Cidr& block, std::uint32_t offset, std::vector<Node>* nodes) {
  auto bytes = block.base.bytes();
  if (block.base.IsV4()) bytes[10] = bytes[11] = 0;  // IPv4 lies at ::/96
  std::size_t node = 0;
  for (std::size_t bit = 0;; ++bit) {
    const unsigned which = (bytes[bit / 8] >> (7 - bit % 8)) & 1U;
    if (bit + 1U == block.prefix_length) {
      (*nodes)[node][which] = kData + offset;
      return;
    }
    std::uint32_t next = (*nodes)[node][which];
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes->size());
      (*nodes)[node][which] = next;
      nodes->push_back({0, 0});
    }
    node = next;
  }
}

}  // namespace

std::string MmdbText(const std::string& text) { return Control(kText, text.size()) + text; }
std::string MmdbUint32(std::uint32_t value) { return Number(kUint32, value, 4); }
std::string MmdbMap(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = Control(kMap, entries.size());
  for (const auto& [key, value] : entries) out += MmdbText(key) + value;
  return out;
}

std::string BuildMmdb(const std::string& type, std::uint64_t built,
                      const std::vector<MmdbNetwork>& networks) {
  std::vector<Node> nodes = {{0, 0}};
  std::string data;
  for (const MmdbNetwork& network : networks) {
    Insert(*Cidr::Parse(network.block), static_cast<std::uint32_t>(data.size()), &nodes);
    data += network.data;
  }
  const auto count = static_cast<std::uint32_t>(nodes.size());
  std::string out;
  for (const Node& node : nodes) {
    for (const std::uint32_t record : node) {
      const std::uint32_t value = record == 0      ? count
                                  : record < kData ? record
                                                   : record - kData + count + 16;
      for (const unsigned shift : {16U, 8U, 0U}) out += static_cast<char>(value >> shift);
    }
  }
  out += std::string(16, '\0') + data + "\xab\xcd\xefMaxMind.com";
  out += MmdbMap({{"binary_format_major_version", Number(kUint16, 2, 2)},
                  {"binary_format_minor_version", Number(kUint16, 0, 2)},
                  {"build_epoch", Number(kUint64, built, 8)},
                  {"database_type", MmdbText(type)},
                  {"description", MmdbMap({})},
                  {"ip_version", Number(kUint16, 6, 2)},
                  {"languages", Control(kArray, 0)},
                  {"node_count", MmdbUint32(count)},
                  {"record_size", Number(kUint16, 24, 2)}});
  return out;
}

}  // namespace culprit::testing
