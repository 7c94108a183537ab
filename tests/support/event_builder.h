// SPDX-License-Identifier: Apache-2.0
// Builders of events with sensible defaults, and of raw kernel records, for tests of the pure stages.
#ifndef CULPRIT_TESTS_SUPPORT_EVENT_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_EVENT_BUILDER_H_

#include <netinet/in.h>

#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/record.h"

namespace culprit::testing {

using namespace std::chrono_literals;  // NOLINT(google-global-names-in-headers): tests read better

inline BootTime At(std::chrono::nanoseconds t) { return BootTime(t); }

inline Uuid BootId() {
  Uuid u;
  u.bytes.fill(0xb0);
  return u;
}
inline Uuid RunId() {
  Uuid u;
  u.bytes.fill(0x52);
  return u;
}

// A process of tgid `tgid` that began at tgid milliseconds.
inline ProcessKey Key(std::uint32_t tgid, std::uint64_t exec_id = 1) {
  return {Tgid{tgid}, At(std::chrono::milliseconds(tgid)), exec_id};
}
inline ProcessId IdOf(const ProcessKey& key) { return MakeProcessId(BootId(), key); }

inline ExeIdentity Exe(std::uint64_t inode) {
  ExeIdentity exe;
  exe.dev_major = 8;
  exe.dev_minor = 1;
  exe.inode = inode;
  exe.size_bytes = 1000 + inode;
  exe.ctime_ns = 1'700'000'000'000'000'000;
  return exe;
}

// An outbound TCP connection of process 100 from 192.0.2.1:40000 to 198.51.100.7:443, begun at 1 s.
class Flow {
 public:
  Flow() {
    e_.at = e_.start = e_.counted_from = At(1s);
    e_.owner = e_.creator = Key(100);
    e_.cookie = SocketCookie{1};
    e_.local = Endpoint::Parse("192.0.2.1:40000").value_or(Endpoint{});
    e_.remote = Endpoint::Parse("198.51.100.7:443").value_or(Endpoint{});
    e_.protocol = IPPROTO_TCP;
    e_.direction = Direction::kOut;
    e_.uid = Uid{1000};
    e_.netns = 4026531840U;
    e_.comm = "curl";
  }
  Flow& Cookie(std::uint64_t cookie) { return e_.cookie = SocketCookie{cookie}, *this; }
  Flow& Generation(std::uint32_t generation) { return e_.generation = generation, *this; }
  Flow& Reason(FlowReason reason) { return e_.reason = reason, *this; }
  Flow& When(std::chrono::nanoseconds t) { return e_.at = e_.last = At(t), *this; }
  Flow& Established(std::chrono::nanoseconds t) { return e_.established = At(t), *this; }
  Flow& CountedFrom(std::chrono::nanoseconds t) { return e_.counted_from = At(t), *this; }
  Flow& Owner(const ProcessKey& key) { return e_.owner = key, *this; }
  Flow& Creator(const ProcessKey& key) { return e_.creator = key, *this; }
  Flow& Local(std::string_view text) { return e_.local = Endpoint::Parse(text).value(), *this; }
  Flow& Remote(std::string_view text) { return e_.remote = Endpoint::Parse(text).value(), *this; }
  Flow& Protocol(std::uint8_t protocol) { return e_.protocol = protocol, *this; }
  Flow& Dir(Direction direction) { return e_.direction = direction, *this; }
  Flow& Flags(std::uint32_t flags) { return e_.flags = flags, *this; }
  Flow& Errno(std::int32_t error) { return e_.error = error, *this; }
  Flow& TcpState(std::uint8_t state) { return e_.tcp_state = state, *this; }
  Flow& Senders(std::uint32_t n) { return e_.n_senders = n, *this; }
  // Payload; wire bytes and packets follow from it, 1,000 bytes a packet.
  Flow& Tx(std::uint64_t bytes) {
    e_.totals.tx_payload_bytes = bytes;
    e_.totals.tx_packets = bytes / 1'000 + 1;
    e_.totals.tx_wire_bytes = e_.totals.tx_skb_bytes = bytes + 52 * e_.totals.tx_packets;
    return *this;
  }
  Flow& Rx(std::uint64_t bytes) {
    e_.totals.rx_payload_bytes = bytes;
    e_.totals.rx_packets = bytes / 1'000 + 1;
    e_.totals.rx_wire_bytes = e_.totals.rx_skb_bytes = bytes + 52 * e_.totals.rx_packets;
    return *this;
  }
  Flow& Totals(const FlowTotals& totals) { return e_.totals = totals, *this; }
  FlowEvent Build() const { return e_; }

