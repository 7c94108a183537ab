// SPDX-License-Identifier: Apache-2.0
// What the collector takes of what an agent says about itself.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "collector/model/evidence_rules.h"

namespace culprit {
namespace {

v1::EvidenceBatch Good() {
  v1::EvidenceBatch batch;
  v1::Heartbeat* beat = batch.mutable_heartbeat();
  beat->set_at_boot_ns(5);
  beat->set_at_mono_ns(4);
  beat->set_interval_ms(10'000);
  for (std::uint32_t id = 1; id <= 3; ++id) beat->add_link_ids(id), beat->add_program_ids(id);
  beat->set_links_made(3);
  beat->set_exe_sha256(std::string(32, 'x'));
  beat->set_stop_reason("signal");
  beat->set_previous_run("killed");
  return batch;
}

TEST(HeartbeatRulesTest, AGoodOneIsKept) {
  v1::EvidenceBatch batch = Good();
  const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
  EXPECT_EQ(verdict.records, 1U);
  EXPECT_EQ(verdict.rejected, 0U);
  EXPECT_TRUE(batch.has_heartbeat());
}

TEST(HeartbeatRulesTest, ABadOneIsLeftOutAndCounted) {
  using Spoil = std::function<void(v1::Heartbeat&)>;
  const Spoil spoils[] = {
      [](auto& h) { h.set_at_boot_ns(1ULL << 63); },
      [](auto& h) { h.set_at_mono_ns(1ULL << 63); },
      [](auto& h) { h.set_interval_ms(60'001); },  // or it could ask for patience without end
      [](auto& h) { h.set_links_made(257); },
      [](auto& h) { h.mutable_link_ids()->Resize(257, 1); },
      [](auto& h) { h.mutable_program_ids()->Resize(257, 1); },
      [](auto& h) { h.set_exe_sha256("short"); },
      [](auto& h) { h.set_config_sha256(std::string(33, 'x')); },
      [](auto& h) { h.set_stop_reason("\x1b[2J"); },
      [](auto& h) { h.set_previous_run(std::string(33, 'a')); },
  };
  for (std::size_t i = 0; i < std::size(spoils); ++i) {
    v1::EvidenceBatch batch = Good();
    spoils[i](*batch.mutable_heartbeat());
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_EQ(verdict.rejected, 1U) << i;
    EXPECT_FALSE(batch.has_heartbeat()) << i;
  }
}

}  // namespace
}  // namespace culprit
