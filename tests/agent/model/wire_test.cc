// SPDX-License-Identifier: Apache-2.0
#include "agent/model/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <limits>
#include <random>

#include "common/flow_id.h"
#include "common/frame.h"
#include "tests/support/event_builder.h"

namespace culprit {
namespace {

using testing::At;
using testing::BootId;
using testing::Key;
using testing::RunId;
using namespace std::chrono_literals;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

FlowRow Row(std::uint64_t cookie) {
  FlowRow row;
  row.flow = FlowId{cookie * 0x9e3779b97f4a7c15ULL};
  row.cookie = SocketCookie{cookie};
  row.process = ProcessId{7};
  row.creator = ProcessId{8};
  row.local = Endpoint::Parse("192.0.2.1:40000").value();
  row.remote = Endpoint::Parse("[2001:db8::1]:443").value();
  row.protocol = IPPROTO_TCP;
  row.direction = Direction::kOut;
  row.state = FlowState::kFailed;
  row.error = 111;
  row.flags = kFlowFlagShared | kFlowFlagAgent;
  row.start = At(1s);
  row.last = At(2s);
  row.emitted = At(3s);
  row.totals = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  row.generation = 3;
  row.netns = 4026531840U;
  row.n_senders = 4;
  return row;
}

CounterFacts Counters() {
  CounterFacts counters;
  counters.process = ProcessId{7};
  counters.tcp_attempts = kMax;
  for (std::size_t i = 0; i < counters.outcome.size(); ++i) counters.outcome[i] = i + 1;
  counters.accepts = 11;
  counters.suppressed_flows = 12;
  counters.activity = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, kMax, At(12s), 13, 14};
  return counters;
}

CoverageFacts Coverage() {
  CoverageFacts coverage;
  coverage.at = At(20s);
  coverage.since = At(10s);
  coverage.interfaces = {
      {1, 2, "eth0", true, false, {{1, 2, 3, 4}, {5, 6, 7, 8}, 9, 10}, {{kMax, 0, 0, 1}, {}, 2, 3}},
      {1, 1, "lo", false, true, {}, {}}};
  return coverage;
}

FlowNameFacts Name() {
  FlowNameFacts name;
  name.flow = FlowId{1};
  name.process = ProcessId{7};
  name.at = At(4s);
  name.source = NameSource::kHttpConnect;
  name.confidence = NameConfidence::kInFlow;
  name.name = "www\\x20.example.com";
  name.alpn = "h2,http/1.1";
  name.port = 65'535;
  name.command = 255;
  return name;
}

DnsFacts Question() {
  DnsFacts question;
  question.at = At(5s);
  question.process = ProcessId{7};
  question.flow = FlowId{2};
  question.server = Endpoint::Parse("[2001:db8::53]:53").value();
  question.name = "www.example.com";
  question.type = 65'535;
  question.rcode = 3;
  question.answers = {"192.0.2.7", "cdn.example.net"};
  question.questions = 4'294'967'295U;
  question.query_bytes = kMax;
  question.answer_bytes = 6;
  question.suppressed = 7;
  return question;
}

HeartbeatFacts Beat() {
  HeartbeatFacts beat;
  beat.agent_pss_bytes = 30'000'000;
  beat.program_costs = {{"on_exec", 5, 900}};
  beat.degraded = {"spool: disk full"};
  beat.at_mono_ns = 8'000'000'000;
  beat.interval_ms = 10'000;
  beat.link_ids = {41, 42};
  beat.program_ids = {51, 52};
  beat.links_made = 3;
  beat.exe_sha256 = Sha256Digest{1};
  beat.config_sha256 = Sha256Digest{2};
  beat.spool_files_missing = 4;
  beat.stop_reason = "signal";
  beat.previous_run = "killed";
  return beat;
}

RecordBatch Full() {
  RecordBatch batch;
  batch.boot_id = BootId();
  batch.run_id = RunId();
  batch.host = HostFacts{};
  batch.host->hostname = "web-1";
  batch.host->addresses = {IpAddress::Parse("192.0.2.1").value(),
                           IpAddress::Parse("2001:db8::1").value()};
  ProcessFacts process;
  process.id = ProcessId{7};
  process.parent = ProcessId{8};
  process.key = Key(100, 2);
  process.exec_at = At(5s);
  process.exe = "/usr/bin/curl";
  process.exe_source = ExePathSource::kFanotify;
  process.comm = "curl";
  process.argv = {"curl", "", "-s"};
  process.argv_truncated = true;
  process.uid = Uid{1000};
  process.euid = Uid{0};
  process.gid = 5;
  process.user = "admin";
  process.login_uid = Uid{1001};
  process.login_user = "other";
  process.session_id = 9;
  process.container_id = std::string(64, 'a');
  process.cgroup = "x/y";
  process.exe_file = testing::Exe(42);
  process.exe_sha256 = Sha256Digest{1, 2, 3};
  process.exe_package = {PackageState::kDiffers, "openssh-client"};
  process.exe_deleted = process.exe_memfd = process.preexisting = process.is_agent = true;
  process.forked = process.execed_over_parent = true;
  process.netns = 1;
  process.cwd = "/root";
  batch.processes = {process, ProcessFacts{}};
  batch.exits = {{ProcessId{7}, At(9s), -9}};
  batch.flows = {Row(1), Row(2), Row(2)};
  batch.counters = {Counters()};
  LossFacts loss;
  loss.cause = LossCause::kHashQueue;
  loss.count = 3;
  loss.lane_plus_one = 2;
  loss.first_seq = 4;
  loss.last_seq = 5;
  loss.end_hash = Sha256Digest{9};
  loss.detail = "x";
  batch.losses = {loss};
  batch.fidelity = FidelityFacts{
      {{"tp_btf/exec", true, "", true}, {"x", false, "why", false}}, "creator", "fanotify", "bpf"};
  batch.heartbeat = Beat();
  batch.coverage = Coverage();
  batch.names = {Name(), FlowNameFacts{}};
  batch.dns = {Question(), DnsFacts{}};
  return batch;
}

TEST(WireTest, EveryFieldOfEveryRecordComesBack) {
  const RecordBatch batch = Full();
  BatchWriter writer;
  const auto parsed = ParseBatch(writer.Serialize(batch));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, batch);
}

