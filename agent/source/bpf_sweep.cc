// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_sweep.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <vector>

#include "common/time.h"
#include "culprit.skel.h"

namespace culprit {
namespace {

// Takes an entry out of its table; its last counters are those of the END.
void EndFlow(const LoadedPrograms& loaded, const bpf_map* map, const void* key,
             const RecordSink& sink) {
  const int fd = bpf_map__fd(map);
  std::vector<std::uint64_t> value((bpf_map__value_size(map) + 7) / 8);
  // Before 5.14 a hash cannot look up and delete in one step; then a packet in between is lost,
  // after a minute's rest.
  if (bpf_map_lookup_and_delete_elem(fd, key, value.data()) != 0) {
    if (bpf_map_lookup_elem(fd, key, value.data()) != 0) return;
    bpf_map_delete_elem(fd, key);
  }
  auto& flow = *reinterpret_cast<culprit_flow*>(value.data());
  flow.header.kind = CULPRIT_RECORD_FLOW;
  flow.header.reserved = 0;
  flow.header.size = sizeof(flow);
  flow.header.boot_ns = ToNs(ReadBootClock());
  flow.reason = CULPRIT_FLOW_END;
  const bool by_creator = (flow.flags & CULPRIT_FLOW_LINK) == 0 &&
                          flow.direction != CULPRIT_DIRECTION_FORWARDED && !loaded.has_send_length;
  if (by_creator) flow.flags |= CULPRIT_FLOW_OWNER_BY_CREATOR;
  sink({reinterpret_cast<const char*>(&flow), sizeof(flow)});
}

culprit_peer_key PeerKeyOf(const culprit_flow& flow) {
  culprit_peer_key key{};
  key.cookie = flow.cookie;
  std::memcpy(key.remote, flow.remote, sizeof(key.remote));
  key.remote_port = flow.remote_port;
  key.protocol = flow.protocol;
  key.generation = flow.generation;
  return key;
}

culprit_forward_key ForwardKeyOf(const culprit_flow& flow) {
  culprit_forward_key key{};
  key.netns = flow.netns;
  key.in = flow.rx_ifindex;
  key.out = flow.tx_ifindex;
  std::memcpy(key.source, flow.local, sizeof(key.source));
  std::memcpy(key.destination, flow.remote, sizeof(key.destination));
  key.source_port = flow.local_port;
  key.destination_port = flow.remote_port;
  key.protocol = flow.protocol;
  return key;
}

template <class Key>
Status SweepFlows(const char* hook, const bpf_map* map, Key (*key_of)(const culprit_flow&),
                  const LoadedPrograms& loaded, BpfTables& tables, const RecordSink& sink) {
  std::vector<Key> ended;
  return tables.Read(
      hook,
      [&](culprit_header& header, std::string_view record) {
        const bool over = (header.reserved & CULPRIT_SWEEP_REMOVE) != 0;
        header.reserved = 0;
        if (!over) return sink(record);
        ended.push_back(key_of(*reinterpret_cast<const culprit_flow*>(record.data())));
      },
      [&] {
        for (const Key& key : ended) EndFlow(loaded, map, &key, sink);  // END carries the counters
        ended.clear();
      });
}

Status SweepProcesses(const bpf_map* map, BpfTables& tables, const RecordSink& sink) {
  std::vector<culprit_process_key> ended;
  return tables.Read(
      "iter/processes",
      [&](culprit_header& header, std::string_view record) {
        const auto& counters = *reinterpret_cast<const culprit_counters*>(record.data());
        const auto sweep = header.reserved;
        header.reserved = 0;
        if ((sweep & CULPRIT_SWEEP_UNCHANGED) == 0) sink(record);
        if ((sweep & CULPRIT_SWEEP_REMOVE) != 0) ended.push_back(counters.key);
      },
      [&] {
        for (const culprit_process_key& key : ended) bpf_map_delete_elem(bpf_map__fd(map), &key);
        ended.clear();
      });
}

void DeliverUnsent(const bpf_map* map, const RecordSink& sink) {
  const int fd = bpf_map__fd(map);
  culprit_unsent_key key{};
  while (bpf_map_get_next_key(fd, nullptr, &key) == 0) {
    culprit_flow flow{};
    const bool found = bpf_map_lookup_elem(fd, &key, &flow) == 0;
    if (bpf_map_delete_elem(fd, &key) != 0) return;
    if (found) sink({reinterpret_cast<const char*>(&flow), sizeof(flow)});
  }
}

}  // namespace

Status SweepTables(const LoadedPrograms& loaded, BpfTables& tables, const RecordSink& sink) {
  const auto& maps = loaded.skeleton->maps;
  DeliverUnsent(maps.unsent, sink);
  TRY_VOID(SweepFlows("iter/peers", maps.peers, &PeerKeyOf, loaded, tables, sink));
  TRY_VOID(SweepFlows("iter/forwards", maps.forwards, &ForwardKeyOf, loaded, tables, sink));
  return SweepProcesses(maps.processes, tables, sink);
}

}  // namespace culprit
