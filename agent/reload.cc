// SPDX-License-Identifier: Apache-2.0
#include "agent/reload.h"

#include "common/config_diff.h"
#include "common/file.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPemBytes = std::size_t{256} << 10;

}  // namespace

std::vector<std::string> AdoptLive(const AgentConfig& file, AgentConfig* config) {
  config->log_level = file.log_level;
  config->heartbeat = file.heartbeat;
  config->canary = file.canary;
  config->metrics = file.metrics;
  config->spool.max_bytes = file.spool.max_bytes;
  config->posture = file.posture;
  // With or without a collector is another agent: the snapshots' half of it begins with it.
  if (!file.collector.address.empty() && !config->collector.address.empty()) {
    config->collector = file.collector;
    config->sender = file.sender;
  }
  if (file.sink.enabled() && config->sink.enabled()) {
    config->sink = file.sink;
    config->sender = file.sender;
  }
  return ChangedKeys(FormatAgentConfig(*config), FormatAgentConfig(file));
}

std::string SenderMark(const SenderOptions& options) {
  std::string all;
  const auto add = [&all](const std::string& text) { all += text + '\0'; };
  for (const std::string* text : {&options.program, &options.collector, &options.server_name,
                                  &options.enrol_address, &options.user}) {
    add(*text);
  }
  const SinkOptions& sink = options.sink;
  for (const std::string& text :
       {sink.bucket, sink.region, sink.prefix, sink.endpoint, sink.imds_endpoint, sink.lock,
        std::to_string(sink.retention_days), std::to_string(sink.interval.count()),
        std::to_string(sink.object_bytes)}) {
    add(text);
  }
  for (const std::string* path : {&options.ca_path, &options.certificate_path, &options.key_path,
                                  &sink.ca, &sink.credentials}) {
    const auto content = ReadWholeFile(*path, kMaxPemBytes);
    add(*path);
    add(content ? *content : "");
  }
  const Sha256Digest digest = Sha256Of(all);
  return std::string(AsBytes(digest));
}

}  // namespace culprit
