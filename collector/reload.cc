// SPDX-License-Identifier: Apache-2.0
#include "collector/reload.h"

#include "common/config_diff.h"

namespace culprit {
namespace {

constexpr std::size_t kKeysToName = 12;

}  // namespace

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

std::string ListKeys(const std::vector<std::string>& keys) {
  std::string out;
  for (std::size_t i = 0; i < keys.size() && i < kKeysToName; ++i)
    out += (out.empty() ? "" : ", ") + keys[i];
  return keys.size() > kKeysToName ? out + ", and others" : out;
}

}  // namespace culprit
