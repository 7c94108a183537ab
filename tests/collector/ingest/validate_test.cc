// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <functional>

#include "collector/ingest/wire_scan.h"
#include "collector/model/evidence_rules.h"

namespace culprit {
namespace {

const Uuid kStream{{1, 2, 3}};

std::string OneExit() {
  v1::EvidenceBatch batch;
  batch.add_exits()->set_process_id(7);
  return batch.SerializeAsString();
}

FrameHeader Header(std::uint64_t seq = 1) {
  FrameHeader header;
  header.stream_id = kStream;
  header.seq = seq;
  header.record_count = 1;
  return header;
}

struct Wire {
  std::string header, payload, hash;
};

Wire ToWire(const Frame& frame) {
  return {frame.header_bytes, frame.payload, std::string(AsBytes(frame.hash))};
}

// A frame whose header says what it likes, with a hash that holds.
Wire Forge(const FrameHeader& header, const std::string& payload) {
  Wire wire{EncodeFrameHeader(header), payload, {}};
  wire.hash = std::string(AsBytes(FrameHash(wire.header, wire.payload)));
  return wire;
}

tl::expected<ValidFrame, FrameRefusal> Validate(const Wire& wire) {
  FrameValidator validator(kStream);
  return validator.Validate(wire.header, wire.payload, wire.hash);
}

TEST(FrameValidatorTest, GoodFrameIsTakenByteForByte) {
  const auto frame = MakeFrame(Header(), OneExit());
  ASSERT_TRUE(frame);
  const auto valid = Validate(ToWire(*frame));
  ASSERT_TRUE(valid) << valid.error().detail;
  EXPECT_EQ(valid->frame.header_bytes, frame->header_bytes);
  EXPECT_EQ(valid->frame.payload, frame->payload);
  EXPECT_EQ(valid->records, 1U);
  EXPECT_EQ(valid->rejected_records, 0U);
}

TEST(FrameValidatorTest, EveryFlippedByteIsRefused) {
  const auto frame = MakeFrame(Header(), OneExit());
  ASSERT_TRUE(frame);
  const Wire good = ToWire(*frame);
  for (std::string Wire::*part : {&Wire::header, &Wire::payload, &Wire::hash}) {
    for (std::size_t i = 0; i < (good.*part).size(); ++i) {
      Wire bad = good;
      (bad.*part)[i] = static_cast<char>((bad.*part)[i] ^ 0x10);
      EXPECT_FALSE(Validate(bad)) << i;
    }
    Wire cut = good;
    (cut.*part).pop_back();
    EXPECT_FALSE(Validate(cut));
    Wire empty = good;
    (empty.*part).clear();
    EXPECT_FALSE(Validate(empty));
  }
}

TEST(FrameValidatorTest, LiesInAHeaderWithAGoodHashAreRefusedByReason) {
  const auto good = MakeFrame(Header(), OneExit());
  ASSERT_TRUE(good);
  std::string bomb(64 << 20, '\0'), packed(ZSTD_compressBound(bomb.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bomb.data(), bomb.size(), 3));
  std::string many;  // 100,000 empty exits: two bytes each on the wire
  for (int i = 0; i < 100'000; ++i) many += std::string("\x2a\x00", 2);
  struct Case {
    const char* name;
    Refusal reason;
    std::function<Wire()> make;
  };
  const auto with = [&](auto change) {
    FrameHeader h = good->header;
    change(&h);
    return Forge(h, good->payload);
  };
  const Case cases[] = {
      {"other stream", Refusal::kStream,
       [&] { return with([](auto* h) { h->stream_id.bytes[0] ^= 1; }); }},
      {"seq 0", Refusal::kHeader, [&] { return with([](auto* h) { h->seq = 0; }); }},
      {"journal's kind", Refusal::kKind,
       [&] { return with([](auto* h) { h->kind = FrameKind::kJournalEntry; }); }},
      {"loss in bulk", Refusal::kLane,
       [&] {
         return with([](auto* h) {
           h->kind = FrameKind::kLoss;
           h->lane = Lane::kBulk;
         });
       }},
      {"payload length", Refusal::kSize, [&] { return with([](auto* h) { ++h->payload_len; }); }},
      {"payload over 1 MiB", Refusal::kHeader,
       [&] { return with([](auto* h) { h->payload_len = kMaxPayloadBytes + 1; }); }},
      {"inflated length", Refusal::kInflate,
       [&] {
         return with([](auto* h) {
           h->codec = Codec::kNone;
           ++h->inflated_len;
         });
       }},
      {"records", Refusal::kCount,
       [&] { return with([](auto* h) { h->record_count = 4'000'000'000; }); }},
      {"bomb", Refusal::kInflate,
       [&] {
         FrameHeader h = Header();
         h.codec = Codec::kZstd;
         h.payload_len = static_cast<std::uint32_t>(packed.size());
         h.inflated_len = kMaxInflatedBytes;
         return Forge(h, packed);
       }},
      {"garbage", Refusal::kMalformed, [&] { return ToWire(*MakeFrame(Header(), "garbage")); }},
      {"too many parts", Refusal::kMalformed, [&] { return ToWire(*MakeFrame(Header(), many)); }},
  };
  for (const Case& c : cases) {
    const auto valid = Validate(c.make());
    ASSERT_FALSE(valid) << c.name;
    EXPECT_EQ(RefusalName(valid.error().reason), RefusalName(c.reason))
        << c.name << ": " << valid.error().detail;
  }
}

TEST(FrameValidatorTest, WrongWallClockIsNoReasonToRefuse) {
  for (const std::int64_t ns : {std::int64_t{0}, std::int64_t{-1}, INT64_MAX, INT64_MIN}) {
    FrameHeader header = Header();
    header.clock.wall = WallTimeFromNs(ns);
    const auto frame = MakeFrame(header, OneExit());
    ASSERT_TRUE(frame);
    EXPECT_TRUE(Validate(ToWire(*frame)));
  }
}

v1::EvidenceBatch TwoFlows() {
  v1::EvidenceBatch batch;
  v1::FlowBatch* f = batch.mutable_flows();
  f->set_rows(2);
  f->add_process_ids(11);
  f->add_addresses(std::string("\xc0\x00\x02\x01", 4));
  for (int i = 0; i < 2; ++i) {
    f->add_flow_id(5 + static_cast<std::uint64_t>(i));
    f->add_cookie(1);
    f->add_process(0);
    f->add_creator(0);
    f->add_local(0);
    f->add_remote(0);
    f->add_local_port(1);
    f->add_remote_port(443);
    f->add_protocol(6);
    f->add_direction(1);
    f->add_state(2);
    f->add_start_boot_ns(1);
    f->add_last_after_start_ns(1);
    f->add_emitted_boot_ns(1);
    f->add_tx_wire_bytes(1);
    f->add_rx_wire_bytes(1);
    f->add_tx_packets(1);
    f->add_rx_packets(1);
    f->add_tx_payload_bytes(1);
    f->add_rx_payload_bytes(1);
  }
  return batch;
}

TEST(EvidenceRulesTest, BadRowIsLeftOutAndTheOthersStay) {
  using Change = std::function<void(v1::FlowBatch*)>;
  const Change changes[] = {
      [](auto* f) { f->set_flow_id(1, 0); },
      [](auto* f) { f->set_process(1, 1); },
      [](auto* f) { f->set_creator(1, UINT32_MAX); },
      [](auto* f) { f->set_local(1, 1); },
      [](auto* f) { f->set_remote(1, 9); },
      [](auto* f) { f->set_remote_port(1, 65'536); },
      [](auto* f) { f->set_protocol(1, 256); },
      [](auto* f) { f->set_state(1, 99); },
  };
  for (const Change& change : changes) {
    v1::EvidenceBatch batch = TwoFlows();
    change(batch.mutable_flows());
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_EQ(verdict.records, 2U);
    EXPECT_EQ(verdict.rejected, 1U);
    EXPECT_THAT(verdict.bad_flow_rows, ::testing::ElementsAre(1U));
  }
}

TEST(EvidenceRulesTest, ColumnsThatDisagreeTakeTheFlowsOutAndNothingElse) {
  using Change = std::function<void(v1::FlowBatch*)>;
  const Change changes[] = {
      [](auto* f) { f->set_rows(3); },          [](auto* f) { f->add_tx_wire_bytes(1); },
      [](auto* f) { f->clear_remote(); },       [](auto* f) { f->add_flags(1); },
      [](auto* f) { f->add_addresses("abc"); }, [](auto* f) { f->set_rows(UINT32_MAX); },
  };
  for (const Change& change : changes) {
    v1::EvidenceBatch batch = TwoFlows();
    batch.add_exits()->set_process_id(1);
    change(batch.mutable_flows());
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_FALSE(batch.has_flows());
    EXPECT_EQ(batch.exits_size(), 1);
    EXPECT_EQ(verdict.rejected, 2U);
  }
}

TEST(EvidenceRulesTest, OptionalColumnsAreFilledWithZeros) {
  v1::EvidenceBatch batch = TwoFlows();
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 0U);
  EXPECT_EQ(batch.flows().flags_size(), 2);
  EXPECT_EQ(batch.flows().retransmitted_bytes_size(), 2);
  EXPECT_EQ(batch.flows().in_ifindex_size(), 2);
  EXPECT_EQ(batch.flows().out_ifindex_size(), 2);
  batch.mutable_flows()->mutable_in_ifindex()->RemoveLast();
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 2U);
}

TEST(EvidenceRulesTest, DirectionsEndWithForwarded) {
  v1::EvidenceBatch batch = TwoFlows();
  batch.mutable_flows()->set_direction(0, v1::FLOW_DIRECTION_FORWARDED);
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 0U);
  batch.mutable_flows()->set_direction(1, v1::FLOW_DIRECTION_FORWARDED + 1);
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 1U);
}

constexpr std::uint64_t kTooMuch = 1ULL << 63U;

TEST(EvidenceRulesTest, BadInterfacesAreLeftOutAndCountedAndTheOthersStay) {
  using Change = std::function<void(v1::Coverage::Interface*)>;
  const Change changes[] = {
      [](auto* i) { i->set_name(std::string(65, 'x')); },
      [](auto* i) { i->mutable_tx()->set_process_bytes(kTooMuch); },
      [](auto* i) { i->mutable_rx()->set_unknown_packets(UINT64_MAX); },
      [](auto* i) { i->mutable_rx()->set_interface_bytes(kTooMuch); },
  };
  for (const Change& change : changes) {
    v1::EvidenceBatch batch;
    v1::Coverage* coverage = batch.mutable_coverage();
    coverage->set_at_boot_ns(9);
    change(coverage->add_interfaces());
    coverage->add_interfaces()->set_name(std::string(64, 'y'));
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_EQ(verdict.records, 2U);
    EXPECT_EQ(verdict.rejected, 1U);
    ASSERT_EQ(batch.coverage().interfaces_size(), 1);
    EXPECT_EQ(batch.coverage().interfaces(0).name().front(), 'y');
  }
}

TEST(EvidenceRulesTest, InterfacesOverTheLimitAreLeftOutAndCounted) {
  v1::EvidenceBatch batch;
  for (int i = 0; i < kMaxInterfaces + 10; ++i) batch.mutable_coverage()->add_interfaces();
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 10U);
  EXPECT_EQ(batch.coverage().interfaces_size(), kMaxInterfaces);
}

TEST(EvidenceRulesTest, CoverageThatEndsBeforeItBeginsIsNone) {
  for (const auto& [since, at] : {std::pair<std::uint64_t, std::uint64_t>{2, 1}, {0, kTooMuch}}) {
    v1::EvidenceBatch batch;
    batch.mutable_coverage()->set_since_boot_ns(since);
    batch.mutable_coverage()->set_at_boot_ns(at);
    batch.mutable_heartbeat();
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_FALSE(batch.has_coverage());
    EXPECT_TRUE(batch.has_heartbeat());
    EXPECT_EQ(verdict.records, 2U);
    EXPECT_EQ(verdict.rejected, 1U);
  }
}

TEST(EvidenceRulesTest, CountsThatNoInt64HoldsAreNone) {
  using Change = std::function<void(v1::ProcessCounters*)>;
  const Change changes[] = {
      [](auto* c) { c->set_tcp_attempts(kTooMuch); },
      [](auto* c) { c->set_first_contacts(UINT64_MAX); },
      [](auto* c) { c->set_link_packets(kTooMuch); },
      [](auto* c) { c->set_window_ports(kTooMuch); },
  };
  for (const Change& change : changes) {
    v1::EvidenceBatch batch;
    batch.add_counters()->set_process_id(1);
    EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 0U);
    change(batch.mutable_counters(0));
    EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 1U);
  }
}

TEST(EvidenceRulesTest, CostsOfProgramsAreBounded) {
  v1::EvidenceBatch batch;
  for (int i = 0; i < 300; ++i) batch.mutable_heartbeat()->add_program_costs();
  batch.mutable_heartbeat()->mutable_program_costs(0)->set_name(std::string(65, 'x'));
  batch.mutable_heartbeat()->mutable_program_costs(1)->set_run_time_ns(kTooMuch);
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 44U);
  EXPECT_EQ(batch.heartbeat().program_costs_size(), 256);
}

TEST(EvidenceRulesTest, RecordsWithoutIdentityOrOversizeAreCountedOut) {
  v1::EvidenceBatch batch;
  batch.add_exits();
  batch.add_exits()->set_process_id(1);
  batch.add_counters();
  batch.add_processes()->set_tgid(1);
  v1::Process* large = batch.add_processes();
  large->set_process_id(1);
  large->set_tgid(1);
  for (int i = 0; i < 100; ++i) large->add_argv(std::string(100, 'x'));
  v1::Process* good = batch.add_processes();
  good->set_process_id(2);
  good->set_tgid(1);
  batch.add_processes()->set_process_id(3);  // no tgid
  const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
  EXPECT_EQ(verdict.records, 7U);
  EXPECT_EQ(verdict.rejected, 5U);
  ASSERT_EQ(batch.processes_size(), 1);
  EXPECT_EQ(batch.processes(0).process_id(), 2U);
}

TEST(EvidenceRulesTest, APackageHasAStateThatIsKnown) {
  v1::EvidenceBatch batch;
  for (const int state : {3, 5, -1}) {
    v1::Process* process = batch.add_processes();
    process->set_process_id(77);
    process->set_tgid(1);
    process->mutable_exe_package()->set_state(static_cast<v1::PackageState>(state));
    process->mutable_exe_package()->set_name("openssh-server");
  }
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 2U);
}

