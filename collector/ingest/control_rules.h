// SPDX-License-Identifier: Apache-2.0
// Whether what an agent sends as an answer is one: of what was asked about, no more than was asked
// for, in order, without a hole, and whole. Stage: ingest. Pure. Thread: one caller an object.
// Total on any message; holds no bytes of the answer.
#ifndef CULPRIT_COLLECTOR_INGEST_CONTROL_RULES_H_
#define CULPRIT_COLLECTOR_INGEST_CONTROL_RULES_H_

#include <cstddef>
#include <cstdint>

#include "culprit/v1/control.pb.h"

namespace culprit {

inline constexpr std::uint32_t kMaxPacketWindow = 1U << 20;
inline constexpr std::size_t kMaxPacketPart = 256U << 10;
inline constexpr std::size_t kMaxErrorDetail = 512;
// Parts of one answer, and what a message may have beside its data: a window in crumbs, or in a
// coat of unknown fields, would take many times its memory.
inline constexpr std::uint32_t kMaxPacketParts = 64;
inline constexpr std::size_t kMaxReplyOverhead = 1024;
inline constexpr std::size_t kMaxTrigger = 256;

// Snapshots that an agent says it has begun. They have no end but an error (it is older, or takes
// none).
class OfferRules {
 public:
  static constexpr std::uint32_t kMaxOffers = 10'000;  // a connection

  // As below.
  const char* Check(const v1::ControlReply& reply);

 private:
  std::uint32_t offers_ = 0;
  bool ended_ = false;
};

// The answer to one request, from its first part to its last.
class AnswerRules {
 public:
  explicit AnswerRules(const v1::PacketRequest& request)
      : subject_(v1::ControlReply::kPackets),
        offset_(request.offset()),
        max_bytes_(request.selection().max_bytes()),
        left_(request.window_bytes()) {}
  explicit AnswerRules(const v1::SnapshotRequest& request)
      : subject_(v1::ControlReply::kSnapshot),
        offset_(request.offset()),
        left_(request.window_bytes()) {}

  // What is wrong with the next part; nullptr = nothing. After that, and after the end, the object
  // has no more to say.
  const char* Check(const v1::ControlReply& reply);
  bool ended() const { return ended_; }

 private:
  template <class Part>
  const char* CheckPart(const Part& part);
  const char* CheckEnd(const v1::PacketPart& part) const;
  const char* CheckEnd(const v1::SnapshotPart& part) const;

  v1::ControlReply::ReplyCase subject_;
  std::uint64_t offset_;
  std::uint64_t max_bytes_ = 0;
  std::uint32_t left_;
  std::uint32_t parts_ = 0;
  bool ended_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_CONTROL_RULES_H_
