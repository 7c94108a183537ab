// SPDX-License-Identifier: Apache-2.0
// Rows of a part file <-> typed records: shared by its writer and its readers.
// Stage: store. Thread: any; a statement belongs to its connection's thread.
#ifndef CULPRIT_COLLECTOR_STORE_SQLITE_PART_CODEC_H_
#define CULPRIT_COLLECTOR_STORE_SQLITE_PART_CODEC_H_

#include <string>
#include <string_view>

#include "collector/store/minute_rollup.h"
#include "collector/store/pending_batch.h"
#include "collector/sqlite/sqlite_db.h"

namespace culprit {

// How much of a flow row a query needs. SQLite unpacks a row from its front, so less is faster.
// kFacts: what conditions look at; kBytes: and wire bytes; kCounts: and payload and packets; kFull:
// all.
enum class Detail : std::uint8_t { kFacts, kBytes, kCounts, kFull };
// Columns of a flow row in the order that ReadFlow() expects.
std::string FlowColumns(Detail detail);

struct StoredFlow {
  std::int64_t id = 0, prev = 0;
  FlowDelta row;
  std::uint64_t emitted_boot_ns = 0;
  bool rebased = false;
  FlowKey key() const { return {row.host, row.facts.flow.value(), row.facts.process.value()}; }
};

// Sets what `detail` asks for and leaves the rest.
void ReadFlow(const SqliteStatement& s, Detail detail, StoredFlow* out);

// The column `creator` of a flow row, which forwarded flows use for their interfaces.
std::uint64_t CreatorColumn(const FlowFacts& f);
std::string EncodeCounters(const FlowCounters& c);
FlowCounters DecodeCounters(std::string_view bytes);
// From `column` on: started, active, tx, rx, attempts, failed, is_agent, busiest, busiest_bytes,
// destinations, crafted.
MinuteActivity ReadMinute(const SqliteStatement& s, int column);
// host, start, exec, exit, wait_status, definition, counters.
ProcessRecord ReadProcess(const SqliteStatement& s);
// All columns of host, in order.
HostRecord ReadHost(const SqliteStatement& s);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_SQLITE_PART_CODEC_H_
