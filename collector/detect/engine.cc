// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/engine.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <tuple>

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

void DetectEngine::Resume(const std::vector<SeenRow>& seen, std::vector<v1::Finding> findings) {
  scene_.baseline().Load(seen);
  // Of an episode that came again the newest goes on.
  std::map<std::tuple<std::string, std::string, std::string>, v1::Finding> newest;
  for (v1::Finding& finding : findings) {
    v1::Finding& kept = newest[{finding.agent_id(), finding.rule(), finding.subject()}];
    if (finding.last_lsn() >= kept.last_lsn()) kept = std::move(finding);
  }
  for (auto& [key, finding] : newest) stored_[finding.agent_id()].push_back(std::move(finding));
}

HostDetector* DetectEngine::DetectorOf(const Uuid& agent, Host* host) {
  if (host->detector != nullptr) return host->detector.get();
  host->detector =
      std::make_unique<HostDetector>(thresholds_, &scene_, agent, [this, host, agent](const auto& f) {
        v1::Finding named = f;
        named.set_agent_id(agent.ToString());
        named.set_host(host->name);
        named.set_id(FindingId(named));
        named.set_state(v1::FINDING_STATE_OPEN);
        sink_(named);
      });
  const auto stored = stored_.find(agent.ToString());
  if (stored != stored_.end()) host->detector->Resume(stored->second);
  return host->detector.get();
}

void DetectEngine::Take(const DecodedFrame& frame) {
  const Uuid& agent = frame.stamp.agent_id;
  scene_.Refresh();
  if (frame.has_host) scene_.TakeHost(agent, frame.host);
  scene_.baseline().NoteHost(agent, frame.has_host ? frame.host.image_id() : "",
                             std::min(frame.clock.wall, frame.stamp.received));
  std::string key(agent.AsBytes());
  key += frame.boot_id.AsBytes();
  Host& host = hosts_[key];
  host.last = frame.lsn;
  host.name = frame.has_host && !frame.host.hostname().empty() ? frame.host.hostname()
              : host.name.empty()                              ? frame.stamp.agent_name
                                                               : host.name;
  DetectorOf(agent, &host)->Take(frame);
  if (hosts_.size() <= kMaxHosts) return;
  const auto silent =
      std::min_element(hosts_.begin(), hosts_.end(),
                       [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  hosts_.erase(silent);
}

}  // namespace culprit
