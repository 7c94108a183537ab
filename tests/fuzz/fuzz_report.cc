// SPDX-License-Identifier: Apache-2.0
// Fuzzer: abuse reports from any bytes. Everything stays within its bounds, every reading has an
// order, and a ranking of a flow that the report may mean ends.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "collector/answer/match.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::int64_t kNow = 1'772'712'000'000'000'000;

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckReadings(const AbuseReport& report) {
  const ReadingContext context{WallTimeFromNs(kNow), report.zone, report.times};
  for (const WrittenTime& time : report.times) {
    Check(time.begin <= time.end && time.has_date + time.has_clock > 0);
    const auto readings = ReadingsOf(time, context);
    Check(readings.size() <= 200);
    for (std::size_t i = 0; i < readings.size(); ++i) {
      Check(readings[i].from <= readings[i].to && readings[i].doubt >= 0);
      Check(i == 0 || readings[i - 1].doubt <= readings[i].doubt);
    }
  }
}

v1::FlowRow FlowTo(const AbuseReport& report) {
  v1::FlowRow flow;
  flow.set_agent_id("a");
  flow.set_process_id("0000000000000001");
  flow.set_flow_id("0000000000000002");
  flow.set_remote(report.addresses.empty() ? "198.51.100.7" : report.addresses[0].ToString());
  flow.set_remote_port(22);
  flow.set_direction("out");
  flow.set_protocol("tcp");
  flow.set_start_ns(kNow - 86'400'000'000'000);
  flow.set_last_ns(kNow);
  return flow;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const AbuseReport report =
      ParseAbuseReport(std::string_view(reinterpret_cast<const char*>(data), size));
  Check(report.sightings.size() <= kMaxSightings && report.addresses.size() <= kMaxReportAddresses);
  for (const Sighting& sighting : report.sightings) Check(!sighting.empty());
  CheckReadings(report);
  v1::ListHostsResponse hosts;
  auto* host = hosts.add_hosts();
  host->set_agent_id("a");
  host->set_instance_id("i-0123456789abcdef0");
  host->add_addresses("192.0.2.1");
  Check(SearchesOf(report, hosts, WallTimeFromNs(kNow)).size() <= 300);
  const Answer answer = RankMatches(report, hosts, {FlowTo(report)}, WallTimeFromNs(kNow));
  Check(answer.matches.size() <= 1);
  return 0;
}