 private:
  FlowEvent e_;
};

// /usr/bin/curl by process 100, child of 50, user 1000.
class Exec {
 public:
  explicit Exec(const ProcessKey& key = Key(100)) {
    e_.at = At(1s);
    e_.key = key;
    e_.parent = Key(50);
    e_.uid = e_.euid = Uid{1000};
    e_.comm = "curl";
    e_.path = "/usr/bin/curl";
    e_.argv = {"curl", "https://192.0.2.9/"};
    e_.cgroup = "system.slice/cron.service";
    e_.cgroup_id = 7;
    e_.exe = Exe(42);
    e_.netns = 4026531840U;
  }
  Exec& When(std::chrono::nanoseconds t) { return e_.at = At(t), *this; }
  Exec& Previous(const ProcessKey& key) { return e_.previous = key, *this; }
  Exec& Parent(const ProcessKey& key) { return e_.parent = key, *this; }
  Exec& Path(std::string path) {
    e_.path = std::move(path);
    e_.comm = e_.path.substr(e_.path.rfind('/') + 1);
    e_.argv = {e_.comm};
    return *this;
  }
  Exec& Argv(std::vector<std::string> argv) { return e_.argv = std::move(argv), *this; }
  Exec& Cgroup(std::string name) { return e_.cgroup = std::move(name), *this; }
  Exec& File(const ExeIdentity& exe) { return e_.exe = exe, *this; }
  Exec& NoFile() { return e_.exe = ExeIdentity{}, *this; }
  Exec& User(std::uint32_t uid) { return e_.uid = e_.euid = Uid{uid}, *this; }
  Exec& LoginUser(std::uint32_t uid) { return e_.login_uid = Uid{uid}, *this; }
  Exec& FromIterator() { return e_.from_iterator = true, *this; }
  Exec& KernelThread() { return e_.kernel_thread = true, NoFile(); }
  ExecEvent Build() const { return e_; }

 private:
  ExecEvent e_;
};

inline ForkEvent Fork(const ProcessKey& child, const ProcessKey& parent,
                      std::chrono::nanoseconds t = 1s) {
  ForkEvent e;
  e.at = At(t);
  e.child = child;
  e.parent = parent;
  e.uid = Uid{1000};
  e.comm = "forked";
  e.cgroup_id = 7;
  e.netns = 4026531840U;
  return e;
}

inline ExitEvent Exit(const ProcessKey& key, std::chrono::nanoseconds t, std::int32_t status = 0) {
  ExitEvent e;
  e.at = At(t);
  e.key = key;
  e.wait_status = status;
  return e;
}

// The bytes of a kernel record. `Record` is a struct of bpf/abi.h.
template <class Record>
Record RawRecord(std::uint16_t kind, std::uint64_t boot_ns = 1'000'000'000) {
  Record record;
  std::memset(&record, 0, sizeof(record));
  record.header.kind = kind;
  record.header.size = sizeof(record);
  record.header.boot_ns = boot_ns;
  return record;
}
template <class Record>
std::string RawBytes(const Record& record) {
  std::string bytes(sizeof(record), '\0');
  std::memcpy(bytes.data(), &record, sizeof(record));
  bytes.resize(record.header.size < sizeof(record) ? record.header.size : sizeof(record));
  return bytes;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_EVENT_BUILDER_H_
