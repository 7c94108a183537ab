// SPDX-License-Identifier: Apache-2.0
// The whole agent, run from a recording made here: no root, no network. What is judged is the
// spool.
#include "agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "agent/model/wire.h"
#include "agent/source/recorder.h"
#include "common/framed_log.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kSecond = 1'000'000'000;

culprit_process_key Key(std::uint32_t tgid) { return {1000 * std::uint64_t{tgid}, 1, tgid, 0}; }

std::string ExecRecord(std::uint32_t tgid, std::uint64_t at, const std::string& path,
                       const std::string& arg) {
  culprit_exec exec{};
  exec.key = Key(tgid);
  exec.parent = Key(1);
  exec.uid = exec.euid = 1000;
  exec.loginuid = exec.session_id = 0xffffffff;
  exec.exe.inode = tgid;
  exec.exe.nlink = 1;
  std::memcpy(exec.comm, "worker", 7);
  std::memcpy(exec.path, path.data(), path.size());
  exec.path_len = static_cast<culprit_u32>(path.size());
  exec.args_len = static_cast<culprit_u32>(arg.size() + 1);
  std::memcpy(exec.args, arg.c_str(), arg.size() + 1);
  const std::size_t size = (offsetof(culprit_exec, args) + exec.args_len + 7) / 8 * 8;
  exec.header = {CULPRIT_RECORD_EXEC, 0, static_cast<culprit_u32>(size), at};
  return {reinterpret_cast<const char*>(&exec), size};
}

std::string FlowRecord(std::uint32_t tgid, std::uint64_t cookie, std::uint64_t at,
                       std::uint8_t reason, std::uint64_t bytes) {
  culprit_flow flow{};
  flow.header = {CULPRIT_RECORD_FLOW, 0, sizeof(flow), at};
  flow.owner = flow.creator = Key(tgid);
  flow.cookie = cookie;
  flow.start_boot_ns = flow.counted_from_boot_ns = 10 * kSecond;
  flow.last_boot_ns = at;
  flow.tx_wire_bytes = flow.tx_skb_bytes = bytes;
  flow.tx_payload_bytes = bytes / 2;
  flow.tx_packets = bytes / 1000;
  const std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::uint8_t local[4] = {192, 0, 2, 1}, remote[4] = {198, 51, 100, 7};
  std::memcpy(flow.local, mapped, 12);
  std::memcpy(flow.remote, mapped, 12);
  std::memcpy(flow.local + 12, local, 4);
  std::memcpy(flow.remote + 12, remote, 4);
  flow.local_port = 40000;
  flow.remote_port = 443;
  flow.family = 4;
  flow.protocol = IPPROTO_TCP;
  flow.direction = CULPRIT_DIRECTION_OUT;
  flow.reason = reason;
  flow.tcp_state = reason == CULPRIT_FLOW_END ? 7 : 1;
  flow.uid = 1000;
  flow.n_senders = 1;
  return {reinterpret_cast<const char*>(&flow), sizeof(flow)};
}

// What a spool holds, in the order of its frames.
struct Evidence {
  std::vector<RecordBatch> batches;
  std::vector<FrameHeader> headers;
  bool chained = true;
};

