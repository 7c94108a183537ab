// SPDX-License-Identifier: Apache-2.0
// Fuzzer: questions to an agent and its answers, each read by the side that must not believe the
// other. The first byte chooses the side. What an agent takes is within its bounds and is answered
// with the same number; what a collector takes of an answer is never more than it asked for, nor
// out of order.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "agent/stream/control_wire.h"
#include "collector/ingest/control_rules.h"
#include "common/crc32c.h"

namespace {

void Question(std::string_view bytes) {
  culprit::v1::ControlRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto read = culprit::ReadControl(request);
  if (const auto* answer = std::get_if<culprit::ControlAnswer>(&read)) {
    const auto reply = culprit::WriteControl(*answer);
    if (reply.request_id() != request.request_id() || !reply.has_error()) std::abort();
    return;
  }
  const auto& question = std::get<culprit::ControlQuestion>(read);
  if (const auto* snapshot = std::get_if<culprit::SnapshotFetch>(&question)) {
    const bool bounded =
        snapshot->window_bytes > 0 && snapshot->window_bytes <= culprit::kMaxFetchWindow &&
        snapshot->last_tier <= 2 && snapshot->case_id.size() <= culprit::kMaxOrderText &&
        (snapshot->offset == 0 || !snapshot->may_begin);
    if (snapshot->request_id != request.request_id() || (!snapshot->release && !bounded))
      std::abort();
    return;
  }
  if (const auto* watch = std::get_if<culprit::SnapshotWatch>(&question)) {
    if (watch->request_id != request.request_id()) std::abort();
    return;
  }
  const auto& fetch = std::get<culprit::PacketFetch>(question);
  if (fetch.request_id != request.request_id()) std::abort();
  if (fetch.release) return;
  if (fetch.window_bytes == 0 || fetch.window_bytes > culprit::kMaxFetchWindow ||
      fetch.processes.size() > culprit::kMaxFetchIds ||
      fetch.flows.size() > culprit::kMaxFetchIds || fetch.from_ns < 0 ||
      fetch.to_ns < fetch.from_ns) {
    std::abort();
  }
}

// A request, and the parts of an answer one after the other, each behind its length (one byte). The
// checksum is made right for every second part, else nothing would get past it.
template <class Request, class Part>
void Answers(std::string_view bytes, bool (culprit::v1::ControlReply::*has)() const,
             Part* (culprit::v1::ControlReply::*get)()) {
  const auto take = [&bytes] {
    const std::size_t size =
        std::min<std::size_t>(static_cast<std::uint8_t>(bytes.front()), bytes.size() - 1);
    const std::string_view piece = bytes.substr(1, size);
    bytes.remove_prefix(1 + size);
    return piece;
  };
  if (bytes.empty()) return;
  Request request;
  const std::string_view head = take();
  if (!request.ParseFromArray(head.data(), static_cast<int>(head.size()))) return;
  culprit::AnswerRules rules(request);
  culprit::OfferRules offers;
  std::uint64_t taken = 0;
  for (int part = 0; !bytes.empty(); ++part) {
    const std::string_view piece = take();
    culprit::v1::ControlReply reply;
    if (!reply.ParseFromArray(piece.data(), static_cast<int>(piece.size()))) continue;
    if ((reply.*has)() && part % 2 == 0) {
      (reply.*get)()->set_crc32c(culprit::Crc32c((reply.*get)()->data()));
    }
    if (offers.Check(reply) == nullptr && !reply.has_error() &&
        (reply.snapshot_offer().snapshot_id().size() != 16 ||
         reply.snapshot_offer().last_tier() > 2)) {
      std::abort();
    }
    const bool ended = rules.ended();
    if (rules.Check(reply) != nullptr) return;
    if (ended) std::abort();
    if (!(reply.*has)()) continue;
    if ((reply.*get)()->offset() != request.offset() + taken) std::abort();
    taken += (reply.*get)()->data().size();
    if (taken > request.window_bytes()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  using Reply = culprit::v1::ControlReply;
  switch (data[0] % 3) {
    case 0:
      Question(bytes);
      break;
    case 1:
      Answers<culprit::v1::PacketRequest>(bytes, &Reply::has_packets, &Reply::mutable_packets);
      break;
    default:
      Answers<culprit::v1::SnapshotRequest>(bytes, &Reply::has_snapshot, &Reply::mutable_snapshot);
  }
  return 0;
}
