// SPDX-License-Identifier: Apache-2.0
// What the EC2 metadata service says when it is about to take an instance away. Pure, total on any
// bytes. Stage: wiring. Thread: values. What makes no sense is no notice.
#ifndef CULPRIT_AGENT_CLOUD_NOTICE_H_
#define CULPRIT_AGENT_CLOUD_NOTICE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

enum class NoticeKind : std::uint8_t { kSpot = 0, kRebalance, kMaintenance, kScaling };
inline constexpr std::size_t kNoticeKinds = 4;

// The path under /latest/meta-data/.
const char* NoticePath(NoticeKind kind);

struct CloudNotice {
  std::string key;      // the same each time that the notice is told; one line
  std::string trigger;  // for people: "spot interruption: terminate at 2026-05-01T08:22:00Z"
};

inline constexpr std::size_t kMaxNotices = 16;  // of one answer

std::vector<CloudNotice> ReadNotices(NoticeKind kind, std::string_view body);

}  // namespace culprit

#endif  // CULPRIT_AGENT_CLOUD_NOTICE_H_