TEST(WireTest, InterfacesOfFlowsAreWrittenOnlyWhereARowHasOne) {
  RecordBatch batch;
  batch.flows = {Row(1), Row(2)};
  BatchWriter writer;
  const std::size_t without = writer.Serialize(batch).size();
  batch.flows[1].direction = Direction::kForwarded;
  batch.flows[1].in_ifindex = 5;
  batch.flows[1].out_ifindex = 300;
  const std::string bytes = writer.Serialize(batch);
  EXPECT_GT(bytes.size(), without);
  const auto parsed = ParseBatch(bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, batch);
  batch.flows[1].in_ifindex = batch.flows[1].out_ifindex = 0;
  EXPECT_EQ(writer.Serialize(batch).size(), without);
}

TEST(WireTest, AWriterKeepsNothingOfTheBatchBefore) {
  BatchWriter writer;
  const std::string first = writer.Serialize(Full());
  RecordBatch empty;
  const auto parsed = ParseBatch(writer.Serialize(empty));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, empty);
  EXPECT_EQ(writer.Serialize(Full()), first);
}

TEST(WireTest, ExtremeNumbersAndRowsInAnyOrderComeBackSortedByCookie) {
  std::mt19937_64 random(3);
  RecordBatch batch;
  for (int i = 0; i < 500; ++i) {
    FlowRow row = Row(random() >> (random() % 64));
    row.start = BootTimeFromNs(random() >> 2 >> (random() % 60));
    row.last = std::max(row.start, BootTimeFromNs(random() >> 2));
    row.emitted = BootTimeFromNs(random() >> 2);
    row.totals = {kMax, random(), 0, kMax, random() % 9, 1, kMax, 0, random()};
    batch.flows.push_back(row);
  }
  batch.flows[0].cookie = SocketCookie{0};
  batch.flows[1].cookie = SocketCookie{kMax};
  BatchWriter writer;
  const auto parsed = ParseBatch(writer.Serialize(batch));
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::stable_sort(batch.flows.begin(), batch.flows.end(),
                   [](const FlowRow& a, const FlowRow& b) { return a.cookie < b.cookie; });
  EXPECT_EQ(parsed->flows, batch.flows);
}

