// SPDX-License-Identifier: Apache-2.0
// Writes the seed corpus of fuzz_decode into a folder: one file a story of kernel records. Run
// again after a change of bpf/abi.h: make_decode_seeds tests/fuzz/corpus/fuzz_decode
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

#include "tests/support/event_builder.h"

namespace culprit::testing {
namespace {

culprit_process_key RawKey(culprit_u32 tgid, culprit_u64 exec_id) {
  return {tgid * 1'000'000ULL, exec_id, tgid, 0};
}

template <class Record>
std::string Framed(const Record& record) {
  const std::string bytes = RawBytes(record);
  const auto length = static_cast<std::uint16_t>(bytes.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + bytes;
}

std::string ExecOf(culprit_u32 tgid, culprit_u64 exec_id, std::string_view path) {
  auto exec = RawRecord<culprit_exec>(CULPRIT_RECORD_EXEC);
  exec.key = RawKey(tgid, exec_id);
  if (exec_id > 0) exec.previous = RawKey(tgid, exec_id - 1);
  exec.parent = RawKey(1, 1);
  exec.exe.inode = 42;
  exec.exe.nlink = 1;
  std::memcpy(exec.comm, "curl", 4);
  std::memcpy(exec.cgroup, "system.slice/cron.service", 25);
  std::memcpy(exec.path, path.data(), path.size());
  exec.path_len = static_cast<culprit_u32>(path.size());
  std::memcpy(exec.args, "curl\0-s\0", 8);
  exec.args_len = 8;
  exec.header.size = static_cast<culprit_u32>(offsetof(culprit_exec, args) + exec.args_len);
  return Framed(exec);
}

std::string ForkOf(culprit_u32 child, culprit_u32 parent) {
  auto fork = RawRecord<culprit_fork>(CULPRIT_RECORD_FORK);
  fork.child = RawKey(child, 0);
  fork.parent = RawKey(parent, 1);
  return Framed(fork);
}

std::string ExitOf(culprit_u32 tgid, culprit_u64 exec_id) {
  auto exit = RawRecord<culprit_exit>(CULPRIT_RECORD_EXIT);
  exit.key = RawKey(tgid, exec_id);
  return Framed(exit);
}

std::string FlowOf(culprit_u8 reason, culprit_u32 owner, culprit_u64 bytes, culprit_u32 flags = 0) {
  auto flow = RawRecord<culprit_flow>(CULPRIT_RECORD_FLOW);
  flow.owner = RawKey(owner, 1);
  flow.creator = RawKey(100, 1);
  flow.cookie = 7;
  flow.reason = reason;
  flow.family = 4;
  flow.protocol = 6;
  flow.direction = CULPRIT_DIRECTION_OUT;
  flow.remote_port = 443;
  flow.local_port = 40'000;
  flow.flags = flags;
  flow.tx_wire_bytes = flow.tx_payload_bytes = bytes;
  return Framed(flow);
}

std::string ForwardedOf(culprit_u8 reason, culprit_u64 bytes) {
  auto flow = RawRecord<culprit_flow>(CULPRIT_RECORD_FLOW);
  flow.cookie = 1ULL << 63;
  flow.reason = reason;
  flow.family = 6;
  flow.protocol = 17;
  flow.direction = CULPRIT_DIRECTION_FORWARDED;
  flow.remote_port = 53;
  flow.local_port = 40'000;
  flow.rx_ifindex = 2;
  flow.tx_ifindex = 3;
  flow.tx_wire_bytes = bytes;
  return Framed(flow);
}

// Of a process, or (tgid 0) of the overflow bucket of uid 1000.
std::string ActivityOf(culprit_u32 tgid) {
  auto counters = RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS);
  counters.key = tgid == 0 ? culprit_process_key{0, 1'001, 0, 0} : RawKey(tgid, 1);
  counters.uid = 1'000;
  counters.first_contacts = counters.first_contacts_failed = 300;
  counters.raw_packets = counters.bare_syns = 9;
  counters.window_boot_ns = 5;
  for (std::size_t i = 0; i < CULPRIT_ADDRESS_REGISTERS; i += 3) counters.address_registers[i] = 2;
  counters.port_registers[1] = 1;
  return Framed(counters);
}

std::string InterfaceOf(culprit_u32 ifindex, culprit_u64 bytes) {
  auto interface = RawRecord<culprit_interface>(CULPRIT_RECORD_INTERFACE);
  interface.netns = 4026531840U;
  interface.ifindex = ifindex;
  interface.hardware = ifindex & 1;
  interface.header_len = 14;
  std::memcpy(interface.name, "eth0", 4);
  for (culprit_u64& n : interface.tx.wire_bytes) n = bytes;
  for (culprit_u64& n : interface.rx.skb_bytes) n = bytes / 2;
  return Framed(interface);
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace
}  // namespace culprit::testing

int main(int argc, char** argv) {
  using namespace culprit::testing;
  if (argc != 2) {
    std::cerr << "usage: make_decode_seeds FOLDER\n";
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/";
  Write(folder + "connection",
        ForkOf(100, 1) + ExecOf(100, 1, "/usr/bin/curl") + FlowOf(CULPRIT_FLOW_ATTEMPT, 100, 0) +
            FlowOf(CULPRIT_FLOW_ESTABLISHED, 100, 60) + FlowOf(CULPRIT_FLOW_SNAPSHOT, 100, 5'000) +
            FlowOf(CULPRIT_FLOW_END, 100, 9'000) + ExitOf(100, 1));
  Write(folder + "owner_change",
        ExecOf(100, 1, "/bin/sh") + ForkOf(101, 100) + FlowOf(CULPRIT_FLOW_ESTABLISHED, 100, 10) +
            FlowOf(CULPRIT_FLOW_OWNER, 100, 20) + FlowOf(CULPRIT_FLOW_SNAPSHOT, 101, 30) +
            FlowOf(CULPRIT_FLOW_END, 101, 50));
  Write(folder + "failed", FlowOf(CULPRIT_FLOW_FAILED, 100, 60, CULPRIT_FLOW_ABORTED) +
                               FlowOf(CULPRIT_FLOW_END, 100, 60));
  Write(folder + "peer", FlowOf(CULPRIT_FLOW_FIRST, 100, 40, CULPRIT_FLOW_PEER) +
                             FlowOf(CULPRIT_FLOW_END, 100, 80, CULPRIT_FLOW_PEER));
  Write(folder + "exec_chain", ExecOf(5, 1, "/bin/sh") + ExecOf(5, 2, "/bin/env") +
                                   ExecOf(5, 3, "/usr/bin/python3") + ExitOf(5, 3));
  Write(folder + "counters", Framed(RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS)) +
                                 Framed(RawRecord<culprit_lost>(CULPRIT_RECORD_LOST)));
  Write(folder + "activity", ExecOf(100, 1, "/usr/bin/nmap") + ActivityOf(100) + ActivityOf(0));
  Write(folder + "forwarded", ForwardedOf(CULPRIT_FLOW_FIRST, 60) +
                                  ForwardedOf(CULPRIT_FLOW_SNAPSHOT, 900) +
                                  ForwardedOf(CULPRIT_FLOW_END, 999));
  Write(
      folder + "packet_socket",
      FlowOf(CULPRIT_FLOW_FIRST, 100, 60, CULPRIT_FLOW_LINK | CULPRIT_FLOW_PEER) +
          FlowOf(CULPRIT_FLOW_SNAPSHOT, 100, 600, CULPRIT_FLOW_REREAD | CULPRIT_FLOW_PREEXISTING));
  Write(folder + "interfaces", InterfaceOf(1, 100) + InterfaceOf(2, 200) + InterfaceOf(1, 50));
  return 0;
}
