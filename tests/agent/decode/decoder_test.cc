// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <random>

#include "tests/support/event_builder.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::RawBytes;
using testing::RawRecord;

constexpr std::size_t kExecFixed = offsetof(culprit_exec, args);

culprit_exec RawExec(std::string_view args) {
  auto exec = RawRecord<culprit_exec>(CULPRIT_RECORD_EXEC);
  exec.key.tgid = 100;
  exec.key.start_boot_ns = 5'000;
  exec.key.exec_id = 3;
  std::memcpy(exec.comm, "curl", 4);
  std::memcpy(exec.path, "/usr/bin/curl", 13);
  exec.path_len = 13;
  exec.args_len = static_cast<culprit_u32>(args.size());
  std::memcpy(exec.args, args.data(), args.size());
  exec.header.size = static_cast<culprit_u32>(kExecFixed + args.size());
  return exec;
}

culprit_flow RawFlow() {
  auto flow = RawRecord<culprit_flow>(CULPRIT_RECORD_FLOW);
  flow.reason = CULPRIT_FLOW_SNAPSHOT;
  flow.family = 4;
  flow.protocol = 6;
  flow.remote[12] = 198;
  flow.remote[13] = 51;
  flow.remote[14] = 100;
  flow.remote[15] = 7;
  flow.remote_port = 443;
  return flow;
}

DecodeFault FaultOf(std::string_view bytes) {
  Decoder decoder;
  Event event;
  return decoder.Decode(bytes, event);
}