TEST(WireTest, BytesThatAreNoUtf8DoNotBreakTheBatch) {
  RecordBatch batch;
  ProcessFacts process;
  process.argv = {"\xff\xfe", "caf\xc3\xa9"};
  process.exe = "/tmp/\x80";
  batch.processes = {process};
  BatchWriter writer;
  const auto parsed = ParseBatch(writer.Serialize(batch));
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->processes[0].argv, ::testing::ElementsAre("\\xff\\xfe", "caf\xc3\xa9"));
  EXPECT_EQ(parsed->processes[0].exe, "/tmp/\\x80");
}

TEST(WireTest, NamesAreEscapedOnceAndNeverRefused) {
  RecordBatch batch;
  batch.boot_id = BootId();
  batch.run_id = RunId();
  batch.names = {Name()};
  batch.names[0].name = "caf\\xc3\\xa9.example";
  batch.names[0].alpn = "h2 \xff";
  batch.dns = {Question()};
  batch.dns[0].name = "a\\x2eb.example";
  batch.dns[0].answers = {"two words\n", "\\x5cx20"};
  BatchWriter writer;
  const auto parsed = ParseBatch(writer.Serialize(batch));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->names[0].name, "caf\\xc3\\xa9.example");
  EXPECT_EQ(parsed->names[0].alpn, "h2\\x20\\xff");
  EXPECT_EQ(parsed->dns[0].name, "a\\x2eb.example");
  EXPECT_THAT(parsed->dns[0].answers, ::testing::ElementsAre("two\\x20words\\x0a", "\\x5cx20"));
}

