// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/control_rules.h"

#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/crc32c.h"

namespace culprit {
namespace {

v1::PacketRequest Request(std::uint64_t offset, std::uint32_t window, std::uint64_t max = 0) {
  v1::PacketRequest request;
  request.set_offset(offset);
  request.set_window_bytes(window);
  request.mutable_selection()->set_max_bytes(max);
  return request;
}

v1::ControlReply Part(std::uint64_t offset, std::size_t size, bool end = false,
                      bool totals = false) {
  v1::ControlReply reply;
  v1::PacketPart* part = reply.mutable_packets();
  part->set_offset(offset);
  part->set_data(std::string(size, 'x'));
  part->set_crc32c(Crc32c(part->data()));
  part->set_window_end(end);
  if (totals) part->mutable_totals();
  return reply;
}

v1::ControlReply Failure(std::size_t detail) {
  v1::ControlReply reply;
  reply.mutable_error()->set_reason(v1::ControlError::BUSY);
  reply.mutable_error()->set_detail(std::string(detail, 'x'));
  return reply;
}

TEST(PacketAnswerRulesTest, TakesWhatWasAskedForAndNothingElse) {
  v1::ControlReply bloated = Part(0, 10);
  bloated.mutable_packets()
      ->GetReflection()
      ->MutableUnknownFields(bloated.mutable_packets())
      ->AddLengthDelimited(77, std::string(kMaxReplyOverhead, 'x'));
  std::vector<v1::ControlReply> crumbs;
  for (std::uint32_t n = 0; n <= kMaxPacketParts; ++n) crumbs.push_back(Part(n, 1));
  v1::ControlReply forged = Part(0, 10);
  forged.mutable_packets()->set_crc32c(7);
  const struct {
    const char* what;
    v1::PacketRequest request;
    std::vector<v1::ControlReply> parts;
    const char* wrong;  // of the last one; "" = nothing
    bool ended;
  } cases[] = {
      {"a full window", Request(0, 20), {Part(0, 10), Part(10, 10, true)}, "", true},
      {"behind an offset", Request(100, 20), {Part(100, 20, true)}, "", true},
      {"the end of the file", Request(0, 20), {Part(0, 5, true, true)}, "", true},
      {"an end without bytes", Request(0, 20), {Part(0, 0, true, true)}, "", true},
      {"not over yet", Request(0, 20), {Part(0, 10)}, "", false},
      {"an error", Request(0, 20), {Part(0, 10), Failure(512)}, "", true},
      {"a long error", Request(0, 20), {Failure(513)}, "detail", true},
      {"nothing at all", Request(0, 20), {v1::ControlReply()}, "empty", false},
      {"no bytes", Request(0, 20), {Part(0, 0)}, "empty", false},
      {"a hole", Request(0, 20), {Part(0, 5), Part(6, 5)}, "offset", false},
      {"again", Request(0, 20), {Part(0, 5), Part(0, 5)}, "offset", false},
      {"before the offset", Request(100, 20), {Part(0, 5)}, "offset", false},
      {"over the window", Request(0, 20), {Part(0, 10), Part(10, 11)}, "size", false},
      {"a part too large", Request(0, 1 << 20), {Part(0, kMaxPacketPart + 1)}, "size", false},
      {"over the file's bound", Request(90, 20, 100), {Part(90, 11)}, "max_bytes", false},
      {"within the file's bound", Request(90, 20, 100), {Part(90, 10, true, true)}, "", true},
      {"in crumbs", Request(0, 1000), crumbs, "crumbs", false},
      {"with much beside it", Request(0, 20), {bloated}, "bloated", false},
      {"another checksum", Request(0, 20), {forged}, "checksum", false},
      {"ends too early", Request(0, 20), {Part(0, 10, true)}, "window", false},
      {"does not end", Request(0, 20), {Part(0, 20)}, "window", false},
      {"goes on behind totals", Request(0, 20), {Part(0, 10, false, true)}, "window", false},
      {"after the end", Request(0, 20), {Part(0, 20, true), Part(20, 1)}, "after_the_end", true},
      {"after an error", Request(0, 20), {Failure(1), Part(0, 1)}, "after_the_end", true},
  };
  for (const auto& c : cases) {
    AnswerRules rules(c.request);
    const char* wrong = nullptr;
    for (std::size_t i = 0; i < c.parts.size(); ++i) {
      wrong = rules.Check(c.parts[i]);
      if (i + 1 < c.parts.size()) {
        EXPECT_EQ(wrong, nullptr) << c.what << ", part " << i;
      }
    }
    EXPECT_STREQ(wrong == nullptr ? "" : wrong, c.wrong) << c.what;
    EXPECT_EQ(rules.ended(), c.ended) << c.what;
  }
}

v1::SnapshotRequest SnapshotWindow(std::uint64_t offset, std::uint32_t window) {
  v1::SnapshotRequest request;
  request.set_offset(offset);
  request.set_window_bytes(window);
  return request;
}

v1::ControlReply SnapshotPart(std::uint64_t offset, std::size_t size, bool end = false) {
  v1::ControlReply reply;
  v1::SnapshotPart* part = reply.mutable_snapshot();
  part->set_offset(offset);
  part->set_data(std::string(size, 'x'));
  part->set_crc32c(Crc32c(part->data()));
  part->set_window_end(end);
  if (end) part->mutable_step()->set_name("processes");
  return reply;
}

v1::ControlReply SnapshotEnd(std::uint64_t offset, std::size_t size, std::uint64_t total,
                             std::size_t hash = 32) {
  v1::ControlReply reply = SnapshotPart(offset, size, true);
  reply.mutable_snapshot()->mutable_totals()->set_bundle_bytes(total);
  reply.mutable_snapshot()->mutable_totals()->set_sha256(std::string(hash, 'h'));
  return reply;
}

TEST(SnapshotAnswerRulesTest, TakesWhatWasAskedForAndNothingElse) {
  v1::ControlReply forged = SnapshotPart(0, 10);
  forged.mutable_snapshot()->set_crc32c(7);
  v1::ControlReply long_step = SnapshotPart(0, 5, true);
  long_step.mutable_snapshot()->mutable_step()->set_name(std::string(129, 'n'));
  v1::ControlReply tier = SnapshotPart(0, 5, true);
  tier.mutable_snapshot()->mutable_step()->set_tier(3);
  const struct {
    const char* what;
    std::vector<v1::ControlReply> parts;
    const char* wrong;  // of the last one; "" = nothing
    bool ended;
  } cases[] = {
      {"a full window", {SnapshotPart(100, 10), SnapshotPart(110, 10, true)}, "", true},
      {"as far as it is collected", {SnapshotPart(100, 10, true)}, "", true},
      {"nothing new", {SnapshotPart(100, 0, true)}, "", true},
      {"the end of the bundle", {SnapshotEnd(100, 5, 105)}, "", true},
      {"an error", {Failure(10)}, "", true},
      {"packets", {Part(100, 10)}, "subject", false},
      {"a hole", {SnapshotPart(101, 5)}, "offset", false},
      {"over the window", {SnapshotPart(100, 21)}, "size", false},
      {"a full window without an end", {SnapshotPart(100, 20)}, "window", false},
      {"no bytes", {SnapshotPart(100, 0)}, "empty", false},
      {"another length", {SnapshotEnd(100, 5, 104)}, "totals", false},
      {"half a hash", {SnapshotEnd(100, 5, 105, 16)}, "totals", false},
      {"behind the end", {SnapshotPart(100, 5, true), SnapshotPart(105, 5)}, "after_the_end", true},
  };
  for (const auto& c : cases) {
    AnswerRules rules(SnapshotWindow(100, 20));
    const char* wrong = nullptr;
    for (const v1::ControlReply& part : c.parts) wrong = rules.Check(part);
    EXPECT_STREQ(wrong == nullptr ? "" : wrong, c.wrong) << c.what;
    EXPECT_EQ(rules.ended(), c.ended) << c.what;
  }
  for (const auto& [reply, wrong] :
       {std::pair(forged, "checksum"), std::pair(long_step, "step"), std::pair(tier, "step")}) {
    EXPECT_STREQ(AnswerRules(SnapshotWindow(0, 20)).Check(reply), wrong);
  }
}

TEST(OfferRulesTest, OnlyOffersInTheirBoundsAreTakenAndNoneAfterAnError) {
  v1::ControlReply good;
  good.mutable_snapshot_offer()->set_snapshot_id(std::string(16, 'x'));
  good.mutable_snapshot_offer()->set_trigger(std::string(256, 't'));
  v1::ControlReply long_trigger = good, short_id = good, tier = good, part, error;
  long_trigger.mutable_snapshot_offer()->set_trigger(std::string(257, 't'));
  short_id.mutable_snapshot_offer()->set_snapshot_id("x");
  tier.mutable_snapshot_offer()->set_last_tier(3);
  part.mutable_snapshot()->set_window_end(true);
  error.mutable_error()->set_reason(v1::ControlError::UNSUPPORTED);
  for (const v1::ControlReply& wrong : {long_trigger, short_id, tier, part, v1::ControlReply()})
    EXPECT_NE(OfferRules().Check(wrong), nullptr) << wrong.ShortDebugString();
  OfferRules rules;
  EXPECT_EQ(rules.Check(good), nullptr);
  EXPECT_EQ(rules.Check(good), nullptr);
  EXPECT_EQ(rules.Check(error), nullptr);
  EXPECT_STREQ(rules.Check(good), "after_the_end");
  OfferRules flooded;
  for (std::uint32_t i = 0; i < OfferRules::kMaxOffers; ++i)
    ASSERT_EQ(flooded.Check(good), nullptr);
  EXPECT_STREQ(flooded.Check(good), "crumbs");
}

}  // namespace
}  // namespace culprit
