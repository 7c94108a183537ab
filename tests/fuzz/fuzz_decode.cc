// SPDX-License-Identifier: Apache-2.0
// Any bytes through decode, enrich and aggregate: a sequence of records, each with a 16-bit length before it.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/aggregate/aggregator.h"
#include "agent/decode/decoder.h"
#include "agent/enrich/enricher.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace culprit;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  AggregateLimits limits;
  limits.max_flows = 16;
  EnrichLimits enrich_limits;
  enrich_limits.max_processes = 16;
  enrich_limits.max_executables = 4;
  NoUserNames users;
  Aggregator aggregator(Uuid{}, Uuid{}, limits);
  Enricher enricher(Uuid{}, enrich_limits, users, aggregator);
  Decoder decoder;
  Event event;
  BootTime now = BootTimeFromNs(1'000'000'000);
  while (input.size() >= 2) {
    std::uint16_t length = 0;
    std::memcpy(&length, input.data(), sizeof(length));
    input.remove_prefix(sizeof(length));
    // A copy of the exact size, so that the sanitizer sees a read past the end.
    const std::string record(input.substr(0, length));
    input.remove_prefix(record.size());
    if (decoder.Decode(record, event) != DecodeFault::kNone) continue;
    enricher.Apply(event);
    now += std::chrono::milliseconds(70);
    enricher.Tick(now);
    aggregator.Tick(now);
  }
  aggregator.FlushAll(now);
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    while (aggregator.pending(lane) > 0) static_cast<void>(aggregator.TakeBatch(lane));
  }
  return 0;
}
