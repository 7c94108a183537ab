// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/control_rules.h"

#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <string>
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

}  // namespace
}  // namespace culprit
