// SPDX-License-Identifier: Apache-2.0
// Joins what payload says with flows: which name a flow's remote end goes by, which destination its
// client asked a proxy for, and what each process asked the DNS.
//
// Stage: enrich. Pure: time arrives in events and rows. Thread: one caller. Failure: none;
// everything is bounded by NameBookLimits: names come from whoever wrote the packets, so a flood of
// them pushes out the oldest and is counted.
#ifndef CULPRIT_AGENT_ENRICH_NAME_BOOK_H_
#define CULPRIT_AGENT_ENRICH_NAME_BOOK_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/node_hash_map.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/record.h"

namespace culprit {

struct NameBookLimits {
  std::size_t max_flows = 65'536;      // tuples whose flow is known
  std::size_t max_waiting = 8'192;     // observations whose flow is not known yet
  std::size_t max_addresses = 32'768;  // that the DNS gave
  std::size_t max_names_an_address = 4;
  std::size_t max_questions = 16'384;     // (process, name, type) that are being counted
  std::size_t max_pending = 16'384;       // records
  std::uint32_t questions_a_second = 50;  // records of one process; over it they are counted only
  std::chrono::seconds wait{60};          // for a flow's row
  std::chrono::seconds min_ttl{60};       // programs keep an answer longer than its TTL
  std::chrono::seconds max_ttl{86'400};
  std::chrono::seconds answer_wait{5};
  std::chrono::seconds repeat_after{60};  // the same question is told about so often
};

struct NameBookCounters {
  std::uint64_t observations = 0;
  std::uint64_t dropped = 0;  // over a bound
};

class NameBook {
 public:
  explicit NameBook(const NameBookLimits& limits = {}) : limits_(limits) {}

  void On(ObservationEvent event);
  // Every row that goes out: who owns which tuple.
  void On(const FlowRow& row);
  void Tick(BootTime now);
  // The end: what was asked and not told about is told about now, and none is left out for its
  // rate, since no record would follow to say so.
  void Flush(BootTime now);
  // Moves what is ready into the batch, at most `max_records` of each kind.
  void Take(RecordBatch* batch, std::size_t max_records);
  std::size_t pending() const { return names_.size() + dns_.size(); }
  const NameBookCounters& counters() const { return counters_; }

 private:
  struct Tuple {
    Endpoint low, high;
    std::uint8_t protocol = 0;
    friend auto operator<=>(const Tuple&, const Tuple&) = default;
  };
  struct TupleHash {
    std::size_t operator()(const Tuple& tuple) const noexcept;
  };
  // A flow of a tuple, as one end sees it: there are two on loopback.
  struct End {
    FlowId flow;
    ProcessId process;
    NameConfidence named = NameConfidence::kNone;  // by the DNS
  };
  struct Ends {
    std::array<End, 2> ends;          // 0: whose local end is the tuple's low one
    std::vector<FlowNameFacts> said;  // for the end that is not known yet; few
    std::uint64_t age = 0;
    bool waits = false;  // an observation of it is in `waiting_`
  };
  struct Given {  // by the DNS: an address under a name
    std::string name;
    Tuple asked_over;
    BootTime until;
  };
  struct QuestionKey {
    ProcessId process;
    std::size_t name_hash = 0;  // compared first: names are long, and begin alike
    std::string name;
    std::uint16_t type = 0;
    friend auto operator<=>(const QuestionKey&, const QuestionKey&) = default;
  };
  struct Question {
    DnsFacts facts;
    BootTime due;  // when it is told about
    bool answered = false;
  };
  struct Waiting {
    ObservationEvent event;
    BootTime until;
  };
  struct Rate {
    std::uint64_t second = 0;
    std::uint32_t records = 0, suppressed = 0;
  };

  static Tuple TupleOf(const Endpoint& a, const Endpoint& b, std::uint8_t protocol);
  static std::size_t AskerOf(const ObservationEvent& event, const DnsMessage& message);
  static bool Knows(const Ends& ends, const ObservationEvent& event);
  Ends* Find(const Tuple& tuple);
  void JoinWaiting(const Tuple& tuple, Ends* ends);
  void Join(const ObservationEvent& event, Ends* ends);
  void NameFlow(Ends* ends, FlowNameFacts facts);
  void OnDns(const ObservationEvent& event, const DnsMessage& message, const End& end);
  void Learn(const ObservationEvent& event, const DnsMessage& message);
  void NameByDns(const FlowRow& row, End* end);
  void Tell(Question* question, BootTime at);
  void Push(FlowNameFacts facts);

  NameBookLimits limits_;
  absl::node_hash_map<Tuple, Ends, TupleHash> flows_;
  std::deque<std::pair<std::uint64_t, Tuple>> by_age_;
  absl::flat_hash_map<Tuple, std::vector<Waiting>, TupleHash> waiting_;
  std::size_t waiting_count_ = 0;
  absl::flat_hash_map<IpAddress, std::vector<Given>, std::hash<IpAddress>> given_;  // newest first
  std::deque<IpAddress> given_order_;
  std::map<QuestionKey, Question> questions_;
  std::map<ProcessId, Rate> rates_;
  std::deque<FlowNameFacts> names_;
  std::deque<DnsFacts> dns_;
  std::uint64_t next_age_ = 1;
  NameBookCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_NAME_BOOK_H_
