// SPDX-License-Identifier: Apache-2.0
// Builds evidence as an agent would send it: rows with defaults, packed into batches and stored frames.
#ifndef CULPRIT_TESTS_SUPPORT_RECORD_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_RECORD_BUILDER_H_

#include <map>
#include <string>
#include <vector>

#include "collector/model/stored.h"
#include "common/net_address.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit::testing {

// 2026-03-01T00:00:00Z is boot + 1000 s of every built host.
inline constexpr std::int64_t kEpochNs = 1'772'323'200'000'000'000;
inline constexpr std::uint64_t kEpochBootNs = 1'000'000'000'000;
constexpr std::uint64_t BootAt(double seconds) {
  return static_cast<std::uint64_t>(static_cast<double>(kEpochBootNs) + seconds * 1e9);
}
constexpr std::int64_t WallAt(double seconds) {
  return kEpochNs + static_cast<std::int64_t>(seconds * 1e9);
}

// One flow row; times in seconds after the epoch above.
struct Row {
  std::uint64_t flow = 1, process = 100, creator = 0;
  std::string local = "192.0.2.10", remote = "198.51.100.7";
  std::uint32_t local_port = 40000, remote_port = 443, protocol = 6;
  v1::FlowDirection direction = v1::FLOW_DIRECTION_OUTBOUND;
  v1::FlowState state = v1::FLOW_STATE_OPEN;
  std::uint32_t error = 0, flags = 0;
  double start = 0, last = -1, emitted = 10;  // last -1 = emitted
  std::uint64_t tx = 0, rx = 0;
};

void AppendRow(const Row& row, v1::FlowBatch* batch);
v1::Process MakeProcess(std::uint64_t id, std::uint64_t parent, std::uint32_t pid,
                        const std::string& exe, const std::string& user);

// A stored frame of `batch`, clock pair taken at `at` seconds.
StoredFrame MakeStored(Lsn lsn, const v1::EvidenceBatch& batch, double at, std::uint8_t agent = 1);
StoredFrame MakeStored(Lsn lsn, const std::vector<Row>& rows, double at, std::uint8_t agent = 1);

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_RECORD_BUILDER_H_
