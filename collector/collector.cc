// SPDX-License-Identifier: Apache-2.0
#include "collector/collector.h"

#include <grpcpp/impl/codegen/service_type.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "collector/alert/alerter.h"
#include "collector/data_dir.h"
#include "collector/detect/follower.h"
#include "collector/enrol_finding.h"
#include "collector/enrolment.h"
#include "collector/ingest/ingest.h"
#include "collector/ingest/tls_server.h"
#include "collector/journal/journal.h"
#include "collector/maintenance.h"
#include "collector/metrics/collector_metrics.h"
#include "collector/metrics/health.h"
#include "collector/metrics/http_server.h"
#include "collector/pki/pki.h"
#include "collector/place_files.h"
#include "collector/query/alerts_service.h"
#include "collector/query/audit_service.h"
#include "collector/query/custody_service.h"
#include "collector/query/engine.h"
#include "collector/query/findings_service.h"
#include "collector/query/login_service.h"
#include "collector/query/posture_service.h"
#include "collector/query/render.h"
#include "collector/query/service.h"
#include "collector/query/snapshot_service.h"
#include "collector/reload.h"
#include "collector/snapshot/finding_trigger.h"
#include "collector/stage_options.h"
#include "collector/store/indexer.h"
#include "common/config_diff.h"
#include "common/file.h"
#include "common/log.h"
#include "common/log_level.h"
#include "common/metric_text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr auto kRetentionInterval = std::chrono::seconds(60);
constexpr auto kReconnectAfter = std::chrono::seconds(2);
constexpr auto kExpiryWarning = std::chrono::hours(24 * 30);
constexpr std::uint64_t kLagWarning = 5000;  // frames

class CollectorImpl : public Collector {
 public:
  explicit CollectorImpl(const CollectorConfig& config)
      : config_(config), in_force_({config, {}, started_, {}, ""}) {}
  ~CollectorImpl() override { Stop(); }

  // Reads like the picture: what is made first is what the later stages stand on.
  Status Open() {
    TRY(const Credentials credentials, LoadServerCredentials(config_));
    in_force_.Set({config_, credentials, started_, {}, ""});
    TRY(lock_, LockDataDir(config_.data_dir));
    TRY(journal_, Journal::Open(JournalOptionsOf(config_)));
    ReportJournal();
    TRY(store_, OpenOrReindex(*journal_, StoreOptionsOf(config_)));
    indexer_ = std::make_unique<Indexer>(*journal_, *store_, IndexerOptionsOf(config_));
    index_thread_ = std::jthread([this](const std::stop_token& stop) { indexer_->Run(stop); });
    places_ = std::make_unique<PlaceFiles>(config_);
    TRY(findings_, OpenFindingStore(config_.findings_path()));
    // Before the detectors, so that the first thing they find is told.
    alerter_ = Alerter::Start(AlerterOptionsOf(config_, *places_), *findings_);
    // The configuration has been checked: a zone that is gone since then weighs nothing.
    const WorkHours hours = LoadWorkHours(config_.detect.hours).value_or(WorkHours());
    IngestOptions ingest = IngestOptionsOf(config_);
    ingest.on_offer = [this](const PeerIdentity& peer, const v1::SnapshotOffer& offer) {
      TakeOffered(peer, offer);
    };
    ingest_ = Ingest::Create(ingest, journal_.get());
    detectors_ = std::make_unique<DetectFollower>(*journal_, *findings_, config_.detect,
                                                  SceneInputs{places_.get(), hours},
                                                  [this] { return ingest_->stats().agents; });
    detect_thread_ = std::jthread([this](const std::stop_token& stop) { detectors_->Run(stop); });
    TRY(enrolment_,
        Enrolment::Open(config_, credentials.ca_pem, [this](const SecondEnrolment& second) {
          ReportSecondEnrolment(second, findings_.get());
        }));
    TRY(snapshots_,
        Snapshots::Open(config_.snapshot_dir(), SnapshotLimitsOf(config_), ingest_->control()));
    if (const auto trigger = TriggerOptionsOf(config_)) {
      trigger_ = std::make_unique<FindingTrigger>(*findings_, *snapshots_, *trigger);
      trigger_thread_ = std::jthread([this](const std::stop_token& stop) { trigger_->Run(stop); });
    }
    MakeServices();
    TlsServerOptions options = ServerOptionsOf(config_);
    options.guard = enrolment_.get();
    TRY(server_,
        StartTlsServer(options, credentials,
                       {ingest_->service(), query_service_.get(), findings_service_.get(),
                        alerts_service_.get(), login_service_.get(), posture_service_.get(),
                        custody_service_.get(), audit_service_.get(), snapshot_service_.get(),
                        enrolment_->renewal_service()}));
    TRY_VOID(enrolment_->Listen(credentials));
    TRY_VOID(ListenForMetrics());
    spdlog::info(
        "collector ready version={} listen={} port={} data_dir={} journal_lsn={} index_lsn={}",
        CULPRIT_VERSION, config_.listen, server_->port(), config_.data_dir,
        journal_->stats().durable_lsn, store_->applied_lsn());
    return Ok();
  }

