// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/engine.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxHosts = 4096;

}  // namespace

std::string FindingId(const v1::Finding& finding) {
  const Sha256Digest digest = Sha256Of(fmt::format(
      "{}|{}|{}|{}", finding.agent_id(), finding.rule(), finding.subject(), finding.first_ns()));
  std::string id;
  for (std::size_t i = 0; i < 8; ++i) id += fmt::format("{:02x}", digest[i]);
  return id;
}

void DetectEngine::Take(const DecodedFrame& frame) {
  std::string key(frame.stamp.agent_id.AsBytes());
  key += frame.boot_id.AsBytes();
  Host& host = hosts_[key];
  host.last = frame.lsn;
  host.name = frame.has_host && !frame.host.hostname().empty() ? frame.host.hostname()
              : host.name.empty()                              ? frame.stamp.agent_name
                                                               : host.name;
  if (host.detector == nullptr) {
    host.detector = std::make_unique<HostDetector>(
        thresholds_, [this, &host, agent = frame.stamp.agent_id](const v1::Finding& finding) {
          v1::Finding named = finding;
          named.set_agent_id(agent.ToString());
          named.set_host(host.name);
          named.set_id(FindingId(named));
          named.set_state(v1::FINDING_STATE_OPEN);
          sink_(named);
        });
  }
  host.detector->Take(frame);
  if (hosts_.size() <= kMaxHosts) return;
  const auto silent =
      std::min_element(hosts_.begin(), hosts_.end(),
                       [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  hosts_.erase(silent);
}

}  // namespace culprit
