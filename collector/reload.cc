// SPDX-License-Identifier: Apache-2.0
#include "collector/reload.h"

#include "common/config_diff.h"

namespace culprit {

std::vector<std::string> AdoptLive(const CollectorConfig& file, CollectorConfig* config) {
  config->log_level = file.log_level;
  config->drain = file.drain;
  config->ingest.revoked = file.ingest.revoked;
  config->journal.max_bytes = file.journal.max_bytes;
  config->journal.max_age = file.journal.max_age;
  config->index.max_bytes = file.index.max_bytes;
  config->index.max_age = file.index.max_age;
  config->disk = file.disk;
  config->detect = file.detect;
  config->alerts = file.alerts;
  return ChangedKeys(FormatCollectorConfig(*config), FormatCollectorConfig(file));
}

}  // namespace culprit