  int port() const override { return server_->port(); }

  Status Tick() override {
    const JournalStats journal = journal_->stats();
    if (journal.broken) {
      return DataLoss(fmt::format(
          "the journal cannot be written any more: {}; nothing is acknowledged that is not on "
          "disk, agents keep it; look at the disk, then start the collector again",
          journal.failed));
    }
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_retention_) {
      next_retention_ = now + kRetentionInterval;
      Retain();
      places_->Refresh();
    }
    if (const Status looked = enrolment_->Refresh(); !looked) {
      spdlog::warn("enrolment: {}", looked.error().message);
    }
    ingest_->EndUnwelcome(
        [this](const ConnectedAgent& agent) { return enrolment_->WhyNotWelcome(agent); });
    Report(Problems(journal));
    return Ok();
  }

  Status Reload(const Result<CollectorConfig>& read) override {
    Status taken = read ? Take(*read) : Status(read.error());
    if (!taken) {
      InForce same = *in_force_.Get();
      same.refused = taken.error().message;
      in_force_.Set(std::move(same));
      spdlog::error("not reloaded, nothing was changed: {}", taken.error().message);
    }
    return taken;
  }

  void Stop() override {
    if (std::exchange(stopped_, true)) return;
    metrics_.reset();
    if (enrolment_) enrolment_->Stop();
    if (snapshots_) snapshots_->Stop();
    if (ingest_) ingest_->Drain(kReconnectAfter);
    if (server_) server_->Stop(in_force_.Get()->config.drain);
    for (std::jthread* thread : {&trigger_thread_, &index_thread_, &detect_thread_}) {
      if (!thread->joinable()) continue;
      thread->request_stop();
      thread->join();
    }
    if (alerter_) alerter_->Stop();
    if (journal_) journal_->Stop();
    if (server_) {
      spdlog::info("collector stopped journal_lsn={}", journal_->stats().durable_lsn);
    }
  }

 private:
  void MakeServices() {
    engine_ = std::make_unique<QueryEngine>(
        QueryEngineDeps{*store_, &activity_, &status_, &ReadWallClock, places_.get()});
    packets_ =
        std::make_unique<PacketFetcher>(PacketFetchDeps{*store_, &ingest_->control(), &activity_});
    query_service_ = MakeQueryService(*engine_, packets_.get());
    findings_service_ = MakeFindingsService(findings_.get(), places_.get());
    alerts_service_ = MakeAlertsService(alerter_.get());
    login_service_ = MakeLoginService(*engine_);
    posture_service_ = MakePostureService(*engine_);
    custody_service_ = MakeCustodyService(*engine_);
    audit_service_ = MakeAuditService(config_.audit_dir());
    snapshot_service_ = MakeSnapshotService(*store_, *snapshots_);
  }

  // What the query service asks of the other stages.
  struct Activity : HostActivity {
    explicit Activity(const CollectorImpl& owner_in) : owner(owner_in) {}
    IngestStats Read() const override { return owner.ingest_->stats(); }
    const CollectorImpl& owner;
  };
  struct State : StatusSource {
    explicit State(const CollectorImpl& owner_in) : owner(owner_in) {}
    CollectorState Read() const override {
      const JournalStats journal = owner.journal_->stats();
      return {CULPRIT_VERSION, owner.started_,           journal.durable_lsn,
              journal.bytes,   owner.FreeBytes(journal), owner.Problems(journal)};
    }
    const CollectorImpl& owner;
  };

  std::uint64_t FreeBytes(const JournalStats& journal) const {
    const auto free = FreeDiskBytes(config_.data_dir);
    return free ? *free : journal.free_disk_bytes;
  }

  // What an operator should know, one line each, with the remedy. The first word is the kind.
  std::vector<std::string> Problems(const JournalStats& journal) const {
    std::vector<std::string> problems;
    if (!journal.failed.empty()) {
      problems.push_back(fmt::format(
          "journal: nothing is accepted: {}; agents keep it and try again", journal.failed));
    }
    const auto now = in_force_.Get();
    const std::uint64_t free = FreeBytes(journal);
    if (free < now->config.disk.critical_free) {
      problems.push_back(fmt::format(
          "disk: {} free under {}: evidence is about to be refused (agents keep it); free "
          "space, or set journal.max_bytes",
          FormatByteSize(free), config_.data_dir));
    } else if (free < now->config.disk.warn_free) {
      problems.push_back(
          fmt::format("disk-low: {} free under {}: free space, or set journal.max_bytes and "
                      "index.max_bytes",
                      FormatByteSize(free), config_.data_dir));
    }
    if (!journal_->damage().empty()) {
      problems.push_back(
          fmt::format("journal-damage: {} damaged places were found at the start: run "
                      "`culprit-collector verify`",
                      journal_->damage().size()));
    }
    const IndexerStats index = indexer_->stats();
    if (!index.failing.empty()) {
      problems.push_back(fmt::format(
          "index: {}; evidence is still taken, answers do not show it yet", index.failing));
    } else if (index.lag > kLagWarning) {
      problems.push_back(
          fmt::format("index-lag: {} frames are not visible in answers yet", index.lag));
    }
    const DetectStats detect = detectors_->stats();
    if (!detect.failing.empty()) {
      problems.push_back(
          fmt::format("detect: {}; evidence is still taken, findings are made once this is over",
                      detect.failing));
    }
    for (std::string& problem : alerter_->Problems()) problems.push_back(std::move(problem));
    for (std::string& problem : enrolment_->problems()) problems.push_back(std::move(problem));
    const WallTime until = now->credentials.certificate.not_after;
    if (until - ReadWallClock() < kExpiryWarning) {
      problems.push_back(
          fmt::format("certificate: the server's certificate ends on {}: remove server.pem and "
                      "server.key, run `culprit-collector init`, reload",
                      FormatUtc(until)));
    }
    if (!now->refused.empty()) {
      problems.push_back("reload: the newest configuration was refused, the one of " +
                         FormatUtc(now->loaded) + " is in force: " + now->refused);
    }
    if (!now->pending.empty())
      problems.push_back("restart: takes effect after a restart: " + ListKeys(now->pending));
    return problems;
  }

  // Each kind of problem is logged when it comes and when it goes, not once a second.
  void Report(const std::vector<std::string>& problems) {
    std::set<std::string> kinds;
    for (const std::string& problem : problems) {
      kinds.insert(KindOf(problem));
      if (reported_.count(KindOf(problem)) == 0) spdlog::warn("degraded {}", problem);
    }
    for (const std::string& kind : reported_) {
      if (kinds.count(kind) == 0) spdlog::info("recovered {}", kind);
    }
    reported_ = std::move(kinds);
  }

  static std::string KindOf(const std::string& problem) {
    return problem.substr(0, problem.find(':'));
  }

  void ReportJournal() const {
    for (const JournalDamage& damage : journal_->damage()) {
      spdlog::warn("journal damage file={} offset={} bytes={} what={}", damage.file, damage.offset,
                   damage.bytes, damage.what);
    }
  }

  // A snapshot that an agent began by itself. Agents are heard once all of this is made.
  void TakeOffered(const PeerIdentity& peer, const v1::SnapshotOffer& offer) {
    std::string host = peer.name;
    for (const HostRecord& known : store_->Hosts()) {
      if (known.agent_id == peer.agent_id) host = HostLabel(&known);
    }
    if (const Status taken = snapshots_->TakeOffered(peer.agent_id, host, offer); !taken)
      spdlog::warn("snapshot of an agent's own waits host={} why=\"{}\"", host,
                   taken.error().message);
  }

  void Retain() {
    const auto now = in_force_.Get();
    const CollectorConfig::Journal& limits = now->config.journal;
    const auto age = limits.max_age;
    if (limits.max_bytes == 0 && age.count() == 0) return;
    const WallTime older_than = age.count() == 0 ? WallTime{} : ReadWallClock() - age;
    if (const Status status = journal_->Retain(limits.max_bytes, older_than); !status) {
      spdlog::warn("journal retention failed reason={}", status.error().message);
    }
  }

  // All that can fail comes first: it is taken whole or not at all.
  Status Take(const CollectorConfig& file) {
    const auto before = in_force_.Get();
    TRY(const Credentials credentials, LoadServerCredentials(config_));
    TRY_VOID(CheckAlertFiles(file));
    const auto hours = LoadWorkHours(file.detect.hours);
    if (!hours) return InvalidArgument("detect.hours.zone is not known any more");
    InForce next{before->config, credentials, ReadWallClock(), {}, ""};
    next.pending = AdoptLive(file, &next.config);
    const CollectorConfig& config = next.config;
    const auto changed =
        ChangedKeys(FormatCollectorConfig(before->config), FormatCollectorConfig(config));
    TRY_VOID(server_->SetCredentials(credentials));
    TRY_VOID(enrolment_->Reload(config.ingest.revoked, credentials));
    TRY_VOID(SetLogLevel(config.log_level));
    indexer_->SetRetention(config.index.max_bytes, config.index.max_age);
    const auto any_below = [&changed](std::string_view table) {
      return std::any_of(changed.begin(), changed.end(),
                         [table](const std::string& key) { return IsOneOf(key, {table}); });
    };
    if (any_below("detect.")) detectors_->Retune(config.detect, *hours);
    if (any_below("alert[")) alerter_->SetTargets(config.alerts);
    const bool renewed = credentials.certificate.sha256 != before->credentials.certificate.sha256 ||
                         credentials.ca_pem != before->credentials.ca_pem;
    spdlog::info("reloaded changed=\"{}\" certificate={} until={}", ListKeys(changed),
                 renewed ? "new" : "same", FormatUtc(credentials.certificate.not_after));
    if (!next.pending.empty())
      spdlog::warn("takes effect after a restart: {}", ListKeys(next.pending));
    next_retention_ = {};  // limits may be lower
    in_force_.Set(std::move(next));
    return Ok();
  }

  Status ListenForMetrics() {
    if (config_.metrics.listen.empty()) return Ok();
    auto started = HttpServer::Start(config_.metrics.listen,
                                     [this](std::string_view path) { return Answer(path); });
    if (!started) return std::move(started).error().Context("metrics.listen");
    metrics_ = std::move(*started);
    spdlog::info("metrics listen={} port={}", config_.metrics.listen, metrics_->port());
    return Ok();
  }

  std::optional<HttpAnswer> Answer(std::string_view path) const {
    if (path == "/metrics")
      return HttpAnswer{200, std::string(MetricText::kContentType), CollectorMetrics(Facts())};
    if (path != "/healthz") return std::nullopt;
    const Health health = JudgeHealth(Facts());
    return HttpAnswer{health.level == HealthLevel::kFailing ? 503 : 200, "application/json",
                      HealthJson(health)};
  }

  CollectorFacts Facts() const {
    const auto now = in_force_.Get();
    const auto lag = [durable = journal_->stats().durable_lsn](Lsn applied) {
      return durable > applied ? durable - applied : 0;
    };
    const IndexerStats index = indexer_->stats();
    const DetectStats detect = detectors_->stats();
    CollectorFacts facts;
    facts.version = CULPRIT_VERSION;
    facts.started = started_;
    facts.now = ReadWallClock();
    facts.journal = journal_->stats();
    facts.disk_free_bytes = FreeBytes(facts.journal);
    facts.disk_warn_bytes = now->config.disk.warn_free;
    facts.disk_critical_bytes = now->config.disk.critical_free;
    facts.index = {index.lag, index.records, index.rejected_records, store_->stats().bytes,
                   index.failing};
    facts.detect = {lag(detect.applied_lsn), detect.findings, detect.failing};
    const v1::ListAlertTargetsResponse alerts = alerter_->Targets();
    for (const v1::AlertTarget& target : alerts.targets()) {
      facts.alerts.push_back({target.name(), target.queued(), target.delivered(), target.lost(),
                              target.failures(), target.last_error()});
    }
    facts.alerts_failing = alerts.failing();
    facts.ingest = ingest_->stats();
    facts.silence = std::chrono::seconds(now->config.detect.integrity.silence_seconds);
    facts.certificate_not_after = now->credentials.certificate.not_after;
    facts.config_loaded = now->loaded;
    facts.config_refused = now->refused;
    facts.restart_pending = now->pending.size();
    facts.degraded = Problems(facts.journal).size();
    facts.process = ReadOwnProcess();
    return facts;
  }

  const CollectorConfig config_;  // of the start
  const WallTime started_ = ReadWallClock();
  InForceBox in_force_;
  UniqueFd lock_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<EvidenceStore> store_;
  std::unique_ptr<Indexer> indexer_;
  std::unique_ptr<PlaceFiles> places_;
  std::unique_ptr<FindingStore> findings_;
  std::unique_ptr<Alerter> alerter_;
  std::unique_ptr<DetectFollower> detectors_;
  std::unique_ptr<Enrolment> enrolment_;
  std::unique_ptr<Ingest> ingest_;
  const Activity activity_{*this};
  const State status_{*this};
  std::unique_ptr<Snapshots> snapshots_;
  std::unique_ptr<FindingTrigger> trigger_;  // null: off
  std::unique_ptr<QueryEngine> engine_;
  std::unique_ptr<PacketFetcher> packets_;
  std::unique_ptr<grpc::Service> query_service_, findings_service_, alerts_service_, login_service_,
      posture_service_, custody_service_, audit_service_, snapshot_service_;
  std::unique_ptr<TlsServer> server_;
  std::unique_ptr<HttpServer> metrics_;  // null: off
  std::jthread index_thread_, detect_thread_, trigger_thread_;
  std::chrono::steady_clock::time_point next_retention_{};
  std::set<std::string> reported_;  // kinds of problems that are in force
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Collector>> Collector::Start(const CollectorConfig& config) {
  auto collector = std::make_unique<CollectorImpl>(config);
  TRY_VOID(collector->Open());
  return std::unique_ptr<Collector>(std::move(collector));
}

}  // namespace culprit
