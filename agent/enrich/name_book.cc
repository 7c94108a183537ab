// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/name_book.h"

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kMaxAnswers = 8;
constexpr std::size_t kMaxSaid = 4;  // of one tuple
// For the asker's row where the server's is there: those of a flow within this host come together.
constexpr std::chrono::seconds kOtherEnd(3);

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

std::uint64_t SecondOf(BootTime t) { return ToNs(t) / 1'000'000'000; }

}  // namespace

std::size_t NameBook::TupleHash::operator()(const Tuple& tuple) const noexcept {
  const std::hash<IpAddress> hash;
  const std::size_t ports =
      (std::size_t{tuple.low.port} << 24) ^ (std::size_t{tuple.high.port} << 8) ^ tuple.protocol;
  return MixBits((hash(tuple.low.address) * 31 ^ hash(tuple.high.address)) + ports);
}

NameBook::Tuple NameBook::TupleOf(const Endpoint& a, const Endpoint& b, std::uint8_t protocol) {
  return a < b ? Tuple{a, b, protocol} : Tuple{b, a, protocol};
}

NameBook::Ends* NameBook::Find(const Tuple& tuple) {
  const auto known = flows_.find(tuple);
  return known == flows_.end() ? nullptr : &known->second;
}

void NameBook::On(ObservationEvent event) {
  ++counters_.observations;
  if (const auto* message = std::get_if<DnsMessage>(&event.what)) Learn(event, *message);
  const Tuple tuple = TupleOf(event.source, event.destination, event.protocol);
  Ends* ends = Find(tuple);
  if (ends != nullptr && Knows(*ends, event)) return Join(event, ends);
  if (waiting_count_ >= limits_.max_waiting) {
    ++counters_.dropped;
    return;
  }
  const BootTime until = event.at + (ends != nullptr ? kOtherEnd : limits_.wait);
  waiting_[tuple].push_back({std::move(event), until});
  ++waiting_count_;
  if (ends != nullptr) ends->waits = true;
}

// Which end of the tuple asks: of a flow within this host both are known, and one alone does.
std::size_t NameBook::AskerOf(const ObservationEvent& event, const DnsMessage& message) {
  const Endpoint& asker = message.response ? event.destination : event.source;
  return asker == TupleOf(event.source, event.destination, event.protocol).low ? 0 : 1;
}

bool NameBook::Knows(const Ends& ends, const ObservationEvent& event) {
  const auto* message = std::get_if<DnsMessage>(&event.what);
  return message == nullptr || ends.ends[AskerOf(event, *message)].flow != FlowId{};
}

void NameBook::JoinWaiting(const Tuple& tuple, Ends* ends) {
  ends->waits = false;
  const auto waiting = waiting_.find(tuple);
  if (waiting == waiting_.end()) return;
  std::vector<Waiting> events = std::move(waiting->second);
  waiting_.erase(waiting);
  waiting_count_ -= events.size();
  for (const Waiting& one : events) {
    if (Knows(*ends, one.event)) Join(one.event, ends);
  }
  std::erase_if(events, [&](const Waiting& one) { return Knows(*ends, one.event); });
  if (events.empty()) return;
  for (Waiting& one : events) one.until = std::min(one.until, one.event.at + kOtherEnd);
  waiting_count_ += events.size();
  waiting_[tuple] = std::move(events);
  ends->waits = true;
}

