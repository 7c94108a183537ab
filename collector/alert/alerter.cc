// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alerter.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "collector/alert/alert_worker.h"
#include "collector/alert/target_files.h"
#include "common/ids.h"
#include "common/mutex.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::uint32_t kChangesAtOnce = 256;
constexpr auto kWaitForChange = std::chrono::milliseconds(500);
constexpr auto kAfterFailure = std::chrono::seconds(2);
constexpr auto kTestPoll = std::chrono::milliseconds(50);
constexpr std::uint32_t kTestWaitMs = 5000, kMaxTestWaitMs = 60'000;
// A mark that is old costs that findings are read again, no alert: it is not written for each.
constexpr std::uint64_t kMarkEvery = 1000;
constexpr std::uint64_t kFailuresToTell = 3;

v1::Alert MakeTest() {
  const WallTime now = ReadWallClock();
  v1::Alert alert;
  alert.set_event(v1::ALERT_EVENT_TEST);
  alert.set_key("test-" + Uuid::Random().ToString());
  alert.set_queued_ns(ToNs(now));
  v1::Finding& finding = *alert.mutable_finding();
  finding.set_id("0000000000000000");
  finding.set_rule("test");
  finding.set_severity(v1::SEVERITY_LOW);
  finding.set_confidence(v1::CONFIDENCE_HIGH);
  finding.set_state(v1::FINDING_STATE_CLOSED);
  finding.set_process_id("0000000000000000");
  finding.set_host("culprit-collector");
  finding.set_reason("this is a test of Culprit's alerts: nothing was found");
  finding.set_first_ns(ToNs(now));
  finding.set_last_ns(ToNs(now));
  finding.set_trigger_ns(ToNs(now));
  return alert;
}

void FillTarget(const AlertTarget& target, v1::AlertTarget* out) {
  out->set_name(target.name);
  out->set_kind(target.kind);
  out->set_destination(DestinationOf(target));
  out->set_min_severity(target.min_severity);
  for (const std::string& rule : target.rules) out->add_rules(rule);
  for (const std::string& host : target.hosts) out->add_hosts(host);
  out->set_configured(true);
  out->set_max_queued(target.max_queued);
}

void FillState(const DeliveryState& state, v1::AlertTarget* out) {
  out->set_failures(state.failures);
  out->set_last_error(state.last_error);
  out->set_last_error_ns(state.last_error_ns);
  out->set_next_attempt_ns(state.next_attempt_ns);
}

class AlerterImpl final : public Alerter {
 public:
  AlerterImpl(AlerterOptions options, FindingStore& findings)
      : options_(std::move(options)),
        findings_(findings),
        targets_(std::make_shared<const std::vector<AlertTarget>>(std::move(options_.targets))),
        baseline_(NewestChange()) {}
  ~AlerterImpl() override { Stop(); }