TEST(EvidenceRulesTest, TheKernelItselfIsAProcessWithoutATgid) {
  v1::EvidenceBatch batch;
  v1::Process* kernel = batch.add_processes();
  kernel->set_process_id(1);
  kernel->set_comm("kernel");
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 0U);
}

TEST(EvidenceRulesTest, TheBucketOfAUserOverTheBudgetIsAProcessWithoutATgid) {
  v1::EvidenceBatch batch;
  v1::Process* bucket = batch.add_processes();
  bucket->set_process_id(1);
  bucket->set_uid(1001);
  EXPECT_EQ(ApplyEvidenceRules(&batch).rejected, 0U);
}

TEST(HelloTest, FormIsChecked) {
  const auto good = [] {
    v1::Hello hello;
    hello.set_protocol_version(1);
    hello.set_agent_version("0.1.0");
    hello.set_stream_id(std::string(16, 's'));
    v1::LaneRange* range = hello.add_lanes();
    range->set_oldest_seq(1);
    return hello;
  };
  EXPECT_TRUE(ValidateHello(good()));
  struct Case {
    const char* name;
    Code code;
    std::function<void(v1::Hello*)> change;
  };
  const Case cases[] = {
      {"old protocol", Code::kFailedPrecondition, [](auto* h) { h->set_protocol_version(0); }},
      {"new protocol", Code::kFailedPrecondition, [](auto* h) { h->set_protocol_version(2); }},
      {"short stream", Code::kInvalidArgument, [](auto* h) { h->set_stream_id("x"); }},
      {"zero stream", Code::kInvalidArgument,
       [](auto* h) { h->set_stream_id(std::string(16, '\0')); }},
      {"boot id", Code::kInvalidArgument, [](auto* h) { h->set_boot_id("x"); }},
      {"lane", Code::kInvalidArgument, [](auto* h) { h->mutable_lanes(0)->set_lane(2); }},
      {"repeated lane", Code::kInvalidArgument, [](auto* h) { h->add_lanes()->set_oldest_seq(1); }},
      {"oldest 0", Code::kInvalidArgument, [](auto* h) { h->mutable_lanes(0)->set_oldest_seq(0); }},
      {"oldest behind newest", Code::kInvalidArgument,
       [](auto* h) { h->mutable_lanes(0)->set_oldest_seq(3); }},
      {"version text", Code::kInvalidArgument, [](auto* h) { h->set_agent_version("a\nb"); }},
      {"reason text", Code::kInvalidArgument, [](auto* h) { h->set_stream_reason("Not a word"); }},
  };
  for (const Case& c : cases) {
    v1::Hello hello = good();
    c.change(&hello);
    const auto claim = ValidateHello(hello);
    ASSERT_FALSE(claim) << c.name;
    EXPECT_EQ(claim.error().code, c.code) << c.name;
  }
}

}  // namespace
}  // namespace culprit
