// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/record_text.h"

#include <arpa/inet.h>

#include <cstring>
#include <sstream>

#include "bpf/abi.h"

namespace culprit {
namespace {

std::string Address(const culprit_u8* bytes, int family, int port) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (family == 4) {
    inet_ntop(AF_INET, bytes + 12, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, bytes, text, sizeof(text));
  }
  return std::string(text) + "#" + std::to_string(port);
}

std::string Key(const culprit_process_key& key) {
  return std::to_string(key.tgid) + "." + std::to_string(key.exec_id);
}

const char* Reason(int reason) {
  static const char* const kNames[] = {"?",     "ATTEMPT", "ESTABLISHED", "FAILED",
                                       "OWNER", "END",     "SNAPSHOT",    "FIRST"};
  return reason >= 0 && reason < 8 ? kNames[reason] : "?";
}

void Flow(const culprit_flow& f, std::ostream& out) {
  static const char* const kDirections[] = {"unknown", "out", "in", "listen", "forwarded"};
  out << "FLOW " << Reason(f.reason) << " cookie=" << f.cookie << "/" << f.generation
      << " proto=" << int{f.protocol} << " "
      << kDirections[f.direction <= CULPRIT_DIRECTION_FORWARDED ? f.direction : 0] << " "
      << Address(f.local, f.family, f.local_port) << " "
      << Address(f.remote, f.family, f.remote_port) << " owner=" << Key(f.owner)
      << " creator=" << Key(f.creator) << " uid=" << f.uid
      << " comm=" << std::string_view(f.comm, strnlen(f.comm, sizeof(f.comm)))
      << " tx=" << f.tx_wire_bytes << "/" << f.tx_skb_bytes << "/" << f.tx_packets
      << " rx=" << f.rx_wire_bytes << "/" << f.rx_skb_bytes << "/" << f.rx_packets
      << " payload=" << f.tx_payload_bytes << "/" << f.rx_payload_bytes
      << " again=" << f.retransmitted_bytes << " err=" << f.error << " flags=" << f.flags
      << " senders=" << f.n_senders << " state=" << int{f.tcp_state} << " netns=" << f.netns
      << " srtt_us=" << f.srtt_us << " ifindex=" << f.tx_ifindex << "/" << f.rx_ifindex;
}

}  // namespace

std::string RecordText(std::string_view record) {
  culprit_header header{};
  std::ostringstream out;
  if (record.size() < sizeof(header)) return "short record";
  std::memcpy(&header, record.data(), sizeof(header));
  out << header.boot_ns << " ";
  if (header.kind == CULPRIT_RECORD_FLOW && record.size() >= sizeof(culprit_flow)) {
    culprit_flow flow;
    std::memcpy(&flow, record.data(), sizeof(flow));
    Flow(flow, out);
  } else if (header.kind == CULPRIT_RECORD_EXEC) {
    culprit_exec exec{};
    std::memcpy(&exec, record.data(), std::min(record.size(), sizeof(exec)));
    out << "EXEC " << Key(exec.key) << " previous=" << Key(exec.previous)
        << " parent=" << Key(exec.parent) << " uid=" << exec.uid << "/" << exec.euid
        << " loginuid=" << exec.loginuid << " comm=" << exec.comm << " path=" << exec.path
        << " inode=" << exec.exe.inode << " dev=" << exec.exe.dev_major << ":" << exec.exe.dev_minor
        << " nlink=" << exec.exe.nlink << " ctime=" << exec.exe.ctime_sec
        << " cgroup=" << exec.cgroup << " netns=" << exec.netns << " nspid=" << exec.pid_in_ns
        << " flags=" << exec.flags << " argv=[";
    for (culprit_u32 i = 0; i < exec.args_len && i < CULPRIT_ARGS_LEN; ++i) {
      out << (exec.args[i] == 0 ? ' ' : exec.args[i]);
    }
    out << "]";
  } else if (header.kind == CULPRIT_RECORD_FORK && record.size() >= sizeof(culprit_fork)) {
    culprit_fork fork;
    std::memcpy(&fork, record.data(), sizeof(fork));
    out << "FORK " << Key(fork.child) << " parent=" << Key(fork.parent) << " comm=" << fork.comm;
  } else if (header.kind == CULPRIT_RECORD_EXIT && record.size() >= sizeof(culprit_exit)) {
    culprit_exit exit;
    std::memcpy(&exit, record.data(), sizeof(exit));
    out << "EXIT " << Key(exit.key) << " code=" << exit.exit_code;
  } else if (header.kind == CULPRIT_RECORD_COUNTERS && record.size() >= sizeof(culprit_counters)) {
    culprit_counters c;
    std::memcpy(&c, record.data(), sizeof(c));
    out << "COUNTERS " << Key(c.key) << " comm=" << c.comm << " attempts=" << c.tcp_attempts
        << " outcome=";
    for (const auto n : c.outcome) out << n << ",";
    out << " accepts=" << c.accepts << " tx=" << c.tx_wire_bytes << "/" << c.tx_packets
        << " rx=" << c.rx_wire_bytes << "/" << c.rx_packets << " suppressed=" << c.suppressed_flows;
  } else if (header.kind == CULPRIT_RECORD_LOST && record.size() >= sizeof(culprit_lost)) {
    culprit_lost lost;
    std::memcpy(&lost, record.data(), sizeof(lost));
    out << "LOST ";
    for (const auto n : lost.stat) out << n << ",";
  } else {
    out << "kind=" << header.kind << " size=" << header.size;
  }
  return out.str();
}

}  // namespace culprit