Evidence ReadSpool(const std::string& directory) {
  Evidence evidence;
  SpoolOptions options;
  options.directory = directory;
  auto spool = Spool::Open(options);
  EXPECT_TRUE(spool.has_value());
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    Sha256Digest previous{};
    for (const SpoolSegment& segment : (*spool)->segments(lane)) {
      auto fd = (*spool)->OpenSegment(lane, segment.number);
      EXPECT_TRUE(fd.has_value());
      auto reader =
          SegmentReader::Open(std::move(*fd), [&](const ReadDamage&) { evidence.chained = false; });
      EXPECT_TRUE(reader.has_value());
      while (true) {
        auto frame = reader->Next();
        EXPECT_TRUE(frame.has_value());
        if (!frame || !*frame) break;
        evidence.chained &= (*frame)->header.prev_hash == previous;
        previous = (*frame)->hash;
        auto inflated = InflatePayload((*frame)->header, (*frame)->payload);
        EXPECT_TRUE(inflated.has_value());
        auto batch = ParseBatch(*inflated);
        EXPECT_TRUE(batch.has_value()) << batch.error().message;
        evidence.batches.push_back(std::move(*batch));
        evidence.headers.push_back((*frame)->header);
      }
    }
  }
  return evidence;
}

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "culprit-agent.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    stop_.Reset(eventfd(0, EFD_CLOEXEC));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // `flows` connections of one process, 5 GB each over 20 s, then the process ends.
  void Record(int flows) {
    RecordingHeader header;
    header.boot_id.bytes[3] = 9;
    header.clock = {BootTimeFromNs(9 * kSecond), WallTimeFromNs(1'700'000'000 * 1'000'000'000LL),
                    ClockSync::kSynced};
    header.owner_mode = "last_sender";
    auto recorder = Recorder::Create(recording(), header, 1 << 30);
    ASSERT_TRUE(recorder.has_value()) << recorder.error().message;
    (*recorder)->KernelRecord(ExecRecord(77, 9 * kSecond, "/usr/bin/worker", "worker"));
    ExeHashEvent hash;
    hash.at = BootTimeFromNs(9 * kSecond);
    hash.exe.inode = 77;
    hash.path = "/usr/bin/worker";
    hash.sha256.fill(0x5a);
    hash.hashed = true;
    hash.opened_by = Tgid(77);
    (*recorder)->ExeHash(hash);
    for (std::uint64_t second = 10; second < 30; ++second) {
      for (int flow = 0; flow < flows; ++flow) {
        const auto cookie = static_cast<std::uint64_t>(flow) + 1;
        const std::uint8_t reason = second == 10   ? CULPRIT_FLOW_ESTABLISHED
                                    : second == 29 ? CULPRIT_FLOW_END
                                                   : CULPRIT_FLOW_SNAPSHOT;
        (*recorder)->KernelRecord(FlowRecord(77, cookie,
                                             second * kSecond + static_cast<unsigned>(flow), reason,
                                             (second - 9) * 250'000'000));
      }
      (*recorder)->SweepEnd(BootTimeFromNs(second * kSecond + kSecond / 2));
    }
    culprit_exit exit{};
    exit.header = {CULPRIT_RECORD_EXIT, 0, sizeof(exit), 30 * kSecond};
    exit.key = Key(77);
    (*recorder)->KernelRecord({reinterpret_cast<const char*>(&exit), sizeof(exit)});
  }
  std::string recording() const { return directory_ + "/events.rec"; }

  AgentSetup Settings() const {
    AgentSetup setup;
    setup.config.state_dir = directory_ + "/state";
    setup.version = "test";
    setup.replay = true;
    setup.open_source =
        [path = recording()](UserEventSink sink) -> Result<std::unique_ptr<EventSource>> {
      TRY(auto source, ReplaySource::Open(path, std::move(sink)));
      return std::unique_ptr<EventSource>(std::move(source));
    };
    return setup;
  }
  void Run(AgentSetup setup) {
    auto agent = Agent::Create(std::move(setup));
    ASSERT_TRUE(agent.has_value()) << agent.error().message;
    const auto ran = (*agent)->Run(stop_.get());
    ASSERT_TRUE(ran.has_value()) << ran.error().message;
    status_ = (*agent)->status();
  }

  std::string directory_;
  UniqueFd stop_;
  AgentStatus status_;
};

