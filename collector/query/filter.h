// SPDX-License-Identifier: Apache-2.0
// An operator's FlowFilter, checked and turned into what the store understands.
// Stage: query. Thread: any.
#ifndef CULPRIT_COLLECTOR_QUERY_FILTER_H_
#define CULPRIT_COLLECTOR_QUERY_FILTER_H_

#include <string>

#include "collector/store/evidence_store.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

struct ResolvedFilter {
  FlowPredicate flows;  // without the conditions on processes
  std::optional<std::unordered_set<std::uint64_t>> ids;
  ProcessPredicate process;
  bool by_process = false;  // `process` says something
  std::string name;         // lower case; empty = any

  // Whether a process, null = unknown, meets `ids` and `process`.
  bool Accepts(ProcessId id, const ProcessRecord* record) const;
};

// Lower case, without the root's dot. Errors: too long.
Result<std::string> ResolveName(std::string name);
// Whether `name` is `wanted` or, where that begins with a dot, below it.
bool IsNamed(const std::string& name, const std::string& wanted);
// Whether any name of the flow, or a destination asked of a proxy by it, is so named.
bool FlowIsNamed(const EvidenceStore& store, const FlowTotal& flow, const std::string& wanted);
// kNotFound, with what to do.
Error UnknownHost(const std::string& text);
// Agent id, instance id, agent name or hostname. Errors: kNotFound; kInvalidArgument if several
// hosts fit.
Result<HostRecord> ResolveHost(const EvidenceStore& store, const std::string& text);
Result<std::uint64_t> ParseHexId(const std::string& text, const std::string& what);

// Errors: kInvalidArgument naming the field, kNotFound for the host.
Result<ResolvedFilter> ResolveFilter(const EvidenceStore& store, const v1::FlowFilter& filter);
// The predicate with the processes looked up.
Result<FlowPredicate> WithProcesses(const EvidenceStore& store, const ResolvedFilter& filter);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_FILTER_H_
