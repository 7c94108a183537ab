// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/control_wire.h"

#include <optional>
#include <utility>

namespace culprit {
namespace {

ControlAnswer Refused(std::uint64_t request_id, ControlFault fault, std::string detail) {
  ControlAnswer answer;
  answer.request_id = request_id;
  answer.fault = fault;
  answer.detail = std::move(detail);
  return answer;
}

// What is wrong with it; nullptr = nothing.
const char* ReadSelection(const v1::PacketSelection& selection, PacketFetch* fetch) {
  fetch->from_ns = selection.from_ns();
  fetch->to_ns = selection.to_ns();
  if (fetch->from_ns < 0 || fetch->to_ns < fetch->from_ns) return "no time";
  if (selection.process_ids_size() > static_cast<int>(kMaxFetchIds) ||
      selection.flow_ids_size() > static_cast<int>(kMaxFetchIds)) {
    return "too many processes or flows";
  }
  for (const std::uint64_t id : selection.process_ids()) fetch->processes.emplace_back(id);
  for (const std::uint64_t id : selection.flow_ids()) fetch->flows.emplace_back(id);
  if (!selection.address().empty()) {
    const auto address = IpAddress::FromBytes(selection.address());
    if (!address) return "no address";
    fetch->address = *address;
  }
  if (selection.port() > 65'535) return "no port";
  if (selection.port() != 0) fetch->port = static_cast<std::uint16_t>(selection.port());
  fetch->max_bytes = selection.max_bytes();
  return nullptr;
}

const char* ReadFetch(const v1::PacketRequest& request, PacketFetch* fetch) {
  const auto id = Uuid::FromBytes(request.fetch_id());
  if (!id) return "no identity of the fetch";
  fetch->fetch_id = *id;
  fetch->release = request.release();
  if (fetch->release) return nullptr;
  fetch->offset = request.offset();
  fetch->prefix_crc32c = request.prefix_crc32c();
  fetch->window_bytes = request.window_bytes();
  if (fetch->window_bytes == 0 || fetch->window_bytes > kMaxFetchWindow) return "no window";
  return ReadSelection(request.selection(), fetch);
}

const char* ReadFetch(const v1::SnapshotRequest& request, SnapshotFetch* fetch) {
  const auto id = Uuid::FromBytes(request.snapshot_id());
  if (!id) return "no identity of the snapshot";
  fetch->snapshot_id = *id;
  fetch->release = request.release();
  if (fetch->release) return nullptr;
  fetch->may_begin = request.has_order();
  if (fetch->may_begin && request.offset() > 0) return "an order behind the beginning";
  const v1::SnapshotOrder& order = request.order();
  if (order.last_tier() > 2) return "no such tier";
  for (const std::string* text : {&order.trigger(), &order.operator_name(), &order.case_id()}) {
    if (text->size() > kMaxOrderText) return "a text of the order is too long";
  }
  fetch->last_tier = order.last_tier();
  fetch->trigger = order.trigger();
  fetch->operator_name = order.operator_name();
  fetch->case_id = order.case_id();
  fetch->offset = request.offset();
  fetch->prefix_crc32c = request.prefix_crc32c();
  fetch->window_bytes = request.window_bytes();
  if (fetch->window_bytes == 0 || fetch->window_bytes > kMaxFetchWindow) return "no window";
  return nullptr;
}

template <class Fetch, class Request>
std::variant<ControlQuestion, ControlAnswer> Read(std::uint64_t id, const Request& request) {
  Fetch fetch;
  fetch.request_id = id;
  if (const char* wrong = ReadFetch(request, &fetch); wrong != nullptr) {
    return Refused(id, ControlFault::kInvalid, wrong);
  }
  return ControlQuestion(std::move(fetch));
}

void WritePart(const ControlAnswer& answer, v1::PacketPart* part) {
  part->set_offset(answer.offset);
  part->set_crc32c(answer.crc32c);
  part->set_window_end(answer.window_end);
  if (answer.totals) {
    v1::PacketTotals* totals = part->mutable_totals();
    totals->set_packets(answer.totals->packets);
    totals->set_wire_bytes(answer.totals->wire_bytes);
    totals->set_kept_bytes(answer.totals->kept_bytes);
    totals->set_cut_off(answer.totals->cut_off);
    totals->set_damaged_segments(answer.totals->damaged_segments);
    totals->set_unfrozen_segments(answer.totals->unfrozen_segments);
  }
}

void WritePart(const ControlAnswer& answer, v1::SnapshotPart* part) {
  part->set_offset(answer.offset);
  part->set_crc32c(answer.crc32c);
  part->set_window_end(answer.window_end);
  if (answer.step) {
    part->mutable_step()->set_collected_bytes(answer.step->collected_bytes);
    part->mutable_step()->set_name(answer.step->name.substr(0, kMaxStepText));
    part->mutable_step()->set_tier(answer.step->tier);
  }
  if (answer.snapshot_totals) {
    const SnapshotTotals& from = *answer.snapshot_totals;
    v1::SnapshotTotals* totals = part->mutable_totals();
    totals->set_bundle_bytes(from.bundle_bytes);
    totals->set_sha256(std::string(from.sha256.begin(), from.sha256.end()));
    totals->set_members(from.members);
    totals->set_member_bytes(from.member_bytes);
    totals->set_skipped(from.skipped);
    totals->set_broken(from.broken.substr(0, kMaxControlDetail));
    totals->set_peak_rss_bytes(from.peak_rss_bytes);
    totals->set_cpu_us(from.cpu_us);
  }
}

v1::ControlError::Reason ReasonOf(ControlFault fault) {
  switch (fault) {
    case ControlFault::kUnsupported:
      return v1::ControlError::UNSUPPORTED;
    case ControlFault::kDisabled:
      return v1::ControlError::DISABLED;
    case ControlFault::kBusy:
      return v1::ControlError::BUSY;
    case ControlFault::kGone:
      return v1::ControlError::GONE;
    case ControlFault::kInvalid:
      return v1::ControlError::INVALID;
    case ControlFault::kNone:
    case ControlFault::kFailed:
      break;
  }
  return v1::ControlError::FAILED;
}

}  // namespace

std::variant<ControlQuestion, ControlAnswer> ReadControl(const v1::ControlRequest& request) {
  const std::uint64_t id = request.request_id();
  switch (request.request_case()) {
    case v1::ControlRequest::kPackets:
      return Read<PacketFetch>(id, request.packets());
    case v1::ControlRequest::kSnapshot:
      return Read<SnapshotFetch>(id, request.snapshot());
    case v1::ControlRequest::kSnapshotWatch:
      return ControlQuestion(SnapshotWatch{id});
    case v1::ControlRequest::REQUEST_NOT_SET:
      break;
  }
  return Refused(id, ControlFault::kUnsupported, "this agent does not know the request");
}

v1::ControlReply WriteControl(const ControlAnswer& answer) {
  v1::ControlReply reply;
  reply.set_request_id(answer.request_id);
  if (answer.fault != ControlFault::kNone) {
    reply.mutable_error()->set_reason(ReasonOf(answer.fault));
    reply.mutable_error()->set_detail(answer.detail.substr(0, kMaxControlDetail));
    return reply;
  }
  if (answer.offer) {
    v1::SnapshotOffer* offer = reply.mutable_snapshot_offer();
    offer->set_snapshot_id(std::string(answer.offer->snapshot_id.AsBytes()));
    offer->set_trigger(answer.offer->trigger.substr(0, kMaxOrderText));
    offer->set_last_tier(answer.offer->last_tier);
    offer->set_begun_ns(answer.offer->begun_ns);
  } else if (answer.subject == ControlSubject::kSnapshot) {
    WritePart(answer, reply.mutable_snapshot());
  } else {
    WritePart(answer, reply.mutable_packets());
  }
  return reply;
}

std::string* MutableData(v1::ControlReply* reply) {
  if (reply->has_packets()) return reply->mutable_packets()->mutable_data();
  if (reply->has_snapshot()) return reply->mutable_snapshot()->mutable_data();
  return nullptr;
}

bool EndsAnswer(const v1::ControlReply& reply) {
  if (reply.has_packets()) return reply.packets().window_end();
  if (reply.has_snapshot()) return reply.snapshot().window_end();
  return !reply.has_snapshot_offer();  // of those, more may come
}

}  // namespace culprit