struct EscapeCase {
  std::string_view name;
  std::string in, out;
};
class EscapeTest : public ::testing::TestWithParam<EscapeCase> {};
TEST_P(EscapeTest, LeavesUtf8AndEscapesTheRest) {
  EXPECT_EQ(EscapeNonUtf8(GetParam().in), GetParam().out);
}
INSTANTIATE_TEST_SUITE_P(Strings, EscapeTest,
                         ::testing::ValuesIn(std::vector<EscapeCase>{
                             {"Plain", "curl -s", "curl -s"},
                             {"Empty", "", ""},
                             {"Two", "\xc3\xa9", "\xc3\xa9"},
                             {"Three", "\xe2\x82\xac", "\xe2\x82\xac"},
                             {"Four", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
                             {"Lone", "a\x80z", "a\\x80z"},
                             {"CutShort", "\xe2\x82", "\\xe2\\x82"},
                             {"Overlong", "\xc0\xaf", "\\xc0\\xaf"},
                             {"OverlongThree", "\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
                             {"Surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80"},
                             {"BeyondUnicode", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
                             {"LooksEscaped", "\\xff", "\\x5cxff"},
                             {"BackslashAlone", "\\n \\x \\", "\\n \\x \\"},
                         }),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(WireTest, TruncatedAndFlippedBytesNeverCrash) {
  BatchWriter writer;
  const std::string good = writer.Serialize(Full());
  for (std::size_t n = 0; n < good.size(); ++n) {
    static_cast<void>(ParseBatch(good.substr(0, n)));
    std::string bad = good;
    bad[n] = static_cast<char>(bad[n] ^ 0x55);
    static_cast<void>(ParseBatch(bad));
  }
  EXPECT_FALSE(ParseBatch("\xff\xff"));
}

// What a busy server tells: 70 % short outbound requests to a few services, 25 % inbound, 5 %
// failures; one row in three is an interval update of a flow told before.
std::vector<FlowRow> Realistic(std::size_t count, std::mt19937_64& random) {
  std::vector<FlowRow> rows;
  std::uint64_t cookie = 90'000, start = 50'000'000'000'000;
  std::vector<ProcessId> processes(25);
  for (ProcessId& p : processes) p = ProcessId{random()};
  const auto address = [&](std::uint64_t n, const char* net) {
    return IpAddress::Parse(net + std::to_string(n % 250 + 1)).value();
  };
  for (std::size_t i = 0; i < count; ++i) {
    FlowRow row = Row(cookie += 1 + random() % 3);
    const std::uint64_t kind = random() % 100;
    row.process = row.creator = processes[(random() % 25) * (random() % 25) / 25];
    row.local.port = static_cast<std::uint16_t>(32'768 + random() % 28'000);
    row.remote = {address(random() % 40, "198.51.100."), std::uint16_t{443}};
    row.state = i % 3 == 0 ? FlowState::kOpen : FlowState::kClosed;
    row.error = 0;
    row.flags = 0;
    row.generation = 0;
    row.n_senders = 1;
    start += random() % 2'000'000;
    row.start = CutTime(BootTimeFromNs(start), kStartCutBits);
    row.last = row.start +
               CutTime(BootTimeFromNs(random() % 800'000'000), kLastCutBits).time_since_epoch();
    row.emitted = BootTimeFromNs(start / 50'000'000 * 50'000'000 + 100'000'000);
    const std::uint64_t tx = 200 + random() % 900;
    const std::uint64_t rx = random() % 10 == 0 ? random() % 3'000'000 : 400 + random() % 9'000;
    const std::uint64_t tx_packets = 5 + rx / 2'896, rx_packets = 5 + rx / 1'448;
    row.totals = {tx + 52 * tx_packets,
                  rx + 52 * rx_packets,
                  tx + 52 * tx_packets,
                  rx + 52 * rx_packets,
                  tx_packets,
                  rx_packets,
                  tx,
                  rx,
                  0};
    if (kind >= 70 && kind < 95) {
      row.direction = Direction::kIn;
      row.local.port = 8'080;
      row.remote = {address(random(), "203.0.113."),
                    static_cast<std::uint16_t>(1'024 + random() % 60'000)};
    } else if (kind >= 95) {
      row.state = FlowState::kFailed;
      row.error = 111;
      row.totals = {60, 40, 60, 40, 1, 1, 0, 0, 0};
    }
    row.flow = MakeFlowId(BootId(), {row.cookie, row.generation, false, row.remote, row.protocol});
    rows.push_back(row);
  }
  return rows;
}

TEST(WireTest, IdsThatFollowFromTheRowStayAtHomeAndComeBack) {
  std::mt19937_64 random(5);
  RecordBatch batch;
  batch.boot_id = BootId();
  batch.run_id = RunId();
  batch.flows = Realistic(20, random);
  batch.flows[7].flags = CULPRIT_FLOW_PEER;
  batch.flows[7].flow =
      MakeFlowId(BootId(), {batch.flows[7].cookie, batch.flows[7].generation, true,
                            batch.flows[7].remote, batch.flows[7].protocol});
  BatchWriter writer;
  const std::string derived = writer.Serialize(batch);
  const auto parsed = ParseBatch(derived);
  ASSERT_TRUE(parsed) << parsed.error().message;
  for (std::size_t i = 0; i < batch.flows.size(); ++i) {
    EXPECT_EQ(parsed->flows[i].flow, batch.flows[i].flow) << i;
  }
  batch.flows[3].flow = FlowId{42};
  const std::string carried = writer.Serialize(batch);
  EXPECT_GE(carried.size(), derived.size() + 8 * batch.flows.size());
  EXPECT_EQ(ParseBatch(carried)->flows[3].flow, FlowId{42});
}

TEST(WireTest, BytesOfAFlowInAFrameArePrinted) {
  std::mt19937_64 random(11);
  BatchWriter writer;
  for (const std::size_t count : {200U, 1'000U, 4'000U}) {
    RecordBatch batch;
    batch.boot_id = BootId();
    batch.run_id = RunId();
    batch.flows = Realistic(count, random);
    const std::string inflated = writer.Serialize(batch);
    const auto frame = MakeFrame(FrameHeader{}, inflated);
    ASSERT_TRUE(frame) << frame.error().message;
    const std::size_t whole = kFrameHeaderBytes + frame->payload.size() + sizeof(Sha256Digest);
    const double each = static_cast<double>(whole) / static_cast<double>(count);
    std::cout << "[ figure ] " << count << " flows a frame: " << each
              << " B a flow, header and hash included; " << inflated.size() / count
              << " B before zstd\n";
    RecordProperty("bytes_per_flow_" + std::to_string(count), std::to_string(each));
    EXPECT_LT(each, 60.0);  // a column that stops compressing, not a budget
  }
}

}  // namespace
}  // namespace culprit