TEST(DecoderTest, ExecKeepsEmptyArgumentsAndTheLastOneWithoutItsNul) {
  using namespace std::string_view_literals;
  const auto event = DecodeRecord(RawBytes(RawExec("curl\0\0-s\0tail"sv)));
  ASSERT_TRUE(event);
  const auto& exec = std::get<ExecEvent>(*event);
  EXPECT_THAT(exec.argv, ElementsAre("curl", "", "-s", "tail"));
  EXPECT_EQ(exec.key, (ProcessKey{Tgid{100}, BootTimeFromNs(5'000), 3}));
  EXPECT_EQ(exec.path, "/usr/bin/curl");
  EXPECT_EQ(exec.comm, "curl");
}

TEST(DecoderTest, ExecWithoutArgumentsHasNone) {
  const auto event = DecodeRecord(RawBytes(RawExec("")));
  ASSERT_TRUE(event);
  EXPECT_THAT(std::get<ExecEvent>(*event).argv, IsEmpty());
}

TEST(DecoderTest, ExecStringsThatFillTheirFieldNeedNoNul) {
  auto exec = RawExec("a");
  std::memset(exec.comm, 'c', sizeof(exec.comm));
  std::memset(exec.cgroup, 'g', sizeof(exec.cgroup));
  std::memset(exec.path, 'p', sizeof(exec.path));
  exec.path_len = CULPRIT_PATH_LEN - 1;
  const auto event = DecodeRecord(RawBytes(exec));
  ASSERT_TRUE(event);
  const auto& decoded = std::get<ExecEvent>(*event);
  EXPECT_EQ(decoded.comm, std::string(16, 'c'));
  EXPECT_EQ(decoded.cgroup, std::string(CULPRIT_CGROUP_NAME_LEN, 'g'));
  EXPECT_EQ(decoded.path, std::string(255, 'p'));
}

TEST(DecoderTest, FlowCountersOverFourGiBAreExact) {
  auto raw = RawFlow();
  raw.tx_wire_bytes = 209'000'000'000;
  raw.rx_payload_bytes = ~culprit_u64{0};
  const auto event = DecodeRecord(RawBytes(raw));
  ASSERT_TRUE(event);
  const auto& flow = std::get<FlowEvent>(*event);
  EXPECT_EQ(flow.totals.tx_wire_bytes, 209'000'000'000U);
  EXPECT_EQ(flow.totals.rx_payload_bytes, ~std::uint64_t{0});
  EXPECT_EQ(flow.remote.ToString(), "198.51.100.7:443");
}

TEST(DecoderTest, AnIpv4AddressComesOutMappedEvenIfItsPrefixIsMissing) {
  auto raw = RawFlow();
  const auto plain = DecodeRecord(RawBytes(raw));
  raw.remote[10] = raw.remote[11] = 0xff;
  const auto mapped = DecodeRecord(RawBytes(raw));
  ASSERT_TRUE(plain && mapped);
  EXPECT_EQ(std::get<FlowEvent>(*plain).remote, std::get<FlowEvent>(*mapped).remote);
  EXPECT_TRUE(std::get<FlowEvent>(*plain).local.address.IsV4());
}

TEST(DecoderTest, WhatFollowsHeaderSizeIsNotRead) {
  std::string bytes = RawBytes(RawExec("ab"));
  bytes += "garbage";
  const auto event = DecodeRecord(bytes);
  ASSERT_TRUE(event);
  EXPECT_THAT(std::get<ExecEvent>(*event).argv, ElementsAre("ab"));
}

TEST(DecoderTest, ForkExitCountersAndLossKeepEveryField) {
  auto fork = RawRecord<culprit_fork>(CULPRIT_RECORD_FORK, 9);
  fork.child.tgid = 7;
  fork.parent.tgid = 6;
  fork.session_id = 5;
  const auto forked = DecodeRecord(RawBytes(fork));
  ASSERT_TRUE(forked);
  EXPECT_EQ(std::get<ForkEvent>(*forked).child.tgid, Tgid{7});
  EXPECT_EQ(std::get<ForkEvent>(*forked).parent.tgid, Tgid{6});
  EXPECT_EQ(std::get<ForkEvent>(*forked).session_id, 5U);

  auto exit = RawRecord<culprit_exit>(CULPRIT_RECORD_EXIT, 9);
  exit.exit_code = -9;
  const auto exited = DecodeRecord(RawBytes(exit));
  ASSERT_TRUE(exited);
  EXPECT_EQ(std::get<ExitEvent>(*exited).wait_status, -9);
  EXPECT_EQ(std::get<ExitEvent>(*exited).at, BootTimeFromNs(9));

  auto counters = RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS);
  for (std::size_t i = 0; i < CULPRIT_OUTCOME_COUNT; ++i) counters.outcome[i] = 10 + i;
  const auto counted = DecodeRecord(RawBytes(counters));
  ASSERT_TRUE(counted);
  EXPECT_EQ(std::get<CountersEvent>(*counted).outcome[CULPRIT_OUTCOME_OTHER], 18U);

  auto lost = RawRecord<culprit_lost>(CULPRIT_RECORD_LOST);
  lost.stat[CULPRIT_STAT_FLOW_SUPPRESSED] = 77;
  const auto loss = DecodeRecord(RawBytes(lost));
  ASSERT_TRUE(loss);
  EXPECT_EQ(std::get<LostEvent>(*loss).stat[CULPRIT_STAT_FLOW_SUPPRESSED], 77U);
}

TEST(DecoderTest, ActivityKeepsEveryFieldAndEstimatesItsWindow) {
  auto raw = RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS);
  raw.first_contacts = 1;
  raw.first_contacts_ok = 2;
  raw.first_contacts_failed = 3;
  raw.initiated_tx_wire_bytes = 4;
  raw.initiated_rx_wire_bytes = 5;
  raw.accepted_tx_wire_bytes = 6;
  raw.accepted_rx_wire_bytes = 7;
  raw.raw_packets = 8;
  raw.raw_bytes = 9;
  raw.link_packets = 10;
  raw.link_bytes = 11;
  raw.bare_syns = 12;
  raw.window_boot_ns = 13;
  raw.address_registers[5] = 3;
  raw.port_registers[0] = 1;
  raw.port_registers[63] = 2;
  const auto event = DecodeRecord(RawBytes(raw));
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<CountersEvent>(*event).activity,
            (Activity{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, BootTimeFromNs(13), 1, 2}));
  raw.window_boot_ns = 0;
  const auto before = DecodeRecord(RawBytes(raw));
  ASSERT_TRUE(before);
  EXPECT_EQ(std::get<CountersEvent>(*before).activity.window_addresses, 0U);
}

TEST(DecoderTest, OnlyForwardedFlowsHaveInterfaces) {
  auto raw = RawFlow();
  raw.tx_ifindex = 3;
  raw.rx_ifindex = 2;
  const auto own = DecodeRecord(RawBytes(raw));
  raw.direction = CULPRIT_DIRECTION_FORWARDED;
  const auto forwarded = DecodeRecord(RawBytes(raw));
  ASSERT_TRUE(own && forwarded);
  EXPECT_EQ(std::get<FlowEvent>(*own).out_ifindex, 0U);
  EXPECT_EQ(std::get<FlowEvent>(*forwarded).direction, Direction::kForwarded);
  EXPECT_EQ(std::get<FlowEvent>(*forwarded).out_ifindex, 3U);
  EXPECT_EQ(std::get<FlowEvent>(*forwarded).in_ifindex, 2U);
}

culprit_interface RawInterface() {
  auto raw = RawRecord<culprit_interface>(CULPRIT_RECORD_INTERFACE, 9);
  raw.netns = 1;
  raw.ifindex = 2;
  raw.hardware = 1;
  raw.header_len = 14;
  std::memset(raw.name, 'n', sizeof(raw.name));
  raw.tx.wire_bytes[CULPRIT_CLASS_FORWARDED] = 5;
  raw.tx.packets[CULPRIT_CLASS_UNKNOWN] = 6;
  raw.rx.skb_bytes[CULPRIT_CLASS_PROCESS] = 7;
  return raw;
}

TEST(DecoderTest, AnInterfaceKeepsEveryField) {
  const auto event = DecodeRecord(RawBytes(RawInterface()));
  ASSERT_TRUE(event);
  const auto& interface = std::get<InterfaceEvent>(*event);
  EXPECT_EQ(interface.netns, 1U);
  EXPECT_EQ(interface.ifindex, 2U);
  EXPECT_TRUE(interface.hardware);
  EXPECT_EQ(interface.header_len, 14U);
  EXPECT_EQ(interface.name, std::string(16, 'n'));
  EXPECT_EQ(interface.tx.wire_bytes[CULPRIT_CLASS_FORWARDED], 5U);
  EXPECT_EQ(interface.tx.packets[CULPRIT_CLASS_UNKNOWN], 6U);
  EXPECT_EQ(interface.rx.skb_bytes[CULPRIT_CLASS_PROCESS], 7U);
}

template <class Change>
std::string InterfaceBytes(Change change) {
  auto raw = RawInterface();
  change(raw);
  return RawBytes(raw);
}
template <class Change>
std::string CounterBytes(Change change) {
  auto raw = RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS);
  change(raw);
  return RawBytes(raw);
}

struct BadCase {
  std::string_view name;
  std::string bytes;
  DecodeFault fault;
};

template <class Change>
std::string Flow(Change change) {
  auto flow = RawFlow();
  change(flow);
  return RawBytes(flow);
}
template <class Change>
std::string ExecBytes(Change change) {
  auto exec = RawExec("ab");
  std::string bytes = RawBytes(exec);
  change(exec);
  std::memcpy(bytes.data(), &exec, bytes.size());
  return bytes;
}

std::vector<BadCase> BadCases() {
  auto unknown = RawRecord<culprit_exit>(99);
  return {
      {"Empty", "", DecodeFault::kShort},
      {"HalfAHeader", std::string(8, '\1'), DecodeFault::kShort},
      {"SizeOverTheRecord", Flow([](auto& f) { f.header.size += 1; }), DecodeFault::kSize},
      {"SizeUnderAHeader", ExecBytes([](auto& e) { e.header.size = 15; }), DecodeFault::kSize},
      {"FlowCutShort", Flow([](auto& f) { f.header.size -= 1; }), DecodeFault::kShort},
      {"KindUnknown", RawBytes(unknown), DecodeFault::kUnknownKind},
      {"ArgsLenOverTheRecord", ExecBytes([](auto& e) { e.args_len = 3; }), DecodeFault::kBadLength},
      {"ArgsLenHuge", ExecBytes([](auto& e) { e.args_len = ~0U; }), DecodeFault::kBadLength},
      {"PathLenOverItsField", ExecBytes([](auto& e) { e.path_len = CULPRIT_PATH_LEN; }),
       DecodeFault::kBadLength},
      {"ReasonZero", Flow([](auto& f) { f.reason = 0; }), DecodeFault::kBadEnum},
      {"ReasonOver", Flow([](auto& f) { f.reason = 8; }), DecodeFault::kBadEnum},
      {"DirectionOver", Flow([](auto& f) { f.direction = 5; }), DecodeFault::kBadEnum},
      {"FamilyOdd", Flow([](auto& f) { f.family = 10; }), DecodeFault::kBadEnum},
      {"ErrnoNegative", Flow([](auto& f) { f.error = -111; }), DecodeFault::kBadEnum},
      {"InterfaceCutShort", InterfaceBytes([](auto& i) { i.header.size -= 8; }),
       DecodeFault::kShort},
      {"InterfaceNeitherHardwareNorNot", InterfaceBytes([](auto& i) { i.hardware = 2; }),
       DecodeFault::kBadEnum},
      {"LinkHeaderTooLong", InterfaceBytes([](auto& i) { i.header_len = 129; }),
       DecodeFault::kBadLength},
      {"RankOfNoHash", CounterBytes([](auto& c) { c.address_registers[255] = 66; }),
       DecodeFault::kBadEnum},
      {"PortRankOfNoHash", CounterBytes([](auto& c) { c.port_registers[0] = 255; }),
       DecodeFault::kBadEnum},
      {"WindowBeyondReason", CounterBytes([](auto& c) { c.window_boot_ns = ~culprit_u64{0}; }),
       DecodeFault::kBadTime},
      {"TimeBeyondReason", Flow([](auto& f) { f.last_boot_ns = ~culprit_u64{0}; }),
       DecodeFault::kBadTime},
  };
}

class BadRecordTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadRecordTest, IsRefusedAndCountedByReason) {
  EXPECT_EQ(FaultOf(GetParam().bytes), GetParam().fault);
  Decoder decoder;
  Event event;
  decoder.Decode(GetParam().bytes, event);
  EXPECT_EQ(decoder.counters().faults[static_cast<std::size_t>(GetParam().fault)], 1U);
  EXPECT_EQ(decoder.counters().total_faults(), 1U);
  EXPECT_EQ(decoder.counters().records, 0U);
  const auto result = DecodeRecord(GetParam().bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Cases, BadRecordTest, ::testing::ValuesIn(BadCases()),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(DecoderTest, EveryTruncationOfEveryKindIsRefusedOrExact) {
  for (const std::string& whole : {RawBytes(RawExec("a")), RawBytes(RawFlow()),
                                   RawBytes(RawRecord<culprit_fork>(CULPRIT_RECORD_FORK)),
                                   RawBytes(RawRecord<culprit_exit>(CULPRIT_RECORD_EXIT)),
                                   RawBytes(RawRecord<culprit_counters>(CULPRIT_RECORD_COUNTERS)),
                                   RawBytes(RawRecord<culprit_lost>(CULPRIT_RECORD_LOST))}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      // A copy of its own, so that a sanitizer sees a read past the end.
      const std::string cut(whole.data(), n);
      EXPECT_NE(FaultOf(cut), DecodeFault::kNone) << n;
    }
    EXPECT_EQ(FaultOf(whole), DecodeFault::kNone);
  }
}

TEST(DecoderTest, RandomBytesNeverCrash) {
  std::mt19937_64 random(20260301);
  Decoder decoder;
  Event event;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 2'000, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (bytes.size() >= 16) {
      culprit_header header{};
      header.kind = static_cast<culprit_u16>(random() % 8);
      header.size = static_cast<culprit_u32>(bytes.size());
      std::memcpy(bytes.data(), &header, sizeof(header));
    }
    decoder.Decode(bytes, event);
  }
  EXPECT_EQ(decoder.counters().records + decoder.counters().total_faults(), 20'000U);
}

}  // namespace
}  // namespace culprit
