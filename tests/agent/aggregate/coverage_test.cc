// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint32_t kNetns = 7;

class CoverageTest : public ::testing::Test {
 protected:
  // Totals since the load. skb bytes are what is given, wire bytes ten more for each packet.
  void Ledger(std::uint32_t ifindex, std::string name, std::uint64_t bytes, std::uint64_t packets,
              bool hardware = false) {
    InterfaceEvent event;
    event.at = at_;
    event.netns = kNetns;
    event.ifindex = ifindex;
    event.name = std::move(name);
    event.hardware = hardware;
    event.header_len = 14;
    event.tx.skb_bytes[CULPRIT_CLASS_PROCESS] = bytes;
    event.tx.wire_bytes[CULPRIT_CLASS_PROCESS] = bytes + 10 * packets;
    event.tx.packets[CULPRIT_CLASS_PROCESS] = packets;
    event.rx.skb_bytes[CULPRIT_CLASS_KERNEL] = 2 * bytes;
    coverage_.On(event);
  }
  void Device(std::string name, std::uint64_t tx_bytes, std::uint64_t tx_packets) {
    InterfaceCountersEvent event;
    event.at = at_;
    event.netns = kNetns;
    event.name = std::move(name);
    event.tx_bytes = tx_bytes;
    event.tx_packets = tx_packets;
    event.rx_bytes = 3 * tx_bytes;
    event.rx_packets = tx_packets;
    coverage_.On(event);
  }
  std::vector<InterfaceFacts> Take() {
    at_ += std::chrono::seconds(10);
    const auto facts = coverage_.Take(at_);
    return facts ? facts->interfaces : std::vector<InterfaceFacts>{};
  }

  Coverage coverage_;
  BootTime at_ = BootTimeFromNs(1'000'000'000);
};

TEST_F(CoverageTest, ARecordDoesNotEndBeforeItsFirstReading) {
  Ledger(2, "veth0", 5'000, 5);
  const auto facts = coverage_.Take(at_ - std::chrono::milliseconds(1));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->since, at_);
  EXPECT_GE(facts->at, facts->since);
}

TEST_F(CoverageTest, BothSidesCountFromTheFirstReadingAndLinkHeadersAreTakenOff) {
  Ledger(2, "veth0", 5'000, 5);
  Device("veth0", 900'000, 1'000);
  EXPECT_THAT(Take(), IsEmpty()) << "nothing has passed since";
  Ledger(2, "veth0", 5'400, 9);
  Device("veth0", 900'000 + 400 + 4 * 14, 1'004);
  const auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  const InterfaceFacts& veth = interfaces[0];
  EXPECT_TRUE(veth.readable);
  EXPECT_EQ(veth.name, "veth0");
  EXPECT_EQ(veth.tx.bytes[CULPRIT_CLASS_PROCESS], 400U);
  EXPECT_EQ(veth.tx.packets[CULPRIT_CLASS_PROCESS], 4U);
  EXPECT_EQ(veth.tx.interface_bytes, 400U);
  EXPECT_EQ(veth.tx.interface_packets, 4U);
  EXPECT_EQ(veth.rx.bytes[CULPRIT_CLASS_KERNEL], 800U);
}

TEST_F(CoverageTest, HardwareIsComparedByWireBytes) {
  Ledger(2, "eth0", 0, 0, true);
  Device("eth0", 0, 0);
  Take();
  Ledger(2, "eth0", 1'000, 3, true);
  Device("eth0", 1'030 + 3 * 14, 3);
  const auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 1'030U);
  EXPECT_EQ(interfaces[0].tx.interface_bytes, 1'030U);
}

TEST_F(CoverageTest, ADeviceCounterThatGoesBackIsANewBaseAndTakesNothingBack) {
  Ledger(2, "veth0", 0, 0);
  Device("veth0", 0, 0);
  Take();
  Ledger(2, "veth0", 1'000, 0);
  Device("veth0", 1'000, 0);
  Take();
  Ledger(2, "veth0", 1'700, 0);  // 700 somewhere around the new beginning: on neither side
  Device("veth0", 100, 0);
  auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 1'000U);
  EXPECT_EQ(interfaces[0].tx.interface_bytes, 1'000U);
  Ledger(2, "veth0", 1'800, 0);
  Device("veth0", 200, 0);
  interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 1'100U);
  EXPECT_EQ(interfaces[0].tx.interface_bytes, 1'100U);
}

TEST_F(CoverageTest, AnInterfaceWhoseFirstPacketComesLaterCountsFromTheReadingBefore) {
  Ledger(1, "lo", 0, 0);
  Device("lo", 0, 0);
  Device("veth0", 5'000, 50);
  Take();
  Ledger(1, "lo", 0, 0);
  Ledger(2, "veth0", 600, 0);
  Device("lo", 0, 0);
  Device("veth0", 5'600, 50);
  const auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 600U);
  EXPECT_EQ(interfaces[0].tx.interface_bytes, 600U);
}

TEST_F(CoverageTest, OfTwoInterfacesOfOneNameTheOneThatMovesIsTheDevice) {
  Ledger(2, "tun0", 700, 0);
  Device("tun0", 700, 0);
  Take();
  Ledger(2, "tun0", 700, 0);
  Ledger(9, "tun0", 50, 0);  // made anew
  Device("tun0", 50, 0);
  Take();
  Ledger(2, "tun0", 700, 0);
  Ledger(9, "tun0", 80, 0);
  Device("tun0", 80, 0);
  const auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_EQ(interfaces[0].ifindex, 9U);
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 30U);
  EXPECT_EQ(interfaces[0].tx.interface_bytes, 30U);
}

TEST_F(CoverageTest, WhatCannotBeReadIsSaidToBeUnreadableAndTheLedgerGoesOn) {
  Ledger(2, "veth0", 0, 0);
  Device("veth0", 0, 0);
  Take();
  Ledger(2, "veth0", 500, 0);
  const auto interfaces = Take();
  ASSERT_THAT(interfaces, SizeIs(1));
  EXPECT_FALSE(interfaces[0].readable);
  EXPECT_EQ(interfaces[0].tx.bytes[CULPRIT_CLASS_PROCESS], 500U);
}

TEST_F(CoverageTest, WithoutAReadingThereIsNothingToSay) {
  EXPECT_EQ(coverage_.Take(at_), std::nullopt);
  Ledger(2, "veth0", 0, 0);
  EXPECT_NE(coverage_.Take(at_), std::nullopt);
  EXPECT_EQ(coverage_.Take(at_), std::nullopt);
}

}  // namespace
}  // namespace culprit
