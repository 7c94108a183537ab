// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/decoder.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "agent/decode/hyperloglog.h"
#include "bpf/abi.h"
#include "common/ascii.h"

namespace culprit {
namespace {

// 146 years: leaves room to add intervals to any time that passes.
constexpr std::uint64_t kMaxTime = std::uint64_t{1} << 62;
constexpr std::int32_t kMaxErrno = 4095;
constexpr std::uint8_t kMaxRank = 65;          // of a 64 bit hash
constexpr std::uint32_t kMaxLinkHeader = 128;  // bytes; MAX_HEADER of the kernel is about that

// Collects the checks of one record; after the first that fails the values read no longer matter.
class Checker {
 public:
  DecodeFault fault() const { return fault_; }
  void Require(bool holds, DecodeFault fault) {
    if (!holds && fault_ == DecodeFault::kNone) fault_ = fault;
  }
  BootTime Time(std::uint64_t ns) {
    Require(ns <= kMaxTime, DecodeFault::kBadTime);
    return BootTimeFromNs(ns <= kMaxTime ? ns : 0);
  }
  ProcessKey Key(const culprit_process_key& key) {
    return {Tgid{key.tgid}, Time(key.start_boot_ns), key.exec_id};
  }

 private:
  DecodeFault fault_ = DecodeFault::kNone;
};

// memcpy first: ring buffer bytes have neither our alignment nor our lifetime.
template <class Record>
bool Load(std::string_view bytes, Record& record) {
  if (bytes.size() < sizeof(Record)) return false;
  std::memcpy(&record, bytes.data(), sizeof(Record));
  return true;
}

template <std::size_t N>
std::string Text(const char (&field)[N]) {
  return {field, strnlen(field, N)};
}

IpAddress Address(const culprit_u8 (&bytes)[16], std::uint8_t family) {
  const auto* begin = &bytes[0];
  if (family == 4) {
    return IpAddress::FromV4Bytes({begin[12], begin[13], begin[14], begin[15]});
  }
  const std::string_view view(reinterpret_cast<const char*>(begin), sizeof(bytes));
  return IpAddress::FromBytes(view).value_or(IpAddress());
}

std::vector<std::string> SplitArgs(std::string_view bytes) {
  std::vector<std::string> argv;
  while (!bytes.empty()) {
    argv.emplace_back(NextUntil(&bytes, '\0'));
  }
  return argv;
}

ExeIdentity Exe(const culprit_exe& exe) {
  ExeIdentity identity;
  identity.dev_major = exe.dev_major;
  identity.dev_minor = exe.dev_minor;
  identity.inode = exe.inode;
  identity.size_bytes = exe.size;
  // Unsigned, so that a hostile value wraps instead of overflowing; it then simply matches no file.
  identity.ctime_ns = static_cast<std::int64_t>(exe.ctime_sec * 1'000'000'000ULL + exe.ctime_nsec);
  return identity;
}

DecodeFault DecodeExec(std::string_view bytes, Event& event) {
  constexpr std::size_t kFixed = offsetof(culprit_exec, args);
  if (bytes.size() < kFixed) return DecodeFault::kShort;
  culprit_exec raw;
  std::memcpy(&raw, bytes.data(), kFixed);
  if (raw.args_len > CULPRIT_ARGS_LEN || raw.args_len > bytes.size() - kFixed ||
      raw.path_len >= CULPRIT_PATH_LEN) {
    return DecodeFault::kBadLength;
  }
  Checker check;
  ExecEvent& out = event.emplace<ExecEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.key = check.Key(raw.key);
  out.previous = check.Key(raw.previous);
  out.parent = check.Key(raw.parent);
  out.uid = Uid{raw.uid};
  out.euid = Uid{raw.euid};
  out.gid = raw.gid;
  out.login_uid = Uid{raw.loginuid};
  out.session_id = raw.session_id;
  out.cgroup_id = raw.cgroup_id;
  out.netns = raw.netns;
  out.comm = Text(raw.comm);
  out.cgroup = Text(raw.cgroup);
  out.path.assign(raw.path, strnlen(raw.path, raw.path_len));
  out.exe = Exe(raw.exe);
  out.exe_deleted = raw.exe.nlink == 0 && raw.exe.inode != 0;
  out.memfd = (raw.flags & CULPRIT_EXEC_MEMFD) != 0;
  out.from_iterator = (raw.flags & CULPRIT_EXEC_FROM_ITERATOR) != 0;
  out.kernel_thread = (raw.flags & CULPRIT_EXEC_KERNEL_THREAD) != 0;
  out.argv_truncated = (raw.flags & CULPRIT_EXEC_ARGS_TRUNCATED) != 0;
  out.path_truncated = (raw.flags & CULPRIT_EXEC_PATH_TRUNCATED) != 0;
  out.argv = SplitArgs(bytes.substr(kFixed, raw.args_len));
  return check.fault();
}

DecodeFault DecodeFork(std::string_view bytes, Event& event) {
  culprit_fork raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  ForkEvent& out = event.emplace<ForkEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.child = check.Key(raw.child);
  out.parent = check.Key(raw.parent);
  out.uid = Uid{raw.uid};
  out.login_uid = Uid{raw.loginuid};
  out.session_id = raw.session_id;
  out.netns = raw.netns;
  out.cgroup_id = raw.cgroup_id;
  out.comm = Text(raw.comm);
  return check.fault();
}

DecodeFault DecodeExit(std::string_view bytes, Event& event) {
  culprit_exit raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  ExitEvent& out = event.emplace<ExitEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.key = check.Key(raw.key);
  out.wait_status = raw.exit_code;
  return check.fault();
}

DecodeFault DecodeFlow(std::string_view bytes, Event& event) {
  culprit_flow raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  check.Require(raw.reason >= CULPRIT_FLOW_ATTEMPT && raw.reason <= CULPRIT_FLOW_FIRST,
                DecodeFault::kBadEnum);
  check.Require(raw.direction <= CULPRIT_DIRECTION_FORWARDED, DecodeFault::kBadEnum);
  check.Require(raw.family == 0 || raw.family == 4 || raw.family == 6, DecodeFault::kBadEnum);
  check.Require(raw.error >= 0 && raw.error <= kMaxErrno, DecodeFault::kBadEnum);
  if (check.fault() != DecodeFault::kNone) return check.fault();
  FlowEvent& out = event.emplace<FlowEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.reason = static_cast<FlowReason>(raw.reason);
  out.owner = check.Key(raw.owner);
  out.creator = check.Key(raw.creator);
  out.cookie = SocketCookie{raw.cookie};
  out.generation = raw.generation;
  out.start = check.Time(raw.start_boot_ns);
  out.established = check.Time(raw.established_boot_ns);
  out.last = check.Time(raw.last_boot_ns);
  out.counted_from = check.Time(raw.counted_from_boot_ns);
  out.totals = {raw.tx_wire_bytes,    raw.rx_wire_bytes,    raw.tx_skb_bytes,
                raw.rx_skb_bytes,     raw.tx_packets,       raw.rx_packets,
                raw.tx_payload_bytes, raw.rx_payload_bytes, raw.retransmitted_bytes};
  out.local = {Address(raw.local, raw.family), raw.local_port};
  out.remote = {Address(raw.remote, raw.family), raw.remote_port};
  out.protocol = raw.protocol;
  out.direction = static_cast<Direction>(raw.direction);
  out.tcp_state = raw.tcp_state;
  out.flags = raw.flags;
  out.error = raw.error;
  out.uid = Uid{raw.uid};
  out.n_senders = raw.n_senders;
  out.netns = raw.netns;
  if (out.direction == Direction::kForwarded) {
    out.in_ifindex = raw.rx_ifindex;
    out.out_ifindex = raw.tx_ifindex;
  }
  out.cgroup_id = raw.cgroup_id;
  out.comm = Text(raw.comm);
  return check.fault();
}

template <std::size_t N>
std::uint64_t Distinct(const culprit_u8 (&registers)[N], Checker& check) {
  check.Require(*std::max_element(std::begin(registers), std::end(registers)) <= kMaxRank,
                DecodeFault::kBadEnum);
  return EstimateDistinct(registers);
}

Activity ReadActivity(const culprit_counters& raw, Checker& check) {
  Activity out;
  out.first_contacts = raw.first_contacts;
  out.first_contacts_ok = raw.first_contacts_ok;
  out.first_contacts_failed = raw.first_contacts_failed;
  out.initiated_tx_wire_bytes = raw.initiated_tx_wire_bytes;
  out.initiated_rx_wire_bytes = raw.initiated_rx_wire_bytes;
  out.accepted_tx_wire_bytes = raw.accepted_tx_wire_bytes;
  out.accepted_rx_wire_bytes = raw.accepted_rx_wire_bytes;
  out.raw_packets = raw.raw_packets;
  out.raw_bytes = raw.raw_bytes;
  out.link_packets = raw.link_packets;
  out.link_bytes = raw.link_bytes;
  out.bare_syns = raw.bare_syns;
  out.window = check.Time(raw.window_boot_ns);
  const std::uint64_t addresses = Distinct(raw.address_registers, check);
  const std::uint64_t ports = Distinct(raw.port_registers, check);
  if (out.window == BootTime{}) return out;  // nothing yet
  out.window_addresses = addresses;
  out.window_ports = ports;
  return out;
}

DecodeFault DecodeProcessCounters(std::string_view bytes, Event& event) {
  culprit_counters raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  CountersEvent& out = event.emplace<CountersEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.key = check.Key(raw.key);
  out.tcp_attempts = raw.tcp_attempts;
  std::copy(std::begin(raw.outcome), std::end(raw.outcome), out.outcome.begin());
  out.accepts = raw.accepts;
  out.tx_wire_bytes = raw.tx_wire_bytes;
  out.rx_wire_bytes = raw.rx_wire_bytes;
  out.tx_packets = raw.tx_packets;
  out.rx_packets = raw.rx_packets;
  out.suppressed_flows = raw.suppressed_flows;
  out.activity = ReadActivity(raw, check);
  out.comm = Text(raw.comm);
  out.uid = Uid{raw.uid};
  return check.fault();
}

DecodeFault DecodeLost(std::string_view bytes, Event& event) {
  culprit_lost raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  LostEvent& out = event.emplace<LostEvent>();
  out.at = check.Time(raw.header.boot_ns);
  std::copy(std::begin(raw.stat), std::end(raw.stat), out.stat.begin());
  return check.fault();
}

LedgerTotals Totals(const culprit_ledger& raw) {
  LedgerTotals out;
  std::copy(std::begin(raw.skb_bytes), std::end(raw.skb_bytes), out.skb_bytes.begin());
  std::copy(std::begin(raw.wire_bytes), std::end(raw.wire_bytes), out.wire_bytes.begin());
  std::copy(std::begin(raw.packets), std::end(raw.packets), out.packets.begin());
  return out;
}

DecodeFault DecodeInterface(std::string_view bytes, Event& event) {
  culprit_interface raw;
  if (!Load(bytes, raw)) return DecodeFault::kShort;
  Checker check;
  check.Require(raw.hardware <= 1, DecodeFault::kBadEnum);
  check.Require(raw.header_len <= kMaxLinkHeader, DecodeFault::kBadLength);
  InterfaceEvent& out = event.emplace<InterfaceEvent>();
  out.at = check.Time(raw.header.boot_ns);
  out.netns = raw.netns;
  out.ifindex = raw.ifindex;
  out.hardware = raw.hardware != 0;
  out.header_len = raw.header_len;
  out.name = Text(raw.name);
  out.tx = Totals(raw.tx);
  out.rx = Totals(raw.rx);
  return check.fault();
}

DecodeFault DecodeInto(std::string_view record, Event& event) {
  culprit_header header;
  if (!Load(record, header)) return DecodeFault::kShort;
  // The kernel may reserve more than it fills; header.size is where the record ends.
  if (header.size < sizeof(header) || header.size > record.size()) return DecodeFault::kSize;
  const std::string_view bytes = record.substr(0, header.size);
  switch (header.kind) {
    case CULPRIT_RECORD_EXEC:
      return DecodeExec(bytes, event);
    case CULPRIT_RECORD_FORK:
      return DecodeFork(bytes, event);
    case CULPRIT_RECORD_EXIT:
      return DecodeExit(bytes, event);
    case CULPRIT_RECORD_FLOW:
      return DecodeFlow(bytes, event);
    case CULPRIT_RECORD_COUNTERS:
      return DecodeProcessCounters(bytes, event);
    case CULPRIT_RECORD_LOST:
      return DecodeLost(bytes, event);
    case CULPRIT_RECORD_INTERFACE:
      return DecodeInterface(bytes, event);
    default:
      return DecodeFault::kUnknownKind;
  }
}

}  // namespace

std::string_view ToString(DecodeFault fault) {
  switch (fault) {
    case DecodeFault::kNone:
      return "none";
    case DecodeFault::kShort:
      return "short";
    case DecodeFault::kSize:
      return "size";
    case DecodeFault::kUnknownKind:
      return "unknown_kind";
    case DecodeFault::kBadLength:
      return "bad_length";
    case DecodeFault::kBadEnum:
      return "bad_enum";
    case DecodeFault::kBadTime:
      return "bad_time";
  }
  return "unknown";
}

std::uint64_t DecodeCounters::total_faults() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : faults) sum += n;
  return sum;
}

Result<Event> DecodeRecord(std::string_view record) {
  Event event;
  const DecodeFault fault = DecodeInto(record, event);
  if (fault == DecodeFault::kNone) return event;
  return InvalidArgument("kernel record of " + std::to_string(record.size()) +
                         " bytes refused: " + std::string(ToString(fault)));
}

DecodeFault Decoder::Decode(std::string_view record, Event& event) {
  const DecodeFault fault = DecodeInto(record, event);
  if (fault == DecodeFault::kNone) {
    ++counters_.records;
  } else {
    ++counters_.faults[static_cast<std::size_t>(fault)];
  }
  return fault;
}

}  // namespace culprit
