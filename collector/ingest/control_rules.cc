// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/control_rules.h"

#include "common/crc32c.h"

namespace culprit {

const char* PacketAnswerRules::Check(const v1::ControlReply& reply) {
  if (ended_) return "after_the_end";
  if (reply.ByteSizeLong() > reply.packets().data().size() + kMaxReplyOverhead) return "bloated";
  switch (reply.reply_case()) {
    case v1::ControlReply::kError:
      ended_ = true;
      return reply.error().detail().size() > kMaxErrorDetail ? "detail" : nullptr;
    case v1::ControlReply::kPackets:
      return CheckPart(reply.packets());
    case v1::ControlReply::REPLY_NOT_SET:
      break;
  }
  return "empty";
}

const char* PacketAnswerRules::CheckPart(const v1::PacketPart& part) {
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
  // A window ends where it is full or the file is over, and only there.
  if (part.window_end() != (left_ == 0 || part.has_totals())) return "window";
  ended_ = part.window_end();
  return nullptr;
}

}  // namespace culprit
