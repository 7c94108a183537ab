// SPDX-License-Identifier: Apache-2.0
// A connection that outlives the programs: what the next ones read from the kernel's own counters.
// Needs root.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

constexpr std::size_t kUp = 400'000, kDown = 90'000;
constexpr std::uint64_t kSlack =
    40;  // what a SYN's header or a SACK block is longer than another's

struct Case {
  const char* name;
  int family;
  bool mapped;
};
class RestartTest : public ::testing::TestWithParam<Case> {};

void Move(const UniqueFd& from, const UniqueFd& to, std::size_t bytes) {
  Child sender([&] { return SendAll(from.get(), bytes) ? 0 : 1; });
  ASSERT_EQ(ReceiveAll(to.get(), bytes), bytes);
  ASSERT_EQ(sender.Wait(), 0);
}

void ExpectGoesOn(std::uint64_t before, std::uint64_t after, const char* what) {
  // The kernel's own counters do not say which acknowledgements had options.
  EXPECT_GE(after + kSlack, before) << what << " goes back";
  EXPECT_LE(after, before + kSlack) << what << " jumps";
}

TEST_P(RestartTest, ItsCountersGoOnWithinAFewBytesAndAreNotChargedAgain) {
  UniqueFd listener = Bound(GetParam().family, SOCK_STREAM, GetParam().mapped);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  UniqueFd client;
  UniqueFd server;
  culprit_flow before;
  {
    Live live;
    ASSERT_TRUE(live.ok());
    const Address to = Local(listener.get());
    client.Reset(socket(GetParam().family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), to.get(), to.length), 0);
    server.Reset(accept(listener.get(), nullptr, nullptr));
    Move(client, server, kUp);
    Move(server, client, kDown);
    const auto cookie = Cookie(client.get());
    ASSERT_TRUE(live.Until([&] {
      const auto flow = live.Flow(cookie, CULPRIT_FLOW_SNAPSHOT);
      return flow && flow->tx_payload_bytes == kUp && flow->rx_payload_bytes == kDown;
    }));
    before = *live.Flow(cookie, CULPRIT_FLOW_SNAPSHOT);
  }
  Live live;
  ASSERT_TRUE(live.ok());
  const auto found = live.Await(Cookie(client.get()), CULPRIT_FLOW_SNAPSHOT);
  EXPECT_TRUE(found.flags & CULPRIT_FLOW_REREAD);
  EXPECT_TRUE(found.flags & CULPRIT_FLOW_PREEXISTING);
  EXPECT_EQ(found.tx_payload_bytes, kUp);
  EXPECT_EQ(found.rx_payload_bytes, kDown);
  // Acknowledgements that come after the last sweep before are in one and not in the other.
  const std::uint64_t tx_more = found.tx_packets - before.tx_packets;
  const std::uint64_t rx_more = found.rx_packets - before.rx_packets;
  EXPECT_LE(tx_more, 2U);
  EXPECT_LE(rx_more, 2U);
  ExpectGoesOn(before.tx_wire_bytes, found.tx_wire_bytes - 72 * tx_more, "tx");
  ExpectGoesOn(before.rx_wire_bytes, found.rx_wire_bytes - 72 * rx_more, "rx");
  Move(client, server, 1'000);
  ASSERT_TRUE(live.Until([&] {
    const auto flow = live.Flow(Cookie(client.get()), CULPRIT_FLOW_SNAPSHOT);
    return flow && flow->tx_payload_bytes == kUp + 1'000;
  }));
  for (const culprit_counters& counters : live.counters) {
    if (counters.key.tgid != static_cast<std::uint32_t>(getpid())) continue;
    EXPECT_LT(counters.tx_wire_bytes, kUp / 2) << "charged with what was before the programs";
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RestartTest,
                         ::testing::Values(Case{"V4", AF_INET, false}, Case{"V6", AF_INET6, false},
                                           Case{"Mapped", AF_INET6, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ResyncTest, APassFindsAllProcessesAgainAndTakesNoSocketFromItsOwner) {
  Live live;
  ASSERT_TRUE(live.ok());
  UniqueFd listener = Bound(AF_INET, SOCK_STREAM, false);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  std::size_t own = 0;
  std::size_t flows = 0;
  const RecordSink sink = [&](std::string_view record) {
    culprit_header header{};
    std::memcpy(&header, record.data(), sizeof(header));
    if (header.kind == CULPRIT_RECORD_FLOW) {
      culprit_flow flow{};
      std::memcpy(&flow, record.data(), sizeof(flow));
      if (flow.cookie == Cookie(listener.get())) ++flows;
      return;
    }
    culprit_exec exec{};
    std::memcpy(&exec, record.data(), std::min(record.size(), sizeof(exec)));
    if (exec.key.tgid == static_cast<std::uint32_t>(getpid())) ++own;
  };
  ASSERT_TRUE(live.source().Resync(sink));
  ASSERT_TRUE(live.source().Resync(sink));
  EXPECT_EQ(own, 2U);
  EXPECT_EQ(flows, 0U) << "made under our eyes";
}

}  // namespace
}  // namespace culprit::testing
