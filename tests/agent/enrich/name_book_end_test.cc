// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/name_book.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

namespace culprit {
namespace {

using std::chrono::seconds;

class NameBookEndTest : public ::testing::Test {
 protected:
  static constexpr BootTime kStart = BootTimeFromNs(1'000'000'000'000);

  void SetUp() override {
    FlowRow row;
    row.flow = FlowId(7);
    row.process = ProcessId(3);
    row.local = client_;
    row.remote = server_;
    row.protocol = IPPROTO_UDP;
    row.direction = Direction::kOut;
    book_.On(row);
  }
  void Ask(const std::string& name, BootTime at) {
    DnsMessage question;
    question.name = name;
    question.type = 1;
    book_.On(ObservationEvent{at, client_, server_, IPPROTO_UDP, true, question});
  }
  std::vector<DnsFacts> Told() {
    RecordBatch batch;
    book_.Take(&batch, 10'000);
    return batch.dns;
  }

  const Endpoint client_{*IpAddress::Parse("192.0.2.7"), 40053};
  const Endpoint server_{*IpAddress::Parse("198.51.100.53"), 53};
  NameBook book_;
};

TEST_F(NameBookEndTest, AQuestionThatWaitsForItsAnswerIsToldAtTheEnd) {
  Ask("www.example.com", kStart);
  book_.Tick(kStart + seconds(1));
  EXPECT_TRUE(Told().empty());
  book_.Flush(kStart + seconds(1));
  const auto told = Told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].name, "www.example.com");
  EXPECT_EQ(told[0].rcode, kNoAnswer);
  EXPECT_EQ(told[0].questions, 1U);
  book_.Flush(kStart + seconds(2));
  EXPECT_TRUE(Told().empty());
}

TEST_F(NameBookEndTest, TheEndLeavesOutNoQuestionForItsRate) {
  constexpr std::size_t kQuestions = 200;
  for (std::size_t i = 0; i < kQuestions; ++i) Ask("n" + std::to_string(i) + ".example", kStart);
  book_.Flush(kStart);
  EXPECT_EQ(Told().size(), kQuestions);
}

}  // namespace
}  // namespace culprit
