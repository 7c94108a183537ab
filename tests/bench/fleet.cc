// SPDX-License-Identifier: Apache-2.0
// A fleet of agents (fleet_agent.h) in one process, each with the real sender as a process of its
// own. Does what its standard input says, a word a line, and answers each with a line of JSON;
// times are seconds of CLOCK_MONOTONIC. Used by fleet.py, which starts the collector and measures
// it.
//
//   enrol            every agent gets its certificate
//   connect N        the first N agents connect, all at once; answers when all are connected
//   run SECONDS      frames for so long; answers with how long they waited for their ack
//   mark, await      when each agent got the ack of a frame that it made after the mark
//   settle           no new frames; answers when all are acknowledged
//   acked            what each agent holds for durable
//   quit             every agent says that it stops, and ends
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/log.h"
#include "tests/bench/fleet_agent.h"

namespace culprit::bench {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::seconds;

constexpr seconds kPatience{300};
constexpr int kEnrolThreads = 2;
constexpr int kTickMs = 5;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "fleet: %s\n", what.c_str());
  std::_Exit(1);
}
void Must(const Status& status, const char* what) {
  if (!status) Fail(std::string(what) + ": " + status.error().message);
}
double Seconds(SteadyClock::time_point at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}
double Percentile(std::vector<double>* values, double part) {
  if (values->empty()) return 0;
  const auto at = static_cast<std::size_t>(part * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), values->begin() + static_cast<std::ptrdiff_t>(at),
                   values->end());
  return (*values)[at];
}

class Fleet {
 public:
  explicit Fleet(FleetOptions options) : options_(std::move(options)), epoll_(epoll_create1(0)) {
    for (int i = 0; i < options_.agents; ++i) {
      agents_.push_back(std::make_unique<FleetAgent>(options_, i));
    }
  }

  Json Enrol();
  Json Connect(std::size_t count);
  Json Run(seconds span);
  Json Await();
  Json Settle();
  Json Acked() const;
  Json Quit();
  Json Mark() {
    for (FleetAgent* agent : live_) agent->Mark();
    return {{"marked", live_.size()}};
  }
  // Works the fleet until something is on standard input.
  void Idle() {
    epoll_event input{};
    input.events = EPOLLIN;
    input.data.ptr = nullptr;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, STDIN_FILENO, &input);
    while (!Step()) {
    }
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
  }

 private:
  // True if standard input has something.
  bool Step();
  template <class Done>
  SteadyClock::time_point Until(const char* what, Done&& done);

  const FleetOptions options_;
  UniqueFd epoll_;
  std::vector<std::unique_ptr<FleetAgent>> agents_;
  std::vector<FleetAgent*> live_;
  std::vector<double> waits_;
  bool writing_ = true;
};

Json Fleet::Enrol() {
  const auto began = SteadyClock::now();
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::string failed;
  const auto work = [&] {
    for (std::size_t i = next++; i < agents_.size(); i = next++) {
      const Status enrolled = agents_[i]->Enrol();
      const std::lock_guard lock(mutex);
      if (!enrolled) failed = enrolled.error().message;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(kEnrolThreads);
  for (int i = 0; i < kEnrolThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (!failed.empty()) Fail("enrol: " + failed);
  return {{"enrolled", agents_.size()}, {"seconds", Seconds(SteadyClock::now()) - Seconds(began)}};
}

bool Fleet::Step() {
  std::array<epoll_event, 256> events;
  const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), kTickMs);
  bool asked = false;
  for (int i = 0; i < n; ++i) {
    auto* agent = static_cast<FleetAgent*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (agent == nullptr) {
      asked = true;
    } else {
      Must(agent->Pump(&waits_), "link");
    }
  }
  const auto now = SteadyClock::now();
  for (FleetAgent* agent : live_) {
    if (writing_) Must(agent->Work(now), "spool");
  }
  return asked;
}

template <class Done>
SteadyClock::time_point Fleet::Until(const char* what, Done&& done) {
  const auto deadline = SteadyClock::now() + kPatience;
  while (!std::all_of(live_.begin(), live_.end(), done)) {
    if (SteadyClock::now() > deadline) {
      std::map<std::string, int> why;
      int missing = 0;
      for (const FleetAgent* agent : live_) {
        if (done(agent)) continue;
        ++missing;
        ++why[agent->status().last_error];
      }
      std::string text = std::string(what) + ": not " + std::to_string(missing) + " agents;";
      for (const auto& [reason, count] : why) text += " " + std::to_string(count) + "x " + reason;
      Fail(text);
    }
    Step();
  }
  return SteadyClock::now();
}

Json Fleet::Connect(std::size_t count) {
  const auto began = SteadyClock::now();
  while (live_.size() < std::min(count, agents_.size())) {
    FleetAgent* agent = agents_[live_.size()].get();
    Must(agent->Connect(), "connect");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = agent;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, agent->poll_fd(), &event);
    live_.push_back(agent);
  }
  const auto done = Until("connect", [](const FleetAgent* agent) { return agent->connected(); });
  return {{"connected", live_.size()}, {"seconds", Seconds(done) - Seconds(began)}};
}