void NameBook::On(const FlowRow& row) {
  const Tuple tuple = TupleOf(row.local, row.remote, row.protocol);
  Ends& ends = flows_[tuple];
  const bool fresh = ends.age == 0;
  if (fresh) {
    ends.age = next_age_++;
    by_age_.emplace_back(ends.age, tuple);
  }
  End* const end = &ends.ends[row.local == tuple.low ? 0 : 1];
  if (end->flow != row.flow) {
    // A tuple used again is another flow: what was said of the one before is of no use.
    if (end->flow != FlowId{}) ends.said.clear();
    *end = End{row.flow, row.process, NameConfidence::kNone};
    for (FlowNameFacts facts : ends.said) {
      facts.flow = row.flow;
      facts.process = row.process;
      Push(std::move(facts));
    }
  }
  end->process = row.process;
  if (row.direction == Direction::kOut) NameByDns(row, end);
  if (fresh || ends.waits) JoinWaiting(tuple, &ends);
  while (flows_.size() > limits_.max_flows && !by_age_.empty()) {
    const auto [age, oldest] = by_age_.front();
    by_age_.pop_front();
    if (const auto found = flows_.find(oldest); found != flows_.end() && found->second.age == age) {
      flows_.erase(found);
    }
  }
}

// Which name this address was given under shortly before, first of all to the same process.
void NameBook::NameByDns(const FlowRow& row, End* end) {
  if (end->named >= NameConfidence::kProcessAsked) return;
  const auto given = given_.find(row.remote.address);
  if (given == given_.end()) return;
  const Given* best = nullptr;
  auto confidence = NameConfidence::kNone;
  for (const Given& one : given->second) {  // newest first
    if (one.until < row.start) continue;
    const Ends* asked = Find(one.asked_over);
    const bool same = asked != nullptr && (asked->ends[0].process == row.process ||
                                           asked->ends[1].process == row.process);
    const auto sure = same ? NameConfidence::kProcessAsked : NameConfidence::kOtherAsked;
    if (sure > confidence) {
      best = &one;
      confidence = sure;
    }
  }
  if (best == nullptr || confidence <= end->named) return;
  end->named = confidence;
  FlowNameFacts facts;
  facts.flow = row.flow;
  facts.process = row.process;
  facts.at = row.emitted;
  facts.source = NameSource::kDns;
  facts.confidence = confidence;
  facts.name = best->name;
  Push(std::move(facts));
}

void NameBook::Join(const ObservationEvent& event, Ends* ends) {
  FlowNameFacts facts;
  facts.at = event.at;
  facts.confidence = NameConfidence::kInFlow;
  if (const auto* server = std::get_if<ServerName>(&event.what)) {
    facts.source = server->source;
    facts.name = server->name;
    facts.alpn = Joined(server->alpn);
    const bool says = !facts.name.empty() || !facts.alpn.empty();
    if (says || facts.source == NameSource::kStratum) NameFlow(ends, std::move(facts));
  } else if (const auto* request = std::get_if<ProxyRequest>(&event.what)) {
    facts.source = request->source;
    facts.name = request->host;
    facts.port = request->port;
    facts.command = request->command;
    NameFlow(ends, std::move(facts));
  } else if (const auto* message = std::get_if<DnsMessage>(&event.what)) {
    OnDns(event, *message, ends->ends[AskerOf(event, *message)]);
  }
}

void NameBook::NameFlow(Ends* ends, FlowNameFacts facts) {
  if (ends->said.size() < kMaxSaid) ends->said.push_back(facts);
  for (const End& end : ends->ends) {
    if (end.flow == FlowId{}) continue;
    facts.flow = end.flow;
    facts.process = end.process;
    Push(facts);
  }
}

void NameBook::Push(FlowNameFacts facts) {
  if (names_.size() >= limits_.max_pending) {
    ++counters_.dropped;
    names_.pop_front();
  }
  names_.push_back(std::move(facts));
}

// Addresses go by the name that was asked for, whatever aliases lie between.
void NameBook::Learn(const ObservationEvent& event, const DnsMessage& message) {
  if (!message.response || message.rcode != 0 || message.name.empty()) return;
  const Tuple tuple = TupleOf(event.source, event.destination, event.protocol);
  for (const DnsAnswer& answer : message.answers) {
    if (answer.address.IsUnspecified()) continue;
    auto& names = given_[answer.address];
    if (names.empty()) given_order_.push_back(answer.address);
    const auto ttl =
        std::clamp(std::chrono::seconds(answer.ttl_s), limits_.min_ttl, limits_.max_ttl);
    std::erase_if(names, [&](const Given& one) {
      return one.name == message.name && one.asked_over == tuple;
    });
    names.insert(names.begin(), {message.name, tuple, event.at + ttl});
    if (names.size() > limits_.max_names_an_address) names.pop_back();
  }
  while (given_.size() > limits_.max_addresses) {
    given_.erase(given_order_.front());
    given_order_.pop_front();
  }
}

