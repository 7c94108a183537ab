// SPDX-License-Identifier: Apache-2.0
#include "agent/source/ledger_reader.h"

#include <bpf/bpf.h>

#include <map>
#include <vector>

#include "bpf/abi.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxEntries = 65'536;  // a walk restarts where an entry goes meanwhile

// From so many entries on those of namespaces that nobody lives in are taken out: containers that
// came and went.
constexpr std::size_t kCrowded = 256;

struct LedgerKey {
  culprit_u32 netns, ifindex;
};

}  // namespace

Status LedgerReader::Read(int map_fd, const RecordSink& sink, const UserEventSink& devices) {
  const BootTime now = ReadBootClock();
  std::map<std::uint32_t, std::vector<LedgerKey>> entries;  // by namespace
  std::size_t count = 0;
  LedgerKey key{};
  LedgerKey next{};
  const LedgerKey* before = nullptr;
  for (std::size_t n = 0; n < kMaxEntries; ++n) {
    if (bpf_map_get_next_key(map_fd, before, &next) != 0) break;
    key = next;
    before = &key;
    culprit_interface entry{};
    if (bpf_map_lookup_elem(map_fd, &key, &entry) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoError("read the ledger");
    }
    entry.header.kind = CULPRIT_RECORD_INTERFACE;
    entry.header.reserved = 0;
    entry.header.size = sizeof(entry);
    entry.header.boot_ns = ToNs(now);
    entry.netns = key.netns;
    entry.ifindex = key.ifindex;
    entries[key.netns].push_back(key);
    ++count;
    sink({reinterpret_cast<const char*>(&entry), sizeof(entry)});
  }
  for (const auto& [inode, keys] : entries) {
    auto interfaces = namespaces_.Read(inode, now);
    if (!interfaces) {
      if (count > kCrowded && inode != 0) {
        for (const LedgerKey& gone : keys) bpf_map_delete_elem(map_fd, &gone);
      }
      continue;
    }
    for (InterfaceCountersEvent& interface : *interfaces) devices(Event(std::move(interface)));
  }
  return Ok();
}

}  // namespace culprit
