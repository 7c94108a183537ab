// SPDX-License-Identifier: Apache-2.0
// A pass over all living processes: what it adds, and what its silence means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/enrich/enricher_fixture.h"

namespace culprit {
namespace {

using testing::At;
using testing::EnricherTest;
using testing::Exec;
using testing::Fork;
using ::testing::IsEmpty;
using testing::Key;
using namespace std::chrono_literals;

class ResyncTest : public EnricherTest {
 protected:
  void Pass(const std::vector<ProcessKey>& alive, bool sees_all = true) {
    at_ += 30s;
    enricher_.Apply(ResyncEvent{At(at_), false, sees_all});
    for (const ProcessKey& key : alive) {
      enricher_.Apply(Exec(key).Path("/bin/x").FromIterator().When(at_).Build());
    }
    enricher_.Apply(ResyncEvent{At(at_ + 1ms), true, sees_all});
    Tick(at_ + 1s);
  }
  std::chrono::nanoseconds at_ = 0s;
};

TEST_F(ResyncTest, APassThatFindsWhatIsKnownSaysNothing) {
  Pass({Key(50), Key(100)});
  const std::size_t told = sink_.processes.size();
  Pass({Key(50), Key(100)});
  EXPECT_EQ(sink_.processes.size(), told);
  EXPECT_THAT(sink_.exits, IsEmpty());
  EXPECT_EQ(enricher_.counters().exits_missed, 0U);
  EXPECT_EQ(enricher_.counters().found_by_resync, 0U);
}

TEST_F(ResyncTest, AProcessWhoseExitWasLostEndsWithUnknownStatus) {
  Pass({Key(50), Key(100)});
  enricher_.Apply(Exec(Key(101)).When(31s).Build());
  Tick(32s);
  Pass({Key(50)});
  ASSERT_EQ(sink_.exits.size(), 2U);
  for (const ExitFacts& exit : sink_.exits) EXPECT_EQ(exit.wait_status, kWaitStatusUnknown);
  EXPECT_EQ(enricher_.counters().exits_missed, 2U);
  Pass({Key(50)});
  EXPECT_EQ(sink_.exits.size(), 2U);
}

TEST_F(ResyncTest, AProcessWhoseExecWasLostIsFoundAndItsFormerImageDoesNotExit) {
  Pass({Key(50), Key(100, 1)});
  Pass({Key(50), Key(100, 2), Key(102)});
  EXPECT_EQ(enricher_.counters().found_by_resync, 2U);
  EXPECT_EQ(sink_.Facts(Key(100, 2)).exe, "/bin/x");
  EXPECT_THAT(sink_.exits, IsEmpty());
  EXPECT_EQ(enricher_.live_processes(), 3U);
}

TEST_F(ResyncTest, WhoIsBornDuringThePassIsNotMissed) {
  Pass({Key(50)});
  enricher_.Apply(ResyncEvent{At(40s), false, true});
  enricher_.Apply(Fork(Key(200), Key(50), 40s));
  enricher_.Apply(Exec(Key(50)).FromIterator().Build());
  enricher_.Apply(ResyncEvent{At(41s), true, true});
  EXPECT_EQ(enricher_.counters().exits_missed, 0U);
}

TEST_F(ResyncTest, SilenceAboutAProcessOfAnotherPidNamespaceSaysNothing) {
  Pass({Key(50)}, false);
  enricher_.Apply(Exec(Key(300)).When(31s).Build());
  Pass({}, false);
  EXPECT_EQ(enricher_.counters().exits_missed, 1U) << "50 was visible, 300 never was";
}

TEST_F(ResyncTest, AZombieIsNotANewProcess) {
  Pass({Key(50)});
  enricher_.Apply(ResyncEvent{At(70s), false, true});
  enricher_.Apply(Exec(Key(400)).NoFile().FromIterator().Build());
  enricher_.Apply(ResyncEvent{At(71s), true, true});
  EXPECT_EQ(enricher_.counters().found_by_resync, 0U);
}

}  // namespace
}  // namespace culprit
