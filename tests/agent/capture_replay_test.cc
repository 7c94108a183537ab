// SPDX-License-Identifier: Apache-2.0
// What a replay tells of the capture itself, and whose events it says they are.
#include "agent/capture_replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <fstream>

#include "agent/agent.h"
#include "common/unique_fd.h"
#include "tests/support/capture_bytes.h"
#include "tests/support/packet_builder.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using testing::EthernetFrame;
using ::testing::HasSubstr;
using testing::Ipv4Packet;
using ::testing::Not;
using testing::UdpDatagram;

constexpr std::uint32_t kNanosecondPcap = 0xa1b23c4d, kEthernet = 1, kUsb = 189, kNoName = 9999;

std::string Datagram() {
  return EthernetFrame(testing::kEtherIpv4, Ipv4Packet(17, UdpDatagram(4000, 7, "hello")));
}

class CaptureReplayTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, std::uint32_t link_type,
                    const std::vector<std::uint32_t>& seconds) {
    CaptureBytes bytes(false);
    bytes.PcapHeader(kNanosecondPcap, link_type);
    const std::string packet = Datagram();
    for (const std::uint32_t at : seconds) {
      bytes.PcapRecord(1'700'000'000 + at, 0, packet, static_cast<std::uint32_t>(packet.size()));
    }
    std::ofstream(directory_ / name, std::ios::binary) << bytes.str();
    return directory_ / name;
  }
  // The whole agent on it. Returns the host that its status shows.
  HostFacts Replay(const std::string& path) {
    AgentSetup setup;
    setup.config.state_dir = directory_ / "state";
    setup.replay = setup.print = true;
    setup.print_path = directory_ / "records.json";
    CaptureReplayOptions options;
    options.path = path;
    options.name = "evidence-7";
    options.stats = stats_;
    setup.open_source = [&](UserEventSink events) -> Result<std::unique_ptr<EventSource>> {
      TRY(auto source, CaptureReplay::Open(options, std::move(events)));
      return std::unique_ptr<EventSource>(std::move(source));
    };
    auto agent = Agent::Create(std::move(setup));
    EXPECT_TRUE(agent) << agent.error().message;
    if (!agent) return {};
    const UniqueFd stop(eventfd(0, EFD_CLOEXEC));
    const Status ran = (*agent)->Run(stop.get());
    EXPECT_TRUE(ran) << ran.error().message;
    return (*agent)->status().host;
  }

  TempDir directory_;
  std::shared_ptr<CaptureReplayStats> stats_ = std::make_shared<CaptureReplayStats>();
};

TEST_F(CaptureReplayTest, LinkTypesThatAreNotUnderstoodAreNamedAndCounted) {
  Write("a.pcap", kEthernet, {1});
  Write("b.pcap", kUsb, {2, 3});
  Write("c.pcap", kNoName, {4});
  Replay(directory_.path());
  const std::string said = FormatReplayStats(*stats_);
  EXPECT_THAT(said, HasSubstr("replayed 3 files: 4 packets"));
  EXPECT_THAT(said, HasSubstr("2 packets of link type 189 (USB_LINUX)"));
  EXPECT_THAT(said, HasSubstr("1 packets of link type 9999, which"));
  EXPECT_THAT(said, Not(HasSubstr("clock")));
}

TEST_F(CaptureReplayTest, StepsBackOfTheClockAreCounted) {
  Replay(Write("a.pcap", kEthernet, {10, 5, 20, 19, 21}));
  EXPECT_THAT(FormatReplayStats(*stats_), HasSubstr("2 times the capture's clock went back"));
}

TEST_F(CaptureReplayTest, ACaptureWithoutAFlawHasOneLine) {
  Replay(Write("a.pcap", kEthernet, {1, 2, 3}));
  EXPECT_EQ(stats_->packets, 3U);
  const std::string said = FormatReplayStats(*stats_);
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
}

TEST_F(CaptureReplayTest, NothingReadIsNothingSaid) {
  EXPECT_EQ(FormatReplayStats(CaptureReplayStats{}), "");
}

TEST_F(CaptureReplayTest, TheHostIsTheOneThatTheCaptureIsOf) {
  const HostFacts host = Replay(Write("a.pcap", kEthernet, {1}));
  EXPECT_EQ(host.hostname, "evidence-7");
  EXPECT_EQ(host.identity_source, "capture");
}

}  // namespace
}  // namespace culprit
