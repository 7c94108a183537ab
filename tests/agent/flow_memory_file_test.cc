// SPDX-License-Identifier: Apache-2.0
#include "agent/flow_memory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

Uuid Boot(std::uint8_t byte) {
  Uuid boot;
  boot.bytes.fill(byte);
  return boot;
}

RememberedPart Part(std::uint64_t flow, std::uint64_t process, std::uint64_t bytes) {
  RememberedPart part;
  part.flow = FlowId{flow};
  part.process = ProcessId{process};
  part.start = BootTimeFromNs(flow);
  part.totals.tx_wire_bytes = bytes;
  part.totals.retransmitted_bytes = bytes + 1;
  return part;
}

class FlowMemoryFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/culprit-flows-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/flows";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::unique_ptr<FlowMemoryFile> Open(std::uint8_t boot = 1, std::size_t max = 2'000) {
    auto memory = FlowMemoryFile::Open(path_, Boot(boot), max);
    EXPECT_TRUE(memory) << memory.error().message;
    return std::move(*memory);
  }
  std::string Bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string directory_, path_;
};

// A kill is what happens to a mapping that nobody closes: nothing is written at the end.
TEST_F(FlowMemoryFileTest, WhatWasPutLastIsThereAfterAKillAndWhatWasForgottenIsNot) {
  auto killed = Open();
  for (std::uint64_t flow = 1; flow <= 1'500; ++flow) killed->Put(Part(flow, 7, flow));
  for (std::uint64_t bytes = 0; bytes < 5; ++bytes) killed->Put(Part(3, 7, 1'000 + bytes));
  killed->Put(Part(3, 8, 50));
  for (std::uint64_t flow = 4; flow <= 1'500; ++flow) killed->Forget(FlowId{flow});
  const auto next = Open();
  ASSERT_THAT(next->former(), SizeIs(4));
  std::uint64_t sum = 0;
  for (const RememberedPart& part : next->former()) {
    sum += part.totals.tx_wire_bytes;
    EXPECT_EQ(part.totals.retransmitted_bytes, part.totals.tx_wire_bytes + 1);
    EXPECT_EQ(part.start, BootTimeFromNs(part.flow.value()));
  }
  EXPECT_EQ(sum, 1U + 2U + 1'004U + 50U);
}

TEST_F(FlowMemoryFileTest, AnotherBootBeginsEmpty) {
  Open(1)->Put(Part(1, 7, 5));
  EXPECT_THAT(Open(2)->former(), IsEmpty());
  EXPECT_THAT(Open(1)->former(), IsEmpty());
}

TEST_F(FlowMemoryFileTest, AKillInTheMiddleOfAWriteLeavesTheValueBefore) {
  {
    auto memory = Open();
    memory->Put(Part(1, 7, 5));
    memory->Put(Part(1, 7, 6));
  }
  const std::string whole = Bytes();
  const std::size_t second = whole.find('\x06', 64);
  ASSERT_NE(second, std::string::npos);
  for (std::size_t at = 64; at < 64 + 2 * 112; ++at) {
    std::string torn = whole;
    torn[at] = static_cast<char>(torn[at] ^ 0x55);
    Write(torn);
    const auto former = Open()->former();
    ASSERT_THAT(former, SizeIs(1)) << at;
    EXPECT_TRUE(former[0].totals.tx_wire_bytes == 5 || former[0].totals.tx_wire_bytes == 6) << at;
  }
}

TEST_F(FlowMemoryFileTest, AnyFileIsOpened) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(10'000, 'y'), std::string(64, '\0')}) {
    Write(bytes);
    EXPECT_THAT(Open()->former(), IsEmpty());
  }
}

TEST_F(FlowMemoryFileTest, TheCapIsKeptAndCounted) {
  auto memory = Open(1, 3);
  for (std::uint64_t flow = 1; flow <= 5; ++flow) memory->Put(Part(flow, 7, flow));
  EXPECT_EQ(memory->refused(), 2U);
  memory->Forget(FlowId{1});
  memory->Put(Part(9, 7, 9));
  EXPECT_EQ(memory->refused(), 2U);
  EXPECT_THAT(Open(1, 3)->former(), SizeIs(3));
}

}  // namespace
}  // namespace culprit