Json Fleet::Run(seconds span) {
  waits_.clear();
  const auto until = SteadyClock::now() + span;
  while (SteadyClock::now() < until) Step();
  Json out{{"frames", waits_.size()}};
  for (const auto& [name, part] :
       {std::pair{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"max_ms", 1.0}}) {
    out[name] = Percentile(&waits_, part);
  }
  return out;
}

Json Fleet::Await() {
  Until("back", [](const FleetAgent* agent) { return agent->back_at().has_value(); });
  Json out = Json::array();
  for (const FleetAgent* agent : live_) out.push_back(Seconds(*agent->back_at()));
  return {{"back", out}};
}

Json Fleet::Settle() {
  writing_ = false;
  const auto began = SteadyClock::now();
  const auto done = Until("settle", [](const FleetAgent* agent) { return agent->AllAcked(); });
  return {{"seconds", Seconds(done) - Seconds(began)}};
}

Json Fleet::Acked() const {
  Json out = Json::array();
  for (const FleetAgent* agent : live_) {
    const SenderStatus status = agent->status();
    const LaneState evidence = agent->spool().lane(Lane::kEvidence);
    const LaneState bulk = agent->spool().lane(Lane::kBulk);
    out.push_back({{"stream", agent->spool().stream_id().ToString()},
                   {"acked", {evidence.acked_seq, bulk.acked_seq}},
                   {"newest", {evidence.newest_seq, bulk.newest_seq}},
                   {"restarts", status.restarts},
                   {"reconnects", status.reconnects}});
  }
  return {{"agents", out}};
}

Json Fleet::Quit() {
  std::vector<std::thread> threads;
  threads.reserve(kEnrolThreads);
  std::atomic<std::size_t> next{0};
  for (int t = 0; t < kEnrolThreads; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < live_.size(); i = next++) live_[i]->Stop(seconds(10));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {{"stopped", live_.size()}};
}

FleetOptions ParseOptions(int argc, char** argv) {
  FleetOptions o;
  const std::map<std::string, std::string*> texts = {
      {"--dir", &o.directory},       {"--sender", &o.sender_program},
      {"--collector", &o.collector}, {"--enrol", &o.enrol_address},
      {"--ca", &o.ca_path},          {"--token", &o.token}};
  int period_ms = 1000;
  const std::map<std::string, int*> numbers = {
      {"--agents", &o.agents}, {"--rows", &o.rows}, {"--period-ms", &period_ms}};
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 >= argc) Fail("no value for " + key);
    if (const auto text = texts.find(key); text != texts.end()) {
      *text->second = argv[i + 1];
    } else if (const auto number = numbers.find(key); number != numbers.end()) {
      *number->second = std::atoi(argv[i + 1]);
    } else {
      Fail("unknown option " + key + "; this program is started by fleet.py");
    }
  }
  if (o.agents < 1 || o.agents > 5000 || period_ms < 10)
    Fail("--agents is 1 to 5000, --period-ms at least 10");
  o.period = std::chrono::milliseconds(period_ms);
  return o;
}

Json Do(Fleet* fleet, const std::string& line) {
  const std::string word = line.substr(0, line.find(' '));
  const int number = word.size() < line.size() ? std::atoi(line.c_str() + word.size()) : 0;
  if (word == "enrol") return fleet->Enrol();
  if (word == "connect") return fleet->Connect(static_cast<std::size_t>(number));
  if (word == "run") return fleet->Run(seconds(number));
  if (word == "mark") return fleet->Mark();
  if (word == "await") return fleet->Await();
  if (word == "settle") return fleet->Settle();
  if (word == "acked") return fleet->Acked();
  if (word == "quit") return fleet->Quit();
  Fail("what is \"" + line + "\"?");
}

int Main(int argc, char** argv) {
  if (const Status log = InitLog("fleet", "error"); !log) return 1;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Fleet fleet(ParseOptions(argc, argv));
  std::string line;
  for (;;) {
    fleet.Idle();
    if (!std::getline(std::cin, line)) return 0;
    const Json answer = Do(&fleet, line);
    std::printf("%s\n", answer.dump().c_str());
    std::fflush(stdout);
    if (line == "quit") return 0;
  }
}

}  // namespace
}  // namespace culprit::bench

int main(int argc, char** argv) { return culprit::bench::Main(argc, argv); }
