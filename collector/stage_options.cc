// SPDX-License-Identifier: Apache-2.0
#include "collector/stage_options.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "collector/pki/pki.h"
#include "collector/query/findings_service.h"

namespace culprit {

JournalOptions JournalOptionsOf(const CollectorConfig& config) {
  JournalOptions options;
  options.directory = config.journal_dir();
  options.segment_bytes = config.journal.segment_bytes;
  options.signing_key_path = PkiPathsIn(config.pki()).journal_key;
  return options;
}

SqliteStoreOptions StoreOptionsOf(const CollectorConfig& config) {
  SqliteStoreOptions options;
  options.directory = config.index_dir();
  options.part_rows = config.index.part_rows;
  options.part_age = config.index.part_age;
  return options;
}

IndexerOptions IndexerOptionsOf(const CollectorConfig& config) {
  IndexerOptions options;
  options.commit_interval = config.index.commit_interval;
  options.max_bytes = config.index.max_bytes;
  options.max_age = config.index.max_age;
  return options;
}

IngestOptions IngestOptionsOf(const CollectorConfig& config) {
  IngestOptions options;
  options.collector_version = CULPRIT_VERSION;
  options.max_inflight_frames = config.ingest.max_inflight_frames;
  options.max_inflight_bytes = config.ingest.max_inflight_bytes;
  options.max_rate = config.ingest.max_rate;
  return options;
}

SnapshotStoreLimits SnapshotLimitsOf(const CollectorConfig& config) {
  SnapshotStoreLimits limits;
  limits.max_bytes = config.snapshot.max_bytes;
  limits.max_bundle_bytes = config.snapshot.max_bundle_bytes;
  limits.min_free_bytes = config.snapshot.min_free;
  limits.give_up = config.snapshot.give_up;
  return limits;
}

// By the place in this list.
std::optional<FindingTriggerOptions> TriggerOptionsOf(const CollectorConfig& config) {
  constexpr std::array<std::string_view, 5> kNames = {"off", "low", "medium", "high", "critical"};
  const auto name = std::find(kNames.begin(), kNames.end(), config.snapshot.on_finding);
  if (name == kNames.begin() || name == kNames.end()) return std::nullopt;
  return FindingTriggerOptions{static_cast<v1::Severity>(name - kNames.begin()),
                               config.snapshot.finding_interval};
}

TlsServerOptions ServerOptionsOf(const CollectorConfig& config) {
  TlsServerOptions options;
  options.listen = config.listen;
  options.max_memory_bytes = config.ingest.max_memory;
  options.max_threads = static_cast<int>(config.ingest.max_threads);
  return options;
}

AlerterOptions AlerterOptionsOf(const CollectorConfig& config, const PlaceSource& places) {
  AlerterOptions options;
  options.path = config.alerts_path();
  options.targets = config.alerts;
  options.version = CULPRIT_VERSION;
  options.annotate = [&places](v1::Finding* finding) { AnnotateFinding(*places.Read(), finding); };
  return options;
}

}  // namespace culprit
