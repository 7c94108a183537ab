// SPDX-License-Identifier: Apache-2.0
// The identities of the project: one type for each, shared by agent and collector.
// Stage: common. Thread: values. DESIGN.md "Identity" says why each looks as it does.
#ifndef CULPRIT_COMMON_IDS_H_
#define CULPRIT_COMMON_IDS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/strong_id.h"
#include "common/time.h"

namespace culprit {

// Thread group id in the initial pid namespace (what `ps` on the host shows as PID).
using Tgid = StrongId<struct TgidTag, std::uint32_t>;
using Uid = StrongId<struct UidTag, std::uint32_t>;
// Kernel socket cookie: unique for the life of the socket within one boot, never reused in a boot.
using SocketCookie = StrongId<struct SocketCookieTag, std::uint64_t>;
// Hash of (boot id, ProcessKey): the process's name on the wire and at the collector. 0 = unknown process.
using ProcessId = StrongId<struct ProcessIdTag, std::uint64_t>;
// Hash of (boot id, cookie, generation, peer of an unconnected socket): the flow's name. 0 = none.
using FlowId = StrongId<struct FlowIdTag, std::uint64_t>;

inline constexpr Uid kNoUid{0xffffffffU};             // "not set" of loginuid
inline constexpr std::uint32_t kNoSession = 0xffffffffU;  // "not set" of the audit session

// 16 bytes: boot ids, stream ids, agent ids.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const Uuid&, const Uuid&) = default;

  static Uuid Random();                                  // version 4, from getrandom(2)
  static Result<Uuid> Parse(std::string_view text);      // 8-4-4-4-12 hex
  static Result<Uuid> FromBytes(std::string_view bytes);  // exactly 16
  std::string ToString() const;
  std::string_view AsBytes() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

// Who a process is, within one boot: survives pid reuse (start) and tells exec apart (the kernel's own
// task_struct.self_exec_id, so that the key outlives an agent restart).
struct ProcessKey {
  Tgid tgid;
  BootTime start;             // task_struct.group_leader->start_boottime
  std::uint64_t exec_id = 0;  // task_struct.self_exec_id
  friend auto operator<=>(const ProcessKey&, const ProcessKey&) = default;
};

ProcessId MakeProcessId(const Uuid& boot_id, const ProcessKey& key);

}  // namespace culprit

template <>
struct std::hash<culprit::ProcessKey> {
  std::size_t operator()(const culprit::ProcessKey& k) const noexcept {
    std::uint64_t h = k.tgid.value() * 0x9e3779b97f4a7c15ULL;
    h ^= culprit::ToNs(k.start) + (h << 6) + (h >> 2);
    h ^= k.exec_id + (h << 6) + (h >> 2);
    return h;
  }
};
template <>
struct std::hash<culprit::Uuid> {
  std::size_t operator()(const culprit::Uuid& u) const noexcept {
    return std::hash<std::string_view>{}(u.AsBytes());
  }
};

#endif  // CULPRIT_COMMON_IDS_H_