void NameBook::OnDns(const ObservationEvent& event, const DnsMessage& message, const End& end) {
  if (message.name.empty()) return;
  const QuestionKey key{end.process, std::hash<std::string>{}(message.name), message.name,
                        message.type};
  auto known = questions_.find(key);
  if (known == questions_.end()) {
    if (questions_.size() >= limits_.max_questions) {
      ++counters_.dropped;
      return;
    }
    known = questions_.try_emplace(key).first;
    Question& question = known->second;
    question.facts.process = end.process;
    question.facts.name = message.name;
    question.facts.type = message.type;
    question.due = event.at + limits_.answer_wait;
  }
  Question& question = known->second;
  DnsFacts& facts = question.facts;
  facts.at = event.at;
  facts.flow = end.flow;
  facts.server = message.response ? event.source : event.destination;
  if (!message.response) {
    ++facts.questions;
    facts.query_bytes += message.message_bytes;
    return;
  }
  facts.answer_bytes += message.message_bytes;
  facts.rcode = message.rcode;
  facts.answers.clear();
  for (const DnsAnswer& answer : message.answers) {
    if (facts.answers.size() >= kMaxAnswers) break;
    facts.answers.push_back(answer.address.IsUnspecified() ? answer.target
                                                           : answer.address.ToString());
  }
  if (!std::exchange(question.answered, true)) Tell(&question, event.at);
}

// At once with the first answer, then once in a while.
void NameBook::Tell(Question* question, BootTime at) {
  DnsFacts& facts = question->facts;
  question->due = at + limits_.repeat_after;
  if (rates_.size() > limits_.max_questions) rates_.clear();
  Rate& rate = rates_[facts.process];
  if (std::exchange(rate.second, SecondOf(at)) != SecondOf(at)) rate.records = 0;
  if (rate.records >= limits_.questions_a_second || dns_.size() >= limits_.max_pending) {
    rate.suppressed += std::max(facts.questions, 1U);
  } else {
    ++rate.records;
    facts.suppressed = std::exchange(rate.suppressed, 0);
    dns_.push_back(facts);
  }
  facts.questions = 0;
  facts.query_bytes = facts.answer_bytes = 0;
}

void NameBook::Tick(BootTime now) {
  for (auto at = questions_.begin(); at != questions_.end();) {
    Question& question = at->second;
    if (question.due > now) {
      ++at;
      continue;
    }
    if (question.facts.questions == 0 && question.facts.answer_bytes == 0) {
      at = questions_.erase(at);  // quiet for a whole interval
      continue;
    }
    Tell(&question, now);
    ++at;
  }
  absl::erase_if(waiting_, [&](auto& tuple) {
    waiting_count_ -=
        std::erase_if(tuple.second, [&](const Waiting& one) { return one.until < now; });
    return tuple.second.empty();
  });
}

void NameBook::Flush(BootTime now) {
  for (auto& [key, question] : questions_) {
    if (question.facts.questions == 0 && question.facts.answer_bytes == 0) continue;
    rates_[key.process].records = 0;
    Tell(&question, now);
  }
}

void NameBook::Take(RecordBatch* batch, std::size_t max_records) {
  batch->names.reserve(std::min(max_records, names_.size()));
  batch->dns.reserve(std::min(max_records, dns_.size()));
  for (; !names_.empty() && batch->names.size() < max_records; names_.pop_front()) {
    batch->names.push_back(std::move(names_.front()));
  }
  for (; !dns_.empty() && batch->dns.size() < max_records; dns_.pop_front()) {
    batch->dns.push_back(std::move(dns_.front()));
  }
}

}  // namespace culprit
