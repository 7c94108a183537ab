// SPDX-License-Identifier: Apache-2.0
// What payload said, in the index: names of flows, questions to the DNS.
#include <gmock/gmock.h>

#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

struct Name {
  std::string name;
  std::uint64_t flow = 1;
  v1::NameSource source = v1::NAME_SOURCE_TLS_SNI;
  v1::NameConfidence confidence = v1::NAME_CONFIDENCE_IN_FLOW;
};

class NamesTest : public StoreFixture {
 protected:
  NamesTest() { options_.part_age = std::chrono::hours(1); }

  // In a frame of its own; `at` in seconds, an hour away from others makes another part.
  void TakeName(const Name& given, double at) {
    v1::EvidenceBatch batch;
    v1::FlowName* name = batch.add_names();
    name->set_flow_id(given.flow);
    name->set_process_id(100);
    name->set_at_boot_ns(BootAt(at));
    name->set_source(given.source);
    name->set_confidence(given.confidence);
    name->set_name(given.name);
    name->set_alpn("h2");
    Take(MakeStored(++lsn_, batch, at));
  }
  void TakeQuestion(const std::string& name, double asked, double at, std::uint64_t process = 100) {
    v1::EvidenceBatch batch;
    v1::DnsQuestion* question = batch.add_dns();
    question->set_at_boot_ns(BootAt(asked));
    question->set_process_id(process);
    question->set_server(std::string("\xc0\x00\x02\x35", 4));
    question->set_server_port(53);
    question->set_name(name);
    question->set_type(1);
    question->add_answers("192.0.2.7");
    question->add_answers("www.example.net");
    question->set_questions(3);
    Take(MakeStored(++lsn_, batch, at));
  }
  std::vector<std::string> NamesOf(std::uint64_t flow, double since = 0, double until = 0) {
    const auto found = store_->FlowNames(1, FlowId{flow}, WallTimeFromNs(WallAt(since)),
                                         WallTimeFromNs(WallAt(until)));
    EXPECT_TRUE(found);
    std::vector<std::string> out;
    if (found) {
      for (const FlowNameRecord& one : *found) out.push_back(one.name);
    }
    return out;
  }
  std::vector<std::uint64_t> Named(const std::string& name) {
    NamePredicate where;
    where.name = name;
    const auto found = store_->FlowsNamed(where, 1000);
    EXPECT_TRUE(found);
    return found ? std::vector<std::uint64_t>(found->begin(), found->end())
                 : std::vector<std::uint64_t>();
  }
  std::vector<std::string> Asked(const NamePredicate& where, std::size_t limit = 100) {
    const auto found = store_->Dns(where, limit);
    EXPECT_TRUE(found);
    std::vector<std::string> out;
    if (found) {
      for (const DnsRecord& one : *found) out.push_back(one.name);
    }
    return out;
  }
};

TEST_F(NamesTest, ANameIsFoundAfterItsPartWasRolledOverAndAfterAReopen) {
  Open();
  TakeName({"www.example.com"}, 0);
  TakeRows({Row{}}, 0);
  for (int hour = 1; hour < 4; ++hour) TakeName({"other.example", 2}, 3601 * hour);
  ASSERT_EQ(PartFiles().size(), 4U);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(NamesOf(1), ElementsAre("www.example.com"));
    EXPECT_THAT(NamesOf(1, 0, 4 * 3601), ElementsAre("www.example.com"));
    EXPECT_THAT(Named("www.example.com"), ElementsAre(1U));
    Open();
  }
}

TEST_F(NamesTest, ASealedPartIsOneFile) {
  Open();
  TakeName({"www.example.com"}, 0);
  TakeQuestion("www.example.com", 0, 0);
  TakeName({"www.example.com"}, 3601);
  ASSERT_EQ(PartFiles().size(), 2U);
  EXPECT_FALSE(std::filesystem::exists(PartFiles()[0] + "-wal"));
  EXPECT_FALSE(std::filesystem::exists(PartFiles()[0] + "-shm"));
}

TEST_F(NamesTest, TheSurerNameOfASourceWinsAndAmongEqualsTheNewer) {
  const auto asked = [](const char* name, v1::NameConfidence confidence) {
    return Name{name, 1, v1::NAME_SOURCE_DNS, confidence};
  };
  for (const double apart : {1.0, 3601.0}) {  // in one part, and each in its own
    lsn_ = 0;
    options_.directory = root_ + "/index" + std::to_string(static_cast<int>(apart));
    Open();
    const double last = 3 * apart;
    TakeName(asked("other.example", v1::NAME_CONFIDENCE_OTHER_ASKED), 0);
    EXPECT_THAT(NamesOf(1, 0, last), ElementsAre("other.example"));
    TakeName(asked("surer.example", v1::NAME_CONFIDENCE_PROCESS_ASKED), apart);
    EXPECT_THAT(NamesOf(1, 0, last), ElementsAre("surer.example"));
    TakeName(asked("guess.example", v1::NAME_CONFIDENCE_OTHER_ASKED), 2 * apart);
    EXPECT_THAT(NamesOf(1, 0, last), ElementsAre("surer.example"));
    TakeName(asked("newer.example", v1::NAME_CONFIDENCE_PROCESS_ASKED), last);
    EXPECT_THAT(NamesOf(1, 0, last), ElementsAre("newer.example"));
  }
}

