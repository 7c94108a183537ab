// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/tap_filter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tap.skel.h"

namespace culprit {
namespace {

void SetRate(const TapRate& from, culprit_tap_rate* to) {
  to->bytes_per_sec = from.bytes_per_second;
  to->burst_bytes = from.burst_bytes;
}

void SetSettings(const TapPolicy& policy, culprit_tap_settings* settings) {
  settings->first_bytes = policy.first_bytes;
  settings->ssh_first_bytes = policy.ssh_first_bytes;
  settings->header_packets = policy.header_packets;
  settings->header_bytes = policy.header_bytes;
  std::copy_n(policy.ssh_ports.begin(),
              std::min<std::size_t>(policy.ssh_ports.size(), CULPRIT_TAP_SSH_PORTS),
              settings->ssh_ports);
  SetRate(policy.link, &settings->rate[CULPRIT_TAP_LINK]);
  SetRate(policy.general, &settings->rate[CULPRIT_TAP_GENERAL]);
  SetRate(policy.ssh, &settings->rate[CULPRIT_TAP_SSH]);
  SetRate(policy.dns, &settings->rate[CULPRIT_TAP_DNS]);
  SetRate(policy.contact, &settings->rate[CULPRIT_TAP_CONTACT]);
  SetRate(policy.flagged, &settings->rate[CULPRIT_TAP_FLAGGED]);
}

using NativeAddress = std::array<culprit_u64, 2>;

NativeAddress Native(const IpAddress& address) {
  NativeAddress native{};
  std::memcpy(native.data(), address.bytes().data(), sizeof(native));
  return native;
}

// As the program makes it: the lower end first.
culprit_tap_flow_key MakeKey(const Endpoint& a, const Endpoint& b, std::uint8_t protocol) {
  std::pair<NativeAddress, std::uint16_t> low{Native(a.address), a.port};
  std::pair<NativeAddress, std::uint16_t> high{Native(b.address), b.port};
  if (high < low) std::swap(low, high);
  culprit_tap_flow_key key{};
  std::memcpy(key.low, low.first.data(), sizeof(key.low));
  std::memcpy(key.high, high.first.data(), sizeof(key.high));
  key.low_port = low.second;
  key.high_port = high.second;
  key.protocol = protocol;
  return key;
}

void Add(const culprit_tap_counters& from, culprit_tap_counters* to) {
  to->seen += from.seen;
  to->seen_bytes += from.seen_bytes;
  to->kept += from.kept;
  to->kept_bytes += from.kept_bytes;
  to->cut += from.cut;
  to->past_budget += from.past_budget;
  to->over_rate += from.over_rate;
}

Status AttachProgram(int fd, const bpf_program* filter) {
  const int program = bpf_program__fd(filter);
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) != 0) {
    return ErrnoError("attach the packet tap's program");
  }
  return Ok();
}

}  // namespace

struct TapFilter::Skeleton {
  Skeleton() = default;
  ~Skeleton() { tap_bpf::destroy(object); }
  Skeleton(const Skeleton&) = delete;
  Skeleton& operator=(const Skeleton&) = delete;
  tap_bpf* object = nullptr;
};

TapFilter::TapFilter(std::unique_ptr<Skeleton> skeleton) : skeleton_(std::move(skeleton)) {}
TapFilter::~TapFilter() = default;

Result<std::unique_ptr<TapFilter>> TapFilter::Load(const TapPolicy& policy) {
  if (policy.ssh_ports.size() > CULPRIT_TAP_SSH_PORTS) {
    return InvalidArgument("packet tap: at most " + std::to_string(CULPRIT_TAP_SSH_PORTS) +
                           " ports of SSH");
  }
  auto skeleton = std::make_unique<Skeleton>();
  skeleton->object = tap_bpf::open(nullptr);
  if (skeleton->object == nullptr) return ErrnoError("open the packet tap's program");
  // Settings are read-only to the program, and known to its verifier.
  SetSettings(policy, const_cast<culprit_tap_settings*>(&skeleton->object->rodata->settings));
  bpf_map__set_max_entries(skeleton->object->maps.tap_flows, policy.max_flows);
  if (const int error = tap_bpf::load(skeleton->object); error != 0) {
    return ErrnoError("load the packet tap's program", -error);
  }
  return std::unique_ptr<TapFilter>(new TapFilter(std::move(skeleton)));
}

Status TapFilter::Attach(int fd, PacketDirection direction) {
  const auto& programs = skeleton_->object->progs;
  return AttachProgram(fd, direction == PacketDirection::kOut ? programs.tap_out : programs.tap_in);
}

Status TapFilter::AttachDns(int fd) { return AttachProgram(fd, skeleton_->object->progs.tap_dns); }

Status TapFilter::Set(int map, const void* key, FlowPolicy policy) {
  const culprit_u32 value =
      policy == FlowPolicy::kExclude ? CULPRIT_TAP_EXCLUDE : CULPRIT_TAP_WHOLE;
  auto* shared = skeleton_->object->bss;
  if (policy == FlowPolicy::kNone) {
    if (bpf_map_delete_elem(map, key) == 0) --shared->policy_entries;
  } else if (bpf_map_update_elem(map, key, &value, BPF_NOEXIST) == 0) {
    ++shared->policy_entries;
  } else if (bpf_map_update_elem(map, key, &value, BPF_EXIST) != 0) {
    return ErrnoError("packet tap: note a policy");
  }
  ++skeleton_->object->data->policy_generation;
  return Ok();
}

Status TapFilter::SetFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol,
                          FlowPolicy policy) {
  const culprit_tap_flow_key key = MakeKey(a, b, protocol);
  return Set(bpf_map__fd(skeleton_->object->maps.tap_policy), &key, policy);
}

Status TapFilter::SetAddress(const IpAddress& address, FlowPolicy policy) {
  const NativeAddress key = Native(address);
  return Set(bpf_map__fd(skeleton_->object->maps.tap_addresses), &key, policy);
}

TapCounters TapFilter::counters() const {
  TapCounters sums{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return sums;
  std::vector<culprit_tap_counters> each(static_cast<std::size_t>(cpus));
  for (culprit_u32 i = 0; i < CULPRIT_TAP_CLASS_COUNT; ++i) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->object->maps.tap_counters), &i, each.data()) !=
        0) {
      continue;
    }
    for (const culprit_tap_counters& one : each) Add(one, &sums[i]);
  }
  return sums;
}

Status AttachClassicFilter(int fd, PacketDirection direction, std::uint32_t header_bytes) {
  const std::uint32_t matched = direction == PacketDirection::kOut ? header_bytes : 0;
  const std::uint32_t other = direction == PacketDirection::kOut ? 0 : header_bytes;
  constexpr auto kPacketType = static_cast<__u32>(SKF_AD_OFF + SKF_AD_PKTTYPE);
  sock_filter code[] = {
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, kPacketType},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING},
      {BPF_RET | BPF_K, 0, 0, matched},
      {BPF_RET | BPF_K, 0, 0, other},
  };
  const sock_fprog program{std::size(code), code};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    return ErrnoError("attach the packet tap's classic filter");
  }
  return Ok();
}

}  // namespace culprit
