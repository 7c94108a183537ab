// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_export.h"

#include <gtest/gtest.h>

#include <vector>

namespace culprit {
namespace {

// What a file says, in its order: "section", "interface NAME", "process ID", "packet ID ON".
std::vector<std::string> BlocksOf(std::string_view bytes) {
  std::vector<std::string> said;
  PcapngParser parser;
  PcapngBlock block;
  while (!bytes.empty() && parser.Next(bytes, &block) == PcapngFind::kBlock) {
    switch (block.kind) {
      case PcapngBlockKind::kSection:
        said.emplace_back("section");
        break;
      case PcapngBlockKind::kInterface:
        said.push_back("interface " + parser.interfaces().back().name);
        break;
      case PcapngBlockKind::kProcess:
        said.push_back("process " + std::to_string(block.process.id.value()));
        break;
      case PcapngBlockKind::kPacket:
        said.push_back("packet " + std::to_string(block.packet.process.value()) + " " +
                       parser.interfaces().at(block.packet.interface).name + " " +
                       std::string(block.packet.comment));
        break;
      default:
        said.emplace_back("other");
    }
    bytes.remove_prefix(block.total_bytes);
  }
  EXPECT_TRUE(bytes.empty()) << bytes.size() << " bytes are no block";
  return said;
}

class PacketExportTest : public ::testing::Test {
 protected:
  StoredPacket Packet(std::uint64_t process, std::string_view interface) {
    StoredPacket packet;
    packet.interface = interface;
    packet.link_type = 1;
    packet.packet.interface = 99;  // of another file
    packet.packet.wall_ns = 1'700'000'000'000'000'000;
    packet.packet.wire_bytes = 1000;
    packet.packet.bytes = "0123456789";
    packet.packet.comment = "c";
    packet.packet.process = ProcessId{process};
    process_.id = ProcessId{process};
    packet.process = process == 0 ? nullptr : &process_;
    return packet;
  }
  PcapngProcess process_;
  std::string file_;
};

TEST_F(PacketExportTest, DefinesInterfacesAndProcessesOnceAheadOfTheirPackets) {
  PacketExport out(0);
  out.Begin({"", "", "test"}, &file_);
  EXPECT_TRUE(out.Add(Packet(5, "eth0"), &file_));
  EXPECT_TRUE(out.Add(Packet(5, "eth1"), &file_));
  EXPECT_TRUE(out.Add(Packet(6, "eth0"), &file_));
  EXPECT_TRUE(out.Add(Packet(0, "eth0"), &file_));
  EXPECT_EQ(BlocksOf(file_),
            (std::vector<std::string>{"section", "interface eth0", "process 5", "packet 5 eth0 c",
                                      "interface eth1", "packet 5 eth1 c", "process 6",
                                      "packet 6 eth0 c", "packet 0 eth0 c"}));
  EXPECT_EQ(out.packets(), 4U);
  EXPECT_EQ(out.wire_bytes(), 4000U);
  EXPECT_EQ(out.kept_bytes(), 40U);
}

TEST_F(PacketExportTest, EndsBeforeThePacketThatHasNoRoom) {
  PacketExport whole(0);
  whole.Begin({}, &file_);
  whole.Add(Packet(5, "eth0"), &file_);
  const std::size_t one = file_.size();
  PacketExport bounded(one);
  std::string cut;
  bounded.Begin({}, &cut);
  EXPECT_TRUE(bounded.Add(Packet(5, "eth0"), &cut));
  EXPECT_FALSE(bounded.Add(Packet(6, "eth0"), &cut));
  EXPECT_FALSE(bounded.Add(Packet(5, "eth0"), &cut)) << "the end is the end";
  EXPECT_TRUE(bounded.cut_off());
  EXPECT_EQ(cut, file_);
}

}  // namespace
}  // namespace culprit