// Readings every 10 s in which `tx` bytes more pass; a process whose exit was lost, and a pass that
// does not find it.
TEST_F(AgentTest, ReadingsAndPassesOfARecordingBecomeCoverageAndExits) {
  {
    RecordingHeader header;
    header.clock = {BootTimeFromNs(9 * kSecond), WallTimeFromNs(1'700'000'000 * 1'000'000'000LL),
                    ClockSync::kSynced};
    auto recorder = Recorder::Create(recording(), header, 1 << 30);
    ASSERT_TRUE(recorder.has_value()) << recorder.error().message;
    (*recorder)->KernelRecord(ExecRecord(77, 9 * kSecond, "/usr/bin/worker", "worker"));
    for (std::uint64_t second = 10; second <= 40; second += 10) {
      const BootTime at = BootTimeFromNs(second * kSecond);
      culprit_interface ledger{};
      ledger.header = {CULPRIT_RECORD_INTERFACE, 0, sizeof(ledger), second * kSecond};
      ledger.netns = 7;
      ledger.ifindex = 2;
      std::memcpy(ledger.name, "veth0", 5);
      ledger.tx.skb_bytes[CULPRIT_CLASS_PROCESS] = 1'000 * second;
      (*recorder)->KernelRecord({reinterpret_cast<const char*>(&ledger), sizeof(ledger)});
      (*recorder)->InterfaceCounters({at, 7, "veth0", 50'000 + 1'010 * second, 0, 0, 0});
      (*recorder)->Resync({at, false, true});
      (*recorder)->Resync({at, true, true});
      (*recorder)->SweepEnd(at);
    }
  }
  Run(Settings());
  std::optional<CoverageFacts> coverage;
  std::vector<ExitFacts> exits;
  for (const RecordBatch& batch : ReadSpool(directory_ + "/state/spool").batches) {
    if (batch.coverage) coverage = batch.coverage;
    exits.insert(exits.end(), batch.exits.begin(), batch.exits.end());
  }
  ASSERT_TRUE(coverage && coverage->interfaces.size() == 1);
  EXPECT_EQ(coverage->since, BootTimeFromNs(10 * kSecond));
  EXPECT_EQ(coverage->interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 30'000U);
  EXPECT_EQ(coverage->interfaces[0].tx.interface_bytes, 30'300U);
  EXPECT_EQ(status_.coverage, coverage);
  ASSERT_EQ(exits.size(), 1U);
  EXPECT_EQ(exits[0].wait_status, kWaitStatusUnknown);
}

TEST_F(AgentTest, ARecordingBecomesChainedEvidenceInTheSpool) {
  Record(3);
  Run(Settings());
  const Evidence evidence = ReadSpool(directory_ + "/state/spool");
  ASSERT_FALSE(evidence.batches.empty());
  EXPECT_TRUE(evidence.chained);
  // The first frame says who and how.
  ASSERT_TRUE(evidence.batches.front().host.has_value());
  EXPECT_EQ(evidence.batches.front().host->identity_source, "machine");
  ASSERT_TRUE(evidence.batches.front().fidelity.has_value());
  EXPECT_EQ(evidence.batches.front().fidelity->source, "replay");
  EXPECT_EQ(evidence.batches.front().fidelity->owner_mode, "last_sender");

  std::map<std::uint64_t, FlowRow> last;  // by cookie; rows are cumulative
  ProcessFacts process;
  bool exited = false, beat = false;
  std::uint32_t records = 0;
  for (std::size_t i = 0; i < evidence.batches.size(); ++i) {
    const RecordBatch& batch = evidence.batches[i];
    EXPECT_EQ(batch.boot_id.bytes[3], 9);
    EXPECT_EQ(evidence.headers[i].record_count, batch.RecordCount());
    records += batch.RecordCount();
    for (const FlowRow& row : batch.flows) {
      FlowRow& known = last[row.cookie.value()];
      if (row.totals.tx_wire_bytes >= known.totals.tx_wire_bytes) known = row;
    }
    for (const ProcessFacts& facts : batch.processes) {
      if (facts.key.tgid == Tgid(77)) process = facts;
    }
    exited |= !batch.exits.empty();
    beat |= batch.heartbeat.has_value();
  }
  ASSERT_EQ(last.size(), 3U);
  for (const auto& [cookie, row] : last) {
    EXPECT_EQ(row.totals.tx_wire_bytes, 5'000'000'000U) << cookie;
    EXPECT_EQ(row.state, FlowState::kClosed);
    EXPECT_EQ(row.remote.ToString(), "198.51.100.7:443");
    EXPECT_EQ(row.process, process.id);
  }
  EXPECT_EQ(process.exe, "/usr/bin/worker");
  EXPECT_THAT(process.argv, ElementsAre("worker"));
  ASSERT_TRUE(process.exe_sha256.has_value());
  EXPECT_EQ((*process.exe_sha256)[0], 0x5a);
  EXPECT_TRUE(exited);
  EXPECT_TRUE(beat);
  EXPECT_GT(records, 10U);
}

TEST_F(AgentTest, FramesCarryTheRecordingsClock) {
  Record(1);
  Run(Settings());
  const Evidence evidence = ReadSpool(directory_ + "/state/spool");
  for (const FrameHeader& header : evidence.headers) {
    EXPECT_GE(header.clock.boot, BootTimeFromNs(9 * kSecond));
    EXPECT_LE(header.clock.boot, BootTimeFromNs(30 * kSecond));
    EXPECT_EQ(ToNs(header.clock.wall) - static_cast<std::int64_t>(ToNs(header.clock.boot)),
              (1'700'000'000LL - 9) * 1'000'000'000);
    EXPECT_EQ(header.clock.sync, ClockSync::kSynced);
  }
}

TEST_F(AgentTest, ASecondRunGoesOnInTheSameStream) {
  Record(1);
  Run(Settings());
  const AgentStatus first = status_;
  Run(Settings());
  EXPECT_EQ(status_.stream_id, first.stream_id);
  EXPECT_EQ(status_.stream_reason, "new");  // no collector has heard of it yet
  EXPECT_NE(status_.run_id, first.run_id);
  const Evidence evidence = ReadSpool(directory_ + "/state/spool");
  EXPECT_TRUE(evidence.chained);
  EXPECT_EQ(status_.lanes[0].newest_seq, 2 * first.lanes[0].newest_seq);
}

TEST_F(AgentTest, OneStateDirectoryIsForOneAgent) {
  Record(1);
  auto first = Agent::Create(Settings());
  ASSERT_TRUE(first.has_value()) << first.error().message;
  const auto second = Agent::Create(Settings());
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error().message, HasSubstr("is another culprit-agent running?"));
}

TEST_F(AgentTest, OverTheCapBulkGoesFirstAndTheLossIsDeclared) {
  Record(3000);
  AgentSetup setup = Settings();
  setup.config.spool.max_bytes = 24 << 10;
  setup.config.spool.segment_bytes = 4 << 10;
  Run(std::move(setup));
  EXPECT_LE(status_.spool_bytes, 24U << 10);
  const Evidence evidence = ReadSpool(directory_ + "/state/spool");
  bool declared = false;
  for (std::size_t i = 0; i < evidence.batches.size(); ++i) {
    for (const LossFacts& loss : evidence.batches[i].losses) {
      if (loss.cause != LossCause::kSpoolCap) continue;
      declared = true;
      EXPECT_EQ(evidence.headers[i].kind, FrameKind::kLoss);
      EXPECT_EQ(loss.lane_plus_one, static_cast<std::uint32_t>(Lane::kBulk) + 1);
    }
  }
  EXPECT_TRUE(declared);
}

TEST_F(AgentTest, ADamagedRecordingIsReadAsFarAsItGoes) {
  Record(2);
  std::filesystem::resize_file(recording(), std::filesystem::file_size(recording()) - 5);
  Run(Settings());
  EXPECT_GE(ReadSpool(directory_ + "/state/spool").batches.size(), 2U);
}

TEST_F(AgentTest, AStopRequestEndsTheReplayAndDrains) {
  Record(1);
  const std::uint64_t one = 1;
  ASSERT_EQ(write(stop_.get(), &one, sizeof(one)), 8);
  Run(Settings());
  EXPECT_FALSE(ReadSpool(directory_ + "/state/spool").batches.empty());
}

}  // namespace
}  // namespace culprit
