// SPDX-License-Identifier: Apache-2.0
// The reader of the ledger on a map of our own. Needs root (label bpf).
#include "agent/source/ledger_reader.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>
#include <map>

#include "bpf/abi.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

struct Key {
  std::uint32_t netns, ifindex;
};

std::uint32_t OwnNetns() {
  std::array<char, 64> link{};
  const ssize_t n = readlink("/proc/self/ns/net", link.data(), link.size());
  std::uint32_t inode = 0;
  if (n > 5) std::from_chars(&link[5], &link[static_cast<std::size_t>(n)], inode);
  return inode;
}

TEST(LedgerReaderTest, DeliversEveryEntryAndTheInterfacesOfNamespacesThatSomebodyLivesIn) {
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_HASH, "ledger_test", sizeof(Key),
                                    sizeof(culprit_interface), 64, nullptr));
  ASSERT_TRUE(map) << "root is needed";
  constexpr std::uint32_t kDeserted = 12;  // no inode of a namespace
  for (const std::uint32_t netns : {OwnNetns(), kDeserted}) {
    for (std::uint32_t ifindex = 1; ifindex <= 20; ++ifindex) {
      const Key key{netns, ifindex};
      culprit_interface value{};
      value.header_len = 14;
      value.tx.skb_bytes[CULPRIT_CLASS_PROCESS] = ifindex;
      ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &value, BPF_ANY), 0);
    }
  }
  std::map<std::uint32_t, std::uint64_t> entries;
  std::map<std::uint32_t, std::size_t> interfaces;
  bool loopback = false;
  LedgerReader reader;
  const auto read = reader.Read(
      map.get(),
      [&](std::string_view record) {
        culprit_interface value{};
        ASSERT_EQ(record.size(), sizeof(value));
        std::memcpy(&value, record.data(), sizeof(value));
        EXPECT_EQ(value.header.kind, CULPRIT_RECORD_INTERFACE);
        EXPECT_EQ(value.header.size, sizeof(value));
        EXPECT_NE(value.header.boot_ns, 0U);
        EXPECT_EQ(value.tx.skb_bytes[CULPRIT_CLASS_PROCESS], value.ifindex);
        entries[value.netns] += value.ifindex;
      },
      [&](const Event& event) {
        const auto& interface = std::get<InterfaceCountersEvent>(event);
        ++interfaces[interface.netns];
        loopback |= interface.name == "lo";
      });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(entries[OwnNetns()], 210U);
  EXPECT_EQ(entries[kDeserted], 210U);
  EXPECT_GE(interfaces[OwnNetns()], 1U);
  EXPECT_TRUE(loopback);
  EXPECT_EQ(interfaces.count(kDeserted), 0U);
}

TEST(LedgerReaderTest, AHalfFullTableLosesTheEntriesOfNamespacesThatNobodyLivesInAndNoOthers) {
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_HASH, "ledger_test", sizeof(Key),
                                    sizeof(culprit_interface), 512, nullptr));
  ASSERT_TRUE(map) << "root is needed";
  const culprit_interface value{};
  const auto put = [&](Key key) { return bpf_map_update_elem(map.get(), &key, &value, BPF_ANY); };
  const auto has = [&](Key key) {
    culprit_interface found{};
    return bpf_map_lookup_elem(map.get(), &key, &found) == 0;
  };
  ASSERT_EQ(put({0, 0}), 0);
  ASSERT_EQ(put({OwnNetns(), 1}), 0);
  for (std::uint32_t n = 1; n <= 200; ++n) ASSERT_EQ(put({n, 1}), 0);
  LedgerReader reader;
  const auto ignore = [](const auto&) {};
  ASSERT_TRUE(reader.Read(map.get(), ignore, ignore));
  EXPECT_TRUE(has({200, 1})) << "there is room";
  for (std::uint32_t n = 201; n <= 300; ++n) ASSERT_EQ(put({n, 1}), 0);
  ASSERT_TRUE(reader.Read(map.get(), ignore, ignore));
  EXPECT_FALSE(has({1, 1}));
  EXPECT_FALSE(has({300, 1}));
  EXPECT_TRUE(has({OwnNetns(), 1}));
  EXPECT_TRUE(has({0, 0})) << "the rest has no namespace";
}

}  // namespace
}  // namespace culprit
