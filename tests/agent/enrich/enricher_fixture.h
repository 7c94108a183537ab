// SPDX-License-Identifier: Apache-2.0
// An Enricher whose results are kept, and checked for definitions that come too late.
#ifndef CULPRIT_TESTS_AGENT_ENRICH_ENRICHER_FIXTURE_H_
#define CULPRIT_TESTS_AGENT_ENRICH_ENRICHER_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/enrich/enricher.h"
#include "tests/support/event_builder.h"

namespace culprit::testing {

struct SeenFlow {
  ProcessId process, creator;
  bool is_agent = false;
};

// Keeps everything, and checks that nothing is referred to before it is defined.
class Sink final : public EnrichSink {
 public:
  void OnProcess(ProcessFacts facts) override {
    defined.insert(facts.id);
    processes.push_back(std::move(facts));
  }
  void OnExit(const ExitFacts& exit) override {
    EXPECT_TRUE(defined.contains(exit.id));
    exits.push_back(exit);
  }
  void OnFlow(const AttributedFlow& flow) override {
    for (const ProcessId id : {flow.process, flow.creator}) {
      EXPECT_TRUE(id == ProcessId{} || defined.contains(id));
    }
    flows.push_back({flow.process, flow.creator, flow.is_agent});
  }
  void OnCounters(const CounterFacts& facts) override {
    EXPECT_TRUE(defined.contains(facts.process));
    counters.push_back(facts);
  }
  void OnLoss(LossCause cause, std::string_view source, std::uint64_t count, BootTime) override {
    losses[{cause, std::string(source)}] = count;
  }

  // The newest definition of a process.
  const ProcessFacts& Facts(const ProcessKey& key) const {
    static const ProcessFacts kNothing;
    const auto found = std::find_if(processes.rbegin(), processes.rend(),
                                    [&](const ProcessFacts& p) { return p.id == IdOf(key); });
    if (found == processes.rend()) ADD_FAILURE() << "not defined: tgid " << key.tgid.value();
    return found == processes.rend() ? kNothing : *found;
  }

  std::set<ProcessId> defined;
  std::vector<ProcessFacts> processes;
  std::vector<ExitFacts> exits;
  std::vector<SeenFlow> flows;
  std::vector<CounterFacts> counters;
  std::map<std::pair<LossCause, std::string>, std::uint64_t> losses;
};

class Users final : public UserNames {
 public:
  std::string NameOf(Uid uid) override { return uid == Uid{1000} ? "admin" : ""; }
};

class EnricherTest : public ::testing::Test {
 protected:
  static EnrichLimits Small() {
    EnrichLimits limits;
    limits.max_processes = 100;
    return limits;
  }
  static ExeHashEvent Hash(std::uint64_t inode, std::string path, std::chrono::nanoseconds t) {
    ExeHashEvent e;
    e.at = At(t);
    e.exe = Exe(inode);
    e.path = std::move(path);
    e.sha256.fill(static_cast<std::uint8_t>(inode));
    e.hashed = true;
    return e;
  }
  void Tick(std::chrono::nanoseconds t) { enricher_.Tick(At(t)); }

  Users users_;
  Sink sink_;
  Enricher enricher_{BootId(), Small(), users_, sink_};
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_AGENT_ENRICH_ENRICHER_FIXTURE_H_
