// SPDX-License-Identifier: Apache-2.0
#include "tests/support/record_builder.h"

#include <cstdlib>
#include <numeric>

namespace culprit::testing {
namespace {

std::uint32_t AddressIndex(const std::string& text, v1::FlowBatch* batch) {
  const IpAddress address = IpAddress::Parse(text).value();
  const std::string bytes(address.IsV4() ? address.AsBytes().substr(12) : address.AsBytes());
  for (int i = 0; i < batch->addresses_size(); ++i) {
    if (batch->addresses(i) == bytes) return static_cast<std::uint32_t>(i);
  }
  batch->add_addresses(bytes);
  return static_cast<std::uint32_t>(batch->addresses_size() - 1);
}

std::uint32_t ProcessIndex(std::uint64_t id, v1::FlowBatch* batch) {
  for (int i = 0; i < batch->process_ids_size(); ++i) {
    if (batch->process_ids(i) == id) return static_cast<std::uint32_t>(i);
  }
  batch->add_process_ids(id);
  return static_cast<std::uint32_t>(batch->process_ids_size() - 1);
}

template <class Column>
std::int64_t SumOf(const Column& column) {
  return std::accumulate(column.begin(), column.end(), std::int64_t{0});
}

}  // namespace

void AppendRow(const Row& row, v1::FlowBatch* b) {
  const auto start = static_cast<std::int64_t>(BootAt(row.start));
  const auto emitted = static_cast<std::int64_t>(BootAt(row.emitted));
  const double last = row.last < 0 ? row.emitted : row.last;
  b->set_rows(b->rows() + 1);
  b->add_flow_id(row.flow);
  b->add_cookie(static_cast<std::int64_t>(row.flow) - SumOf(b->cookie()));
  b->add_process(ProcessIndex(row.process, b));
  b->add_creator(ProcessIndex(row.creator == 0 ? row.process : row.creator, b));
  b->add_local(AddressIndex(row.local, b));
  b->add_remote(AddressIndex(row.remote, b));
  b->add_local_port(row.local_port);
  b->add_remote_port(row.remote_port);
  b->add_protocol(row.protocol);
  b->add_direction(static_cast<std::uint32_t>(row.direction));
  b->add_state(static_cast<std::uint32_t>(row.state));
  b->add_error(row.error);
  b->add_flags(row.flags);
  b->add_start_boot_ns(start - SumOf(b->start_boot_ns()));
  b->add_last_after_start_ns(BootAt(last) - BootAt(row.start));
  b->add_emitted_boot_ns(emitted - SumOf(b->emitted_boot_ns()));
  b->add_tx_wire_bytes(row.tx);
  b->add_rx_wire_bytes(row.rx);
  b->add_tx_packets(row.tx / 1000);
  b->add_rx_packets(row.rx / 1000);
  b->add_tx_payload_bytes(row.tx / 2);
  b->add_rx_payload_bytes(row.rx / 2);
  b->add_tx_skb_bytes(row.tx);
  b->add_rx_skb_bytes(row.rx);
  b->add_generation(0);
  b->add_netns(4026531840U);
  b->add_n_senders(1);
  b->add_retransmitted_bytes(0);
}

v1::Process MakeProcess(std::uint64_t id, std::uint64_t parent, std::uint32_t pid,
                        const std::string& exe, const std::string& user) {
  v1::Process p;
  p.set_process_id(id);
  p.set_parent_id(parent);
  p.set_tgid(pid);
  p.set_start_boot_ns(BootAt(0));
  p.set_exec_boot_ns(BootAt(0));
  p.set_exe(exe);
  p.set_comm(exe.substr(exe.rfind('/') + 1));
  p.add_argv(p.comm());
  p.add_argv("--verbose");
  p.set_user(user);
  p.set_uid(1000);
  p.set_exe_sha256(std::string(32, static_cast<char>(id)));
  return p;
}

StoredFrame MakeStored(Lsn lsn, const v1::EvidenceBatch& batch, double at, std::uint8_t agent) {
  StoredFrame stored;
  stored.lsn = lsn;
  stored.stamp.received = WallTimeFromNs(WallAt(at));
  stored.stamp.agent_id.bytes.fill(agent);
  stored.stamp.agent_name = "agent-" + std::to_string(agent);
  FrameHeader header;
  header.seq = lsn;
  header.clock.boot = BootTimeFromNs(BootAt(at));
  header.clock.wall = WallTimeFromNs(WallAt(at));
  header.record_count = batch.flows().rows();
  auto frame = MakeFrame(header, batch.SerializeAsString());
  if (!frame) std::abort();
  stored.frame = std::move(*frame);
  return stored;
}

StoredFrame MakeStored(Lsn lsn, const std::vector<Row>& rows, double at, std::uint8_t agent) {
  v1::EvidenceBatch batch;
  batch.set_boot_id(std::string(16, static_cast<char>(agent)));
  batch.set_run_id(std::string(16, 'r'));
  for (const Row& row : rows) AppendRow(row, batch.mutable_flows());
  return MakeStored(lsn, batch, at, agent);
}

}  // namespace culprit::testing
