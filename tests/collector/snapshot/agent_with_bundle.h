// SPDX-License-Identifier: Apache-2.0
// The port to an agent, with a bundle behind it as a real agent has it: made at the first order,
// the same bytes at every question, dropped when it is released.
#ifndef CULPRIT_TESTS_COLLECTOR_SNAPSHOT_AGENT_WITH_BUNDLE_H_
#define CULPRIT_TESTS_COLLECTOR_SNAPSHOT_AGENT_WITH_BUNDLE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collector/model/agent_control.h"
#include "common/crc32c.h"
#include "common/sha256.h"
#include "tests/support/bundle_bytes.h"

namespace culprit {

class AgentWithBundle final : public AgentControl {
 public:
  explicit AgentWithBundle(std::string key_path) : key_path_(std::move(key_path)) {}

  bool IsConnected(const Uuid&) const override {
    const std::lock_guard lock(mutex);
    return connected;
  }
  Status AskForPackets(const Uuid&, const v1::PacketRequest&, const TakePart&,
                       const IsCancelled&) override {
    return Unavailable("it keeps no packets");
  }
  void ReleasePackets(const Uuid&, const std::string&) override {}

  Status AskForSnapshot(const Uuid&, const v1::SnapshotRequest& request,
                        const TakeSnapshotPart& take, const IsCancelled&) override {
    v1::SnapshotPart part;
    bool breaks = false;
    {
      const std::lock_guard lock(mutex);
      ++asked;
      if (!connected) return Unavailable("the agent is not connected");
      if (refusal) return *refusal;
      const std::string id = Uuid::FromBytes(request.snapshot_id())->ToString();
      auto bundle = bundles.find(id);
      if (bundle == bundles.end()) {
        if (!request.has_order() && began.erase(id) == 0)
          return NotFound("nothing of this snapshot is kept");
        bundle = bundles.emplace(id, MakeTestBundle(foreign.value_or(id), key_path_).bytes).first;
        if (forge) bundle->second = forge(bundle->second);
      }
      const std::string& bytes = bundle->second;
      if (request.offset() > bytes.size() ||
          Crc32c(std::string_view(bytes).substr(0, request.offset())) != request.prefix_crc32c()) {
        return NotFound("what was sent is not what there is now");
      }
      part.set_offset(request.offset());
      part.set_data(
          bytes.substr(request.offset(), std::min<std::size_t>(window, request.window_bytes())));
      const std::uint64_t end = part.offset() + part.data().size();
      breaks = break_at && end >= *break_at;
      if (breaks) {
        part.set_data(part.data().substr(0, *break_at - part.offset()));
        break_at.reset();
        if (goes_away) connected = false;
      } else {
        part.set_window_end(true);
        part.mutable_step()->set_collected_bytes(bytes.size());
        part.mutable_step()->set_name("processes");
        if (end == bytes.size()) {
          part.mutable_totals()->set_bundle_bytes(end);
          part.mutable_totals()->set_sha256(std::string(AsBytes(Sha256Of(bytes))));
          part.mutable_totals()->set_skipped(3);
          part.mutable_totals()->set_broken(broken);
        }
      }
      part.set_crc32c(Crc32c(part.data()));
    }
    if (!take(std::move(part))) return MakeError(Code::kCancelled, "no more is wanted");
    return breaks ? Status(Unavailable("the agent's connection was lost")) : Ok();
  }
  void ReleaseSnapshot(const Uuid&, const std::string& id) override {
    const std::lock_guard lock(mutex);
    const std::string name = Uuid::FromBytes(id)->ToString();
    released.push_back(name);
    bundles.erase(name);
  }

  mutable std::mutex mutex;
  // Under it, once there is a transfer:
  bool connected = true, goes_away = false;
  std::size_t window = 700;
  std::optional<std::uint64_t> break_at;  // once
  std::optional<Error> refusal;
  std::optional<std::string> foreign;  // the id that its manifest says
  std::string broken;
  std::function<std::string(const std::string&)> forge;
  std::map<std::string, std::string> bundles;
  std::set<std::string> began;  // by the agent itself: ids that need no order
  std::vector<std::string> released;
  int asked = 0;

 private:
  const std::string key_path_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_COLLECTOR_SNAPSHOT_AGENT_WITH_BUNDLE_H_
