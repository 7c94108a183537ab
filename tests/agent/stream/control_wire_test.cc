// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/control_wire.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "agent/stream/memory_file.h"

namespace culprit {
namespace {

v1::ControlRequest GoodRequest() {
  v1::ControlRequest request;
  request.set_request_id(9);
  v1::PacketRequest* packets = request.mutable_packets();
  packets->set_fetch_id(std::string(16, 'f'));
  packets->set_offset(100);
  packets->set_prefix_crc32c(77);
  packets->set_window_bytes(kMaxFetchWindow);
  v1::PacketSelection* selection = packets->mutable_selection();
  selection->set_from_ns(5);
  selection->set_to_ns(6);
  selection->add_process_ids(11);
  selection->add_flow_ids(12);
  selection->set_address(std::string(IpAddress::Parse("192.0.2.1")->AsBytes()));
  selection->set_port(443);
  selection->set_max_bytes(1000);
  return request;
}

TEST(ControlWireTest, ReadsEveryField) {
  const auto read = ReadControl(GoodRequest());
  const auto* question = std::get_if<ControlQuestion>(&read);
  ASSERT_NE(question, nullptr);
  const auto* fetch = std::get_if<PacketFetch>(question);
  ASSERT_NE(fetch, nullptr);
  EXPECT_EQ(fetch->request_id, 9U);
  EXPECT_EQ(fetch->fetch_id.AsBytes(), std::string(16, 'f'));
  EXPECT_EQ(fetch->from_ns, 5);
  EXPECT_EQ(fetch->to_ns, 6);
  EXPECT_EQ(fetch->processes, std::vector<ProcessId>{ProcessId{11}});
  EXPECT_EQ(fetch->flows, std::vector<FlowId>{FlowId{12}});
  EXPECT_EQ(fetch->address, IpAddress::Parse("192.0.2.1").value());
  EXPECT_EQ(fetch->port, 443);
  EXPECT_EQ(fetch->max_bytes, 1000U);
  EXPECT_EQ(fetch->offset, 100U);
  EXPECT_EQ(fetch->prefix_crc32c, 77U);
  EXPECT_EQ(fetch->window_bytes, kMaxFetchWindow);
}

TEST(ControlWireTest, WhatMakesNoSenseIsAnsweredWithAFault) {
  const struct {
    const char* what;
    std::function<void(v1::PacketRequest*)> change;
  } cases[] = {
      {"short identity", [](v1::PacketRequest* r) { r->set_fetch_id("f"); }},
      {"no window", [](v1::PacketRequest* r) { r->clear_window_bytes(); }},
      {"wide window", [](v1::PacketRequest* r) { r->set_window_bytes(kMaxFetchWindow + 1); }},
      {"time before 1970", [](v1::PacketRequest* r) { r->mutable_selection()->set_from_ns(-1); }},
      {"end before start", [](v1::PacketRequest* r) { r->mutable_selection()->set_to_ns(4); }},
      {"half an address",
       [](v1::PacketRequest* r) { r->mutable_selection()->set_address("12345"); }},
      {"no such port", [](v1::PacketRequest* r) { r->mutable_selection()->set_port(65'536); }},
      {"too many processes",
       [](v1::PacketRequest* r) {
         for (std::size_t i = 0; i < kMaxFetchIds; ++i) r->mutable_selection()->add_process_ids(i);
       }},
      {"too many flows",
       [](v1::PacketRequest* r) {
         for (std::size_t i = 0; i < kMaxFetchIds; ++i) r->mutable_selection()->add_flow_ids(i);
       }},
  };
  for (const auto& c : cases) {
    v1::ControlRequest request = GoodRequest();
    c.change(request.mutable_packets());
    const auto read = ReadControl(request);
    const auto* answer = std::get_if<ControlAnswer>(&read);
    ASSERT_NE(answer, nullptr) << c.what;
    EXPECT_EQ(answer->request_id, 9U) << c.what;
    EXPECT_EQ(answer->fault, ControlFault::kInvalid) << c.what;
  }
  v1::ControlRequest unknown;
  unknown.set_request_id(3);
  const auto read = ReadControl(unknown);
  ASSERT_NE(std::get_if<ControlAnswer>(&read), nullptr);
  EXPECT_EQ(std::get<ControlAnswer>(read).fault, ControlFault::kUnsupported);
}

v1::ControlRequest GoodSnapshotRequest() {
  v1::ControlRequest request;
  request.set_request_id(9);
  v1::SnapshotRequest* snapshot = request.mutable_snapshot();
  snapshot->set_snapshot_id(std::string(16, 's'));
  snapshot->set_window_bytes(100);
  snapshot->mutable_order()->set_last_tier(2);
  snapshot->mutable_order()->set_trigger("operator");
  snapshot->mutable_order()->set_operator_name("op");
  snapshot->mutable_order()->set_case_id("case");
  return request;
}

TEST(ControlWireTest, ReadsAQuestionAboutASnapshot) {
  v1::ControlRequest request = GoodSnapshotRequest();
  auto read = ReadControl(request);
  const auto first = std::get<SnapshotFetch>(std::get<ControlQuestion>(read));
  EXPECT_EQ(first.request_id, 9U);
  EXPECT_EQ(first.snapshot_id.AsBytes(), std::string(16, 's'));
  EXPECT_TRUE(first.may_begin);
  EXPECT_EQ(first.last_tier, 2U);
  EXPECT_EQ(first.trigger + first.operator_name + first.case_id, "operatoropcase");
  request.mutable_snapshot()->clear_order();
  request.mutable_snapshot()->set_offset(77);
  request.mutable_snapshot()->set_prefix_crc32c(78);
  read = ReadControl(request);
  const auto later = std::get<SnapshotFetch>(std::get<ControlQuestion>(read));
  EXPECT_FALSE(later.may_begin);
  EXPECT_EQ(later.offset, 77U);
  EXPECT_EQ(later.prefix_crc32c, 78U);
}

TEST(ControlWireTest, AQuestionAboutASnapshotThatMakesNoSenseIsAFault) {
  const struct {
    const char* what;
    std::function<void(v1::SnapshotRequest*)> change;
  } cases[] = {
      {"short identity", [](v1::SnapshotRequest* r) { r->set_snapshot_id("s"); }},
      {"no window", [](v1::SnapshotRequest* r) { r->clear_window_bytes(); }},
      {"wide window", [](v1::SnapshotRequest* r) { r->set_window_bytes(kMaxFetchWindow + 1); }},
      {"no such tier", [](v1::SnapshotRequest* r) { r->mutable_order()->set_last_tier(3); }},
      {"an order in the middle", [](v1::SnapshotRequest* r) { r->set_offset(1); }},
      {"a long text",
       [](v1::SnapshotRequest* r) { r->mutable_order()->set_case_id(std::string(257, 'x')); }},
  };
  for (const auto& c : cases) {
    v1::ControlRequest request = GoodSnapshotRequest();
    c.change(request.mutable_snapshot());
    const auto read = ReadControl(request);
    const auto* answer = std::get_if<ControlAnswer>(&read);
    ASSERT_NE(answer, nullptr) << c.what;
    EXPECT_EQ(answer->fault, ControlFault::kInvalid) << c.what;
  }
}

TEST(ControlWireTest, APartOfASnapshotSaysHowFarTheAgentIs) {
  ControlAnswer answer;
  answer.subject = ControlSubject::kSnapshot;
  answer.offset = 5;
  answer.window_end = true;
  answer.step = SnapshotStep{900, std::string(500, 'n'), 1};
  answer.snapshot_totals.emplace().bundle_bytes = 5;
  answer.snapshot_totals->broken = "why";
  v1::ControlReply reply = WriteControl(answer);
  EXPECT_EQ(reply.snapshot().offset(), 5U);
  EXPECT_EQ(reply.snapshot().step().collected_bytes(), 900U);
  EXPECT_EQ(reply.snapshot().step().name().size(), kMaxStepText);
  EXPECT_EQ(reply.snapshot().totals().sha256().size(), 32U);
  EXPECT_EQ(reply.snapshot().totals().broken(), "why");
  EXPECT_TRUE(EndsAnswer(reply));
  *MutableData(&reply) = "data";
  EXPECT_EQ(reply.snapshot().data(), "data");
}

TEST(ControlWireTest, AnAnswerIsAnErrorOrAPart) {
  ControlAnswer answer;
  answer.request_id = 9;
  answer.fault = ControlFault::kDisabled;
  answer.detail.assign(kMaxControlDetail + 1, 'x');
  const v1::ControlReply error = WriteControl(answer);
  EXPECT_EQ(error.error().reason(), v1::ControlError::DISABLED);
  EXPECT_EQ(error.error().detail().size(), kMaxControlDetail);
  answer.fault = ControlFault::kNone;
  answer.offset = 5;
  answer.data = "data";
  answer.window_end = true;
  const v1::ControlReply part = WriteControl(answer);
  EXPECT_EQ(part.packets().offset(), 5U);
  EXPECT_TRUE(part.packets().window_end());
  EXPECT_FALSE(part.packets().has_totals());
  EXPECT_EQ(part.packets().data(), "") << "it goes in a file";
}

TEST(MemoryFileTest, IsReadWholeOnlyWithinItsBoundAndCannotBeChanged) {
  const std::string bytes(100'000, 'm');
  const auto file = MakeMemoryFile(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(ReadMemoryFile(file->get(), bytes.size()).value(), bytes);
  EXPECT_FALSE(ReadMemoryFile(file->get(), bytes.size() - 1));
  EXPECT_LT(pwrite(file->get(), "x", 1, 0), 0);
  EXPECT_NE(ftruncate(file->get(), 0), 0);
}

}  // namespace
}  // namespace culprit