  void Begin() {
    // Without a target there is no file; one that is there may hold what waits for an earlier one.
    if (targets()->empty() && access(options_.path.c_str(), F_OK) != 0) return;
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

  v1::ListAlertTargetsResponse Targets() const override;
  Result<v1::TestAlertsResponse> Test(const v1::TestAlertsRequest& request,
                                      const std::function<bool()>& cancelled) override;
  std::vector<std::string> Problems() const override;

  void SetTargets(std::vector<AlertTarget> targets) override {
    Stop();
    // Where the queue was not open yet, changes since the start are still to be heard of.
    if (open() != nullptr || this->targets()->empty()) baseline_ = NewestChange();
    {
      MutexLock lock(&mutex_);
      targets_ = std::make_shared<const std::vector<AlertTarget>>(std::move(targets));
      open_.reset();
      failing_.clear();
    }
    cursors_.clear();
    Begin();
  }
  void Stop() override {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
  }

 private:
  // The worker first: the thread that uses it ends before it.
  struct Delivery {
    std::unique_ptr<AlertWorker> worker;
    std::jthread thread;
  };
  struct Open {
    std::unique_ptr<AlertQueue> queue;
    std::vector<Delivery> deliveries;
  };

  static void Pause(std::chrono::milliseconds span, const std::stop_token& stop) {
    for (; !stop.stop_requested() && span.count() > 0; span -= kTestPoll)
      std::this_thread::sleep_for(kTestPoll);
  }
  void Run(const std::stop_token& stop);
  void FeedAll(Open& open, const std::stop_token& stop);
  Result<std::shared_ptr<Open>> OpenQueue() const;
  // True: there was something new.
  Result<bool> Feed(Open& open, AlertWorker& worker);
  Result<std::optional<AlertEntry>> EntryOf(Open& open, const AlertTarget& target,
                                            v1::Finding finding) const;
  static void AwaitTests(const Open& open, const std::vector<AlertWorker*>& workers,
                         std::uint32_t wait_ms, const std::function<bool()>& cancelled,
                         v1::TestAlertsResponse* out);
  void Fail(const std::string& error);
  std::uint64_t NewestChange() const {
    return findings_.WaitChange(0, std::chrono::milliseconds(0));
  }
  std::shared_ptr<const std::vector<AlertTarget>> targets() const {
    MutexLock lock(&mutex_);
    return targets_;
  }
  std::shared_ptr<Open> open() const {
    MutexLock lock(&mutex_);
    return open_;
  }
  std::string failing() const {
    MutexLock lock(&mutex_);
    return failing_;
  }

  AlerterOptions options_;  // but for the targets
  FindingStore& findings_;
  mutable Mutex mutex_;
  std::shared_ptr<const std::vector<AlertTarget>> targets_ CULPRIT_GUARDED_BY(mutex_);
  std::uint64_t baseline_;                                 // not while the feeder runs
  std::map<std::string, std::uint64_t> cursors_;           // of the feeder alone
  std::shared_ptr<Open> open_ CULPRIT_GUARDED_BY(mutex_);  // null until the queue is open
  std::string failing_ CULPRIT_GUARDED_BY(mutex_);
  std::jthread thread_;
};

void AlerterImpl::Fail(const std::string& error) {
  MutexLock lock(&mutex_);
  failing_ = error;
}

Result<std::shared_ptr<AlerterImpl::Open>> AlerterImpl::OpenQueue() const {
  auto made = std::make_shared<Open>();
  TRY(made->queue, AlertQueue::Open(options_.path));
  for (const AlertTarget& target : *targets()) {
    TRY_VOID(made->queue->Register(target.name, baseline_, target.max_queued));
    Delivery& delivery = made->deliveries.emplace_back();
    delivery.worker = std::make_unique<AlertWorker>(target, *made->queue,
                                                    MakeAlertSender(target, options_.version));
  }
  return made;
}

void AlerterImpl::Run(const std::stop_token& stop) {
  std::shared_ptr<Open> opened;
  while (!stop.stop_requested() && !opened) {
    auto made = OpenQueue();
    if (made) {
      opened = std::move(*made);
    } else {
      Fail(made.error().message);
      Pause(kAfterFailure, stop);
    }
  }
  if (!opened) return;
  for (Delivery& delivery : opened->deliveries) {
    AlertWorker& worker = *delivery.worker;
    cursors_[worker.target().name] = opened->queue->CountsOf(worker.target().name).cursor;
    delivery.thread = std::jthread([&worker](const std::stop_token& ended) { worker.Run(ended); });
  }
  {
    MutexLock lock(&mutex_);
    open_ = opened;
    failing_.clear();
  }
  FeedAll(*opened, stop);
  for (Delivery& delivery : opened->deliveries) delivery.thread.request_stop();
  for (Delivery& delivery : opened->deliveries) {
    delivery.worker->Wake();
    delivery.thread.join();
  }
}

void AlerterImpl::FeedAll(Open& open, const std::stop_token& stop) {
  std::uint64_t seen = 0;
  while (!stop.stop_requested() && !open.deliveries.empty()) {
    bool more = false;
    Status fed = Ok();
    for (Delivery& delivery : open.deliveries) {
      const auto one = Feed(open, *delivery.worker);
      if (!one) fed = one.error();
      more = more || (one && *one);
    }
    Fail(fed ? "" : fed.error().message);
    if (!fed) {
      Pause(kAfterFailure, stop);
    } else if (!more) {
      seen = findings_.WaitChange(seen, kWaitForChange);
    }
  }
}

Result<bool> AlerterImpl::Feed(Open& open, AlertWorker& worker) {
  const AlertTarget& target = worker.target();
  std::uint64_t& cursor = cursors_[target.name];
  TRY(std::vector<FindingChange> changes, findings_.Changes(cursor, kChangesAtOnce));
  if (changes.empty()) return false;
  std::vector<AlertEntry> entries;
  for (FindingChange& change : changes) {
    TRY(std::optional<AlertEntry> entry, EntryOf(open, target, std::move(change.finding)));
    if (entry) entries.push_back(std::move(*entry));
  }
  const std::uint64_t next = changes.back().number;
  const std::uint64_t marked = open.queue->CountsOf(target.name).cursor;
  if (!entries.empty() || next >= marked + kMarkEvery) {
    TRY_VOID(open.queue->Put(target.name, entries, next));
    worker.Wake();
  }
  cursor = next;
  return true;
}

Result<std::optional<AlertEntry>> AlerterImpl::EntryOf(Open& open, const AlertTarget& target,
                                                       v1::Finding finding) const {
  TRY(const std::optional<Told> told, open.queue->ToldOf(target.name, finding.id()));
  const auto decision = DecideAlert(target, finding, told ? &*told : nullptr);
  if (!decision) return std::optional<AlertEntry>();
  AlertEntry entry{finding.id(), decision->now, std::nullopt};
  if (decision->wanted) {
    v1::Alert& alert = entry.alert.emplace();
    alert.set_event(decision->event);
    alert.set_key(AlertKey(finding, decision->event));
    alert.set_queued_ns(ToNs(ReadWallClock()));
    if (options_.annotate) options_.annotate(&finding);
    *alert.mutable_finding() = std::move(finding);
  }
  return std::optional<AlertEntry>(std::move(entry));
}

v1::ListAlertTargetsResponse AlerterImpl::Targets() const {
  v1::ListAlertTargetsResponse out;
  out.set_failing(failing());
  const std::shared_ptr<Open> now = open();
  if (now == nullptr) {
    for (const AlertTarget& target : *targets()) FillTarget(target, out.add_targets());
    return out;
  }
  std::map<std::string, const AlertWorker*> workers;
  for (const Delivery& delivery : now->deliveries)
    workers[delivery.worker->target().name] = delivery.worker.get();
  for (const auto& [name, counts] : now->queue->counts()) {
    const auto worker = workers.find(name);
    if (worker == workers.end() && counts.queued == 0) continue;
    v1::AlertTarget& one = *out.add_targets();
    one.set_name(name);
    if (worker != workers.end()) {
      FillTarget(worker->second->target(), &one);
      FillState(worker->second->state(), &one);
    }
    one.set_queued(counts.queued);
    one.set_delivered(counts.delivered);
    one.set_lost(counts.lost);
    one.set_oldest_ns(counts.oldest_ns);
    one.set_last_success_ns(counts.last_success_ns);
  }
  return out;
}

Result<v1::TestAlertsResponse> AlerterImpl::Test(const v1::TestAlertsRequest& request,
                                                 const std::function<bool()>& cancelled) {
  const std::shared_ptr<Open> now = open();
  if (targets()->empty())
    return FailedPrecondition(
        "no alert target is configured: add an [[alert]] table to collector.toml");
  if (now == nullptr) return Unavailable("the queue of alerts is not open yet: " + failing());
  v1::TestAlertsResponse out;
  std::vector<AlertWorker*> workers;
  for (Delivery& delivery : now->deliveries) {
    AlertWorker& worker = *delivery.worker;
    if (!request.target().empty() && worker.target().name != request.target()) continue;
    const v1::Alert alert = MakeTest();
    TRY_VOID(now->queue->PutTest(worker.target().name, alert));
    worker.Wake();
    worker.TryNow();
    v1::AlertTest& test = *out.add_tests();
    test.set_target(worker.target().name);
    test.set_key(alert.key());
    workers.push_back(&worker);
  }
  if (workers.empty()) return NotFound("no alert target is called " + request.target());
  AwaitTests(*now, workers, request.wait_ms(), cancelled, &out);
  return out;
}

void AlerterImpl::AwaitTests(const Open& open, const std::vector<AlertWorker*>& workers,
                             std::uint32_t wait_ms, const std::function<bool()>& cancelled,
                             v1::TestAlertsResponse* out) {
  const std::uint32_t wait = wait_ms == 0 ? kTestWaitMs : std::min(wait_ms, kMaxTestWaitMs);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait);
  while (true) {
    bool all = true;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      v1::AlertTest& test = *out->mutable_tests(static_cast<int>(i));
      const DeliveryState state = workers[i]->state();
      if (state.last_delivered == test.key()) test.set_delivered(true);
      test.set_error(test.delivered() ? "" : state.last_error);
      test.set_queued(open.queue->CountsOf(test.target()).queued);
      all = all && test.delivered();
    }
    if (all || cancelled() || std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(kTestPoll);
  }
}

std::vector<std::string> AlerterImpl::Problems() const {
  std::vector<std::string> problems;
  if (const std::string error = failing(); !error.empty()) {
    problems.push_back(fmt::format(
        "alerts: nothing new can be queued: {}; findings are kept, and told once this is over",
        error));
  }
  const std::shared_ptr<Open> now = open();
  if (now == nullptr) return problems;
  const auto counts = now->queue->counts();
  for (const Delivery& delivery : now->deliveries) {
    const std::string& name = delivery.worker->target().name;
    const DeliveryState state = delivery.worker->state();
    const auto found = counts.find(name);
    if (found == counts.end() || found->second.queued == 0 || state.failures < kFailuresToTell)
      continue;
    problems.push_back(fmt::format(
        "alert-{}: {} wait, {} failures in a row, the last: {}; `culprit alerts` shows more", name,
        found->second.queued, state.failures, state.last_error));
  }
  return problems;
}

}  // namespace

std::unique_ptr<Alerter> Alerter::Start(AlerterOptions options, FindingStore& findings) {
  auto alerter = std::make_unique<AlerterImpl>(std::move(options), findings);
  alerter->Begin();
  return alerter;
}

}  // namespace culprit
