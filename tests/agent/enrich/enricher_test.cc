// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/enricher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/enrich/enricher_fixture.h"

namespace culprit {
namespace {

using testing::At;
using testing::BootId;
using ::testing::ElementsAre;
using testing::EnricherTest;
using testing::Exe;
using testing::Exec;
using testing::Exit;
using testing::Flow;
using testing::Fork;
using testing::IdOf;
using ::testing::IsEmpty;
using testing::Key;
using namespace std::chrono_literals;

TEST_F(EnricherTest, ForkAndExecIsOneStepOfAncestry) {
  enricher_.Apply(Exec(Key(50)).Path("/bin/bash").NoFile().Build());
  enricher_.Apply(Fork(Key(100, 0), Key(50)));
  enricher_.Apply(Exec(Key(100, 1)).Previous(Key(100, 0)).NoFile().Build());
  const ProcessFacts& curl = sink_.Facts(Key(100, 1));
  EXPECT_EQ(curl.parent, IdOf(Key(50)));
  EXPECT_FALSE(curl.execed_over_parent);
  EXPECT_FALSE(curl.forked);
  EXPECT_FALSE(sink_.defined.contains(IdOf(Key(100, 0))));
}

TEST_F(EnricherTest, TheImageThatATgidRanAtATimeIsFoundAndDefined) {
  enricher_.Apply(Exec(Key(100, 1)).Path("/bin/sh").NoFile().Build());
  EXPECT_EQ(enricher_.ProcessAt(Tgid(100), At(3600s)), IdOf(Key(100, 1)));
  EXPECT_TRUE(sink_.defined.contains(IdOf(Key(100, 1))));
  EXPECT_EQ(enricher_.ProcessAt(Tgid(100), BootTime{}), ProcessId{});
  EXPECT_EQ(enricher_.ProcessAt(Tgid(101), At(3600s)), ProcessId{});
}

TEST_F(EnricherTest, AForkThatWasChargedStaysInTheAncestry) {
  enricher_.Apply(Exec(Key(50)).Path("/bin/bash").NoFile().Build());
  enricher_.Apply(Fork(Key(100, 0), Key(50)));
  enricher_.Apply(Flow().Owner(Key(100, 0)).Creator(Key(100, 0)).Build());
  enricher_.Apply(Exec(Key(100, 1)).Previous(Key(100, 0)).NoFile().Build());
  EXPECT_EQ(sink_.Facts(Key(100, 1)).parent, IdOf(Key(100, 0)));
  EXPECT_TRUE(sink_.Facts(Key(100, 1)).execed_over_parent);
  EXPECT_EQ(sink_.Facts(Key(100, 0)).parent, IdOf(Key(50)));
}

TEST_F(EnricherTest, ExecChainsLinkEachImageToTheOneBefore) {
  enricher_.Apply(Exec(Key(100, 1)).Path("/bin/sh").NoFile().Build());
  enricher_.Apply(Exec(Key(100, 2)).Previous(Key(100, 1)).Path("/bin/env").NoFile().Build());
  enricher_.Apply(Exec(Key(100, 3)).Previous(Key(100, 2)).Path("/bin/nc").NoFile().Build());
  EXPECT_EQ(sink_.Facts(Key(100, 3)).parent, IdOf(Key(100, 2)));
  EXPECT_TRUE(sink_.Facts(Key(100, 3)).execed_over_parent);
  EXPECT_EQ(sink_.Facts(Key(100, 2)).parent, IdOf(Key(100, 1)));
  EXPECT_EQ(sink_.Facts(Key(100, 1)).parent, IdOf(Key(50)));
}

TEST_F(EnricherTest, AForkInheritsItsParentsImageUntilItExecs) {
  enricher_.Apply(Exec(Key(50)).Path("/usr/sbin/sshd").NoFile().Cgroup("x/sshd.service").Build());
  enricher_.Apply(Fork(Key(100), Key(50)));
  enricher_.Apply(Flow().Build());
  const ProcessFacts& child = sink_.Facts(Key(100));
  EXPECT_EQ(child.exe, "/usr/sbin/sshd");
  EXPECT_THAT(child.argv, ElementsAre("sshd"));
  EXPECT_EQ(child.cgroup, "x/sshd.service");
  EXPECT_EQ(child.comm, "forked");
  EXPECT_TRUE(child.forked);
}

TEST_F(EnricherTest, AForkIntoAnotherCgroupDoesNotInheritItsName) {
  enricher_.Apply(
      Exec(Key(50)).NoFile().Cgroup("docker-" + std::string(64, 'a') + ".scope").Build());
  ForkEvent fork = Fork(Key(100), Key(50));
  fork.cgroup_id = 99;
  enricher_.Apply(fork);
  enricher_.Apply(Flow().Build());
  EXPECT_EQ(sink_.Facts(Key(50)).container_id, std::string(64, 'a'));
  EXPECT_EQ(sink_.Facts(Key(100)).container_id, "");
  EXPECT_EQ(sink_.Facts(Key(100)).cgroup, "");
}

TEST_F(EnricherTest, AncestorsUpToPidOneAreDefinedBeforeTheProcess) {
  for (std::uint32_t pid = 2; pid <= 20; ++pid) enricher_.Apply(Fork(Key(pid), Key(pid - 1)));
  enricher_.Apply(Exec(Key(1)).Path("/sbin/init").Parent({}).NoFile().FromIterator().Build());
  sink_.processes.clear();
  enricher_.Apply(Flow().Owner(Key(20)).Creator(Key(20)).Build());
  ASSERT_EQ(sink_.processes.size(), 19U);
  for (std::size_t i = 0; i < 19; ++i) {
    EXPECT_EQ(sink_.processes[i].id, IdOf(Key(static_cast<std::uint32_t>(i + 2))));
    EXPECT_EQ(sink_.processes[i].parent, IdOf(Key(static_cast<std::uint32_t>(i + 1))));
  }
}

TEST_F(EnricherTest, DefinitionsAreSentOncePerRun) {
  enricher_.Apply(Exec().NoFile().Build());
  for (int i = 0; i < 5; ++i) enricher_.Apply(Flow().Build());
  EXPECT_EQ(sink_.processes.size(), 1U);
  EXPECT_EQ(enricher_.counters().definitions_sent, 1U);
}

TEST_F(EnricherTest, ForgetSentSendsLiveDefinitionsAgain) {
  enricher_.Apply(Exec(Key(100)).NoFile().Build());
  enricher_.Apply(Exec(Key(101)).NoFile().Build());
  enricher_.Apply(Exit(Key(101), 2s));
  sink_.processes.clear();
  enricher_.ForgetSent();
  ASSERT_EQ(sink_.processes.size(), 1U);
  EXPECT_EQ(sink_.processes[0].id, IdOf(Key(100)));
  enricher_.Apply(Flow().Owner(Key(101)).Creator(Key(101)).Build());
  EXPECT_EQ(sink_.processes.back().id, IdOf(Key(101)));
}

TEST_F(EnricherTest, AHashThatCameBeforeTheExecIsInTheFirstDefinition) {
  enricher_.Apply(Hash(42, "/usr/bin/curl", 500ms));
  enricher_.Apply(Exec().Path("/curl").Build());
  ASSERT_EQ(sink_.processes.size(), 1U);
  EXPECT_EQ(sink_.processes[0].exe, "/usr/bin/curl");
  EXPECT_EQ(sink_.processes[0].exe_source, ExePathSource::kFanotify);
  ASSERT_TRUE(sink_.processes[0].exe_sha256);
  EXPECT_EQ((*sink_.processes[0].exe_sha256)[0], 42);
}

TEST_F(EnricherTest, ThePackageOfAnExecutableComesWithItsHashEarlyOrLate) {
  ExeHashEvent hash = Hash(42, "/usr/bin/curl", 500ms);
  hash.package = {PackageState::kIntact, "curl"};
  enricher_.Apply(hash);
  enricher_.Apply(Exec(Key(50)).Path("/curl").Build());
  EXPECT_EQ(sink_.Facts(Key(50)).exe_package, hash.package);
  ExecEvent other = Exec(Key(60)).Build();
  other.exe = Exe(43);
  enricher_.Apply(other);
  Tick(3s);
  hash = Hash(43, "/tmp/x", 4s);
  hash.package = {PackageState::kNone, ""};
  enricher_.Apply(hash);
  EXPECT_EQ(sink_.Facts(Key(60)).exe_package.state, PackageState::kNone);
}

TEST_F(EnricherTest, ADefinitionWaitsAMomentForItsHash) {
  enricher_.Apply(Exec().Build());
  EXPECT_THAT(sink_.processes, IsEmpty());
  enricher_.Apply(Hash(42, "/usr/bin/curl", 1'050ms));
  ASSERT_EQ(sink_.processes.size(), 1U);
  EXPECT_TRUE(sink_.processes[0].exe_sha256);
  Tick(2s);
  EXPECT_EQ(sink_.processes.size(), 1U);
}

TEST_F(EnricherTest, AHashThatComesLateAmendsTheProcessAndItsChargedChildren) {
  enricher_.Apply(Exec(Key(50)).Build());
  Tick(1'200ms);
  enricher_.Apply(Fork(Key(100), Key(50)));
  enricher_.Apply(Flow().Build());
  EXPECT_FALSE(sink_.Facts(Key(50)).exe_sha256);
  EXPECT_FALSE(sink_.Facts(Key(100)).exe_sha256);
  enricher_.Apply(Hash(42, "/usr/bin/curl", 5s));
  EXPECT_TRUE(sink_.Facts(Key(50)).exe_sha256);
  EXPECT_TRUE(sink_.Facts(Key(100)).exe_sha256);
  EXPECT_EQ(enricher_.counters().amendments_sent, 2U);
}

TEST_F(EnricherTest, AnotherVersionOfTheFileDoesNotLendItsHash) {
  ExeHashEvent old = Hash(42, "/usr/bin/curl", 500ms);
  old.exe.ctime_ns -= 1;
  enricher_.Apply(old);
  enricher_.Apply(Exec().Build());
  Tick(2s);
  EXPECT_FALSE(sink_.Facts(Key(100)).exe_sha256);
}

TEST_F(EnricherTest, AHardLinkKeepsTheNameItWasStartedBy) {
  enricher_.Apply(Hash(42, "/usr/bin/gzip", 500ms));
  enricher_.Apply(Exec().Path("/usr/bin/gunzip").Build());
  EXPECT_EQ(sink_.Facts(Key(100)).exe, "/usr/bin/gunzip");
  EXPECT_TRUE(sink_.Facts(Key(100)).exe_sha256);
}

TEST_F(EnricherTest, AProcessThatLivesFiveMillisecondsIsDefinedWithItsExit) {
  enricher_.Apply(Exec().When(1s).Build());
  enricher_.Apply(Exit(Key(100), 1'005ms, 256));
  EXPECT_THAT(sink_.exits, IsEmpty());
  Tick(1'200ms);
  EXPECT_EQ(sink_.Facts(Key(100)).exe, "/usr/bin/curl");
  EXPECT_THAT(sink_.exits, ElementsAre(ExitFacts{IdOf(Key(100)), At(1'005ms), 256}));
}

TEST_F(EnricherTest, AFlowThatOutlivesItsProcessKeepsItsName) {
  enricher_.Apply(Exec(Key(50)).NoFile().Build());
  enricher_.Apply(Fork(Key(100), Key(50)));
  enricher_.Apply(Exit(Key(100), 2s));
  Tick(20s);
  enricher_.Apply(Flow().Reason(FlowReason::kEnd).When(20s).Build());
  EXPECT_EQ(sink_.flows.back().process, IdOf(Key(100)));
  EXPECT_EQ(sink_.Facts(Key(100)).exe, "/usr/bin/curl");
  EXPECT_EQ(enricher_.counters().placeholders, 0U);
  EXPECT_EQ(sink_.exits.size(), 1U);
}

TEST_F(EnricherTest, APidUsedAgainIsAnotherProcess) {
  const ProcessKey first = Key(100);
  ProcessKey second = Key(100);
  second.start = At(500s);
  enricher_.Apply(Exec(first).NoFile().Path("/bin/old").Build());
  enricher_.Apply(Exit(first, 2s));
  enricher_.Apply(Exec(second).NoFile().Path("/bin/new").Build());
  enricher_.Apply(Flow().Owner(first).Creator(first).Build());
  enricher_.Apply(Flow().Owner(second).Creator(second).Build());
  EXPECT_EQ(sink_.flows[0].process, IdOf(first));
  EXPECT_EQ(sink_.flows[1].process, IdOf(second));
  EXPECT_EQ(sink_.Facts(first).exe, "/bin/old");
  EXPECT_EQ(sink_.Facts(second).exe, "/bin/new");
}

TEST_F(EnricherTest, AnOwnerThatNothingToldAboutGetsAPlaceholderAndNoGuess) {
  enricher_.Apply(Exec(Key(100, 1)).NoFile().Path("/bin/other").Build());
  ProcessKey reused = Key(100, 1);
  reused.start = At(99s);
  enricher_.Apply(Flow().Owner(reused).Creator(reused).Build());
  const ProcessFacts& facts = sink_.Facts(reused);
  EXPECT_EQ(facts.comm, "curl");
  EXPECT_EQ(facts.uid, Uid{1000});
  EXPECT_EQ(facts.exe, "");
  EXPECT_EQ(facts.parent, ProcessId{});
  EXPECT_EQ(enricher_.counters().placeholders, 1U);
  EXPECT_THAT(enricher_.TakeUnresolved(), ElementsAre(Tgid{100}));
  EXPECT_THAT(enricher_.TakeUnresolved(), IsEmpty());
}

TEST_F(EnricherTest, APlaceholderIsAmendedWhenItsExecIsFound) {
  enricher_.Apply(Flow().Build());
  enricher_.Apply(Exec().NoFile().FromIterator().Build());
  EXPECT_EQ(sink_.Facts(Key(100)).exe, "/usr/bin/curl");
  EXPECT_EQ(enricher_.counters().amendments_sent, 1U);
}

TEST_F(EnricherTest, AnIteratorDoesNotOverwriteAnExecThatWasSeen) {
  enricher_.Apply(Exec().NoFile().Build());
  enricher_.Apply(Exec().NoFile().Path("/other").FromIterator().Build());
  EXPECT_EQ(sink_.processes.size(), 1U);
}

TEST_F(EnricherTest, OnlyWhatRanBeforeTheFirstRecordIsPreexisting) {
  enricher_.Apply(Exec(Key(100)).When(10s).NoFile().FromIterator().Build());
  ProcessKey later = Key(101);
  later.start = At(11s);
  enricher_.Apply(Exec(later).When(20s).NoFile().FromIterator().Build());
  EXPECT_TRUE(sink_.Facts(Key(100)).preexisting);
  EXPECT_FALSE(sink_.Facts(later).preexisting);
}

TEST_F(EnricherTest, UnknownOwnersStayUnknownAndAreCounted) {
  enricher_.Apply(Flow().Owner({}).Creator({}).Build());
  EXPECT_EQ(sink_.flows[0].process, ProcessId{});
  EXPECT_EQ(enricher_.counters().unknown_owners, 1U);
  EXPECT_THAT(sink_.processes, IsEmpty());
}

TEST_F(EnricherTest, TheKernelsOwnSocketsBelongToTheKernel) {
  enricher_.Apply(Flow().Owner({}).Creator({}).Flags(CULPRIT_FLOW_KERNEL).Build());
  EXPECT_EQ(sink_.Facts(ProcessKey{}).comm, "kernel");
  EXPECT_EQ(sink_.flows[0].process, IdOf(ProcessKey{}));
}

TEST_F(EnricherTest, KernelThreadsAreDefinedOnlyWhereReferredTo) {
  enricher_.Apply(Exec(Key(2)).KernelThread().FromIterator().Build());
  EXPECT_THAT(sink_.processes, IsEmpty());
  enricher_.Apply(Flow().Owner(Key(2)).Creator(Key(2)).Build());
  EXPECT_EQ(sink_.processes.size(), 1U);
}

TEST_F(EnricherTest, UserNamesComeFromThePort) {
  enricher_.Apply(Exec().NoFile().LoginUser(1000).User(33).Build());
  EXPECT_EQ(sink_.Facts(Key(100)).user, "");
  EXPECT_EQ(sink_.Facts(Key(100)).login_user, "admin");
}

TEST_F(EnricherTest, TheAgentIsLabelledWithItsChildrenAndUntilItExits) {
  enricher_.Apply(Exec(Key(100)).NoFile().FromIterator().Build());
  enricher_.SetAgentTgids({Tgid{100}});
  EXPECT_TRUE(sink_.Facts(Key(100)).is_agent);
  enricher_.Apply(Fork(Key(101), Key(100)));
  enricher_.Apply(Flow().Owner(Key(101)).Creator(Key(101)).Build());
  EXPECT_TRUE(sink_.flows.back().is_agent);
  enricher_.Apply(Exit(Key(100), 2s));
  ProcessKey reused = Key(100);
  reused.start = At(50s);
  enricher_.Apply(Exec(reused).NoFile().Build());
  EXPECT_FALSE(sink_.Facts(reused).is_agent);
}

TEST_F(EnricherTest, ProcfsAddsWhatIsMissingAndNeverMixesProcesses) {
  enricher_.Apply(Exec().NoFile().Path("/curl").Build());
  ProcfsEvent procfs;
  procfs.tgid = Tgid{100};
  procfs.start = Key(100).start + 10ms;
  procfs.exe = "/usr/bin/curl (deleted)";
  procfs.cwd = "/root";
  procfs.argv = {"forged"};
  enricher_.Apply(procfs);
  const ProcessFacts& facts = sink_.Facts(Key(100));
  EXPECT_EQ(facts.exe, "/usr/bin/curl");
  EXPECT_EQ(facts.exe_source, ExePathSource::kProcfs);
  EXPECT_EQ(facts.cwd, "/root");
  EXPECT_THAT(facts.argv, ElementsAre("curl"));

  procfs.exe = "/usr/bin/other";
  procfs.cwd = "/elsewhere";
  enricher_.Apply(procfs);
  procfs.start = Key(100).start + 30ms;
  enricher_.Apply(procfs);
  EXPECT_EQ(sink_.Facts(Key(100)).cwd, "/root");
  EXPECT_EQ(enricher_.counters().procfs_mismatches, 2U);
}

TEST_F(EnricherTest, AForkBombEvictsItsOwnAndIsCounted) {
  enricher_.Apply(Exec(Key(1)).Path("/sbin/init").User(0).Parent({}).NoFile().Build());
  enricher_.Apply(Exec(Key(50)).Path("/usr/sbin/sshd").User(0).NoFile().Build());
  for (std::uint32_t pid = 1'000; pid < 6'000; ++pid) enricher_.Apply(Fork(Key(pid), Key(50)));
  Tick(2s);
  EXPECT_LE(enricher_.live_processes(), 100U);
  EXPECT_EQ(enricher_.counters().processes_evicted, 5'002U - 100U);
  EXPECT_EQ((sink_.losses[{LossCause::kAgentTableFull, "processes"}]), 5'002U - 100U);
  sink_.processes.clear();
  enricher_.Apply(Flow().Owner(Key(5'999)).Creator(Key(5'999)).Build());
  EXPECT_EQ(sink_.Facts(Key(5'999)).exe, "/usr/sbin/sshd");
  enricher_.Apply(Flow().Owner(Key(50)).Creator(Key(50)).Build());
  EXPECT_EQ(enricher_.counters().placeholders, 0U);
}

TEST_F(EnricherTest, EndedProcessesAreForgottenAfterTheGrace) {
  for (std::uint32_t pid = 100; pid < 150; ++pid) {
    enricher_.Apply(Exec(Key(pid)).NoFile().Build());
    enricher_.Apply(Exit(Key(pid), 2s));
  }
  Tick(33s);
  enricher_.Apply(Flow().Build());
  EXPECT_EQ(enricher_.counters().placeholders, 1U);
}

TEST_F(EnricherTest, ForwardedFlowsNameNobodyAndAreNoUnknownOwners) {
  enricher_.Apply(Flow().Owner({}).Creator({}).Dir(Direction::kForwarded).Build());
  ASSERT_EQ(sink_.flows.size(), 1U);
  EXPECT_EQ(sink_.flows[0].process, ProcessId{});
  EXPECT_EQ(enricher_.counters().unknown_owners, 0U);
  EXPECT_THAT(sink_.processes, IsEmpty());
}

TEST_F(EnricherTest, TheOverflowBucketOfAUidIsAProcessOfItsOwn) {
  CountersEvent event;
  event.key.exec_id = 1'001;
  event.uid = Uid{1000};
  event.activity.first_contacts = 9;
  enricher_.Apply(event);
  enricher_.Apply(event);
  ASSERT_EQ(sink_.counters.size(), 2U);
  EXPECT_EQ(sink_.counters[0].activity.first_contacts, 9U);
  ASSERT_EQ(sink_.processes.size(), 1U);
  EXPECT_EQ(sink_.processes[0].comm, "overflow of uid 1000");
  EXPECT_EQ(sink_.processes[0].user, "admin");
  enricher_.ForgetSent();
  enricher_.Apply(event);
  EXPECT_EQ(sink_.processes.size(), 2U);
}

TEST_F(EnricherTest, LossesOfTheKernelAreNamedByCauseAndSource) {
  LostEvent lost;
  lost.stat[CULPRIT_STAT_RING_FULL_FLOW] = 5;
  lost.stat[CULPRIT_STAT_EVENTS_SENT] = 1'000;
  enricher_.Apply(lost);
  ASSERT_EQ(sink_.losses.size(), 1U);
  EXPECT_EQ((sink_.losses[{LossCause::kRingFull, "flow"}]), 5U);
}

}  // namespace
}  // namespace culprit
