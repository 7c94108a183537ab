// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/control_rules.h"

#include "common/crc32c.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxStepName = 128;
constexpr std::size_t kHashBytes = 32, kIdBytes = 16;

std::size_t DataSize(const v1::ControlReply& reply) {
  return reply.has_packets() ? reply.packets().data().size() : reply.snapshot().data().size();
}

}  // namespace

const char* AnswerRules::Check(const v1::ControlReply& reply) {
  if (ended_) return "after_the_end";
  if (reply.ByteSizeLong() > DataSize(reply) + kMaxReplyOverhead) return "bloated";
  if (reply.has_error()) {
    ended_ = true;
    return reply.error().detail().size() > kMaxErrorDetail ? "detail" : nullptr;
  }
  if (reply.reply_case() == v1::ControlReply::REPLY_NOT_SET) return "empty";
  if (reply.reply_case() != subject_) return "subject";
  return reply.has_packets() ? CheckPart(reply.packets()) : CheckPart(reply.snapshot());
}

const char* OfferRules::Check(const v1::ControlReply& reply) {
  if (ended_) return "after_the_end";
  if (reply.ByteSizeLong() > kMaxReplyOverhead) return "bloated";
  if (reply.has_error()) {
    ended_ = true;
    return reply.error().detail().size() > kMaxErrorDetail ? "detail" : nullptr;
  }
  if (!reply.has_snapshot_offer()) return "subject";
  if (++offers_ > kMaxOffers) return "crumbs";
  const v1::SnapshotOffer& offer = reply.snapshot_offer();
  const bool right = offer.snapshot_id().size() == kIdBytes && offer.last_tier() <= 2 &&
                     offer.trigger().size() <= kMaxTrigger;
  return right ? nullptr : "offer";
}

template <class Part>
const char* AnswerRules::CheckPart(const Part& part) {
  const std::size_t size = part.data().size();
  if (part.offset() != offset_) return "offset";
  if (size > left_ || size > kMaxPacketPart) return "size";
  if (max_bytes_ != 0 && size > 0 && (offset_ > max_bytes_ || size > max_bytes_ - offset_)) {
    return "max_bytes";
  }
  if (Crc32c(part.data()) != part.crc32c()) return "checksum";
  if (size == 0 && !part.window_end()) return "empty";
  if (++parts_ > kMaxPacketParts) return "crumbs";
  left_ -= static_cast<std::uint32_t>(size);
  offset_ += size;
  const char* wrong = CheckEnd(part);
  ended_ = part.window_end() && wrong == nullptr;
  return wrong;
}

// A window of packets ends where it is full or the file is over, and only there.
const char* AnswerRules::CheckEnd(const v1::PacketPart& part) const {
  return part.window_end() == (left_ == 0 || part.has_totals()) ? nullptr : "window";
}

// One of a snapshot may also end where no more has been collected yet.
const char* AnswerRules::CheckEnd(const v1::SnapshotPart& part) const {
  if (!part.window_end())
    return left_ == 0 || part.has_totals() || part.has_step() ? "window" : nullptr;
  if (part.step().name().size() > kMaxStepName || part.step().tier() > 2) return "step";
  if (!part.has_totals()) return nullptr;
  const v1::SnapshotTotals& totals = part.totals();
  const bool right = totals.sha256().size() == kHashBytes && totals.bundle_bytes() == offset_ &&
                     totals.broken().size() <= kMaxErrorDetail;
  return right ? nullptr : "totals";
}

}  // namespace culprit