TEST_F(NamesTest, NamesFromSeveralSourcesStandBesideEachOtherTheSurestFirst) {
  Open();
  TakeName({"cdn.example", 1, v1::NAME_SOURCE_DNS, v1::NAME_CONFIDENCE_OTHER_ASKED}, 0);
  TakeName({"www.example.com"}, 1);
  EXPECT_THAT(NamesOf(1), ElementsAre("www.example.com", "cdn.example"));
  EXPECT_THAT(NamesOf(2), ElementsAre());
  EXPECT_THAT(Named("cdn.example"), ElementsAre(1U));
}

TEST_F(NamesTest, ASuffixMatchesOnLabelBordersOnly) {
  Open();
  TakeName({"example.com", 1}, 0);
  TakeName({"www.example.com", 2}, 0);
  TakeName({"a.b.example.com", 3}, 0);
  TakeName({"badexample.com", 4}, 0);
  TakeName({"example.com.evil.test", 5}, 0);
  TakeName({"com", 6}, 0);
  EXPECT_THAT(Named(".example.com"), UnorderedElementsAre(1U, 2U, 3U));
  EXPECT_THAT(Named("example.com"), ElementsAre(1U));
  EXPECT_THAT(Named("www.example"), ElementsAre());
  EXPECT_THAT(Named("%.com"), ElementsAre());
  EXPECT_THAT(Named(".com"), UnorderedElementsAre(1U, 2U, 3U, 4U, 6U));
}

TEST_F(NamesTest, MoreFlowsThanTheLimitIsSaid) {
  Open();
  for (std::uint64_t flow = 1; flow <= 3; ++flow) TakeName({"example.com", flow}, 0);
  NamePredicate where;
  where.name = "example.com";
  EXPECT_TRUE(store_->FlowsNamed(where, 3));
  const auto found = store_->FlowsNamed(where, 2);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kResourceExhausted);
}

TEST_F(NamesTest, QuestionsComeNewestFirstAndLimitedHoweverLateTheyArrive) {
  Open();
  TakeQuestion("second", 20, 30);
  TakeQuestion("first", 10, 30);
  TakeQuestion("third", 3610, 3640);
  TakeQuestion("old", 5, 3641);  // of a host that was cut off, in the newest part
  ASSERT_EQ(PartFiles().size(), 2U);
  EXPECT_THAT(Asked({}), ElementsAre("third", "second", "first", "old"));
  EXPECT_THAT(Asked({}, 2), ElementsAre("third", "second"));
  EXPECT_THAT(Asked({}, 1), ElementsAre("third"));
}

TEST_F(NamesTest, QuestionsAreFoundByTimeWhereNoFlowWasSeen) {
  Open();
  TakeRows({Row{}}, 10);
  TakeQuestion("quiet.example", 1000, 1000);
  TakeQuestion("later.example", 2000, 2000);
  for (int i = 0; i < 2; ++i) {
    NamePredicate where;
    where.from = WallTimeFromNs(WallAt(900));
    EXPECT_THAT(Asked(where), ElementsAre("later.example", "quiet.example"));
    where.to = WallTimeFromNs(WallAt(2000));  // exclusive
    EXPECT_THAT(Asked(where), ElementsAre("quiet.example"));
    where.from = WallTimeFromNs(WallAt(2001));
    where.to.reset();
    EXPECT_THAT(Asked(where), ElementsAre());
    Open();
  }
}

TEST_F(NamesTest, QuestionsOfOneProcessAndBelowOneName) {
  Open();
  TakeQuestion("www.example.com", 1, 10, 100);
  TakeQuestion("example.com", 2, 10, 101);
  TakeQuestion("badexample.com", 3, 10, 101);
  NamePredicate where;
  where.processes = std::unordered_set<std::uint64_t>{101};
  EXPECT_THAT(Asked(where, 1), ElementsAre("badexample.com"));
  where.name = ".example.com";
  EXPECT_THAT(Asked(where), ElementsAre("example.com"));
  where.processes.reset();
  EXPECT_THAT(Asked(where), ElementsAre("example.com", "www.example.com"));
  where.host = 2;
  EXPECT_THAT(Asked(where), ElementsAre());
}

TEST_F(NamesTest, EveryFieldOfAQuestionComesBack) {
  Open();
  TakeQuestion("www.example.com", 1, 10);
  const auto found = store_->Dns({}, 1);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  const DnsRecord& one = found->front();
  EXPECT_EQ(one.host, 1U);
  EXPECT_EQ(one.process, ProcessId{100});
  EXPECT_EQ(ToNs(one.at), WallAt(1));
  EXPECT_EQ(one.server.ToString(), "192.0.2.53:53");
  EXPECT_EQ(one.type, 1);
  EXPECT_EQ(one.rcode, 0);
  EXPECT_EQ(one.answers, "192.0.2.7 www.example.net");
  EXPECT_EQ(one.questions, 3U);
}

TEST_F(NamesTest, AQuestionFromTheFutureIsNoYoungerThanItsFrame) {
  Open();
  TakeQuestion("future.example", 1e6, 10);
  TakeQuestion("now.example", 20, 20);
  EXPECT_THAT(Asked({}), ElementsAre("now.example", "future.example"));
}

}  // namespace
}  // namespace culprit::testing
