// SPDX-License-Identifier: Apache-2.0
// What the configuration says to each stage of the collector. Stage: wiring. Thread: values.
#ifndef CULPRIT_COLLECTOR_STAGE_OPTIONS_H_
#define CULPRIT_COLLECTOR_STAGE_OPTIONS_H_

#include <optional>

#include "collector/alert/alerter.h"
#include "collector/config.h"
#include "collector/ingest/ingest.h"
#include "collector/ingest/tls_server.h"
#include "collector/journal/journal.h"
#include "collector/place_files.h"
#include "collector/snapshot/finding_trigger.h"
#include "collector/snapshot/snapshots.h"
#include "collector/store/indexer.h"
#include "collector/store/sqlite_store.h"

namespace culprit {

JournalOptions JournalOptionsOf(const CollectorConfig& config);
SqliteStoreOptions StoreOptionsOf(const CollectorConfig& config);
IndexerOptions IndexerOptionsOf(const CollectorConfig& config);
IngestOptions IngestOptionsOf(const CollectorConfig& config);
SnapshotStoreLimits SnapshotLimitsOf(const CollectorConfig& config);
// nullopt: no finding begins a snapshot.
std::optional<FindingTriggerOptions> TriggerOptionsOf(const CollectorConfig& config);
TlsServerOptions ServerOptionsOf(const CollectorConfig& config);
// `places` outlives the alerter.
AlerterOptions AlerterOptionsOf(const CollectorConfig& config, const PlaceSource& places);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STAGE_OPTIONS_H_
