// SPDX-License-Identifier: Apache-2.0
// Typed records -> the messages of query.proto, and the words used there for enums.
// Stage: query. Thread: any.
#ifndef CULPRIT_COLLECTOR_QUERY_RENDER_H_
#define CULPRIT_COLLECTOR_QUERY_RENDER_H_

#include <map>
#include <string>
#include <unordered_map>

#include "collector/store/evidence_store.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

std::string ProtocolName(std::uint8_t protocol);
Result<std::uint8_t> ParseProtocol(const std::string& text);
std::string DirectionName(v1::FlowDirection direction);
Result<v1::FlowDirection> ParseDirection(const std::string& text);
std::string StateName(v1::FlowState state);
Result<v1::FlowState> ParseState(const std::string& text);
std::string ErrnoName(std::uint32_t error);  // "ECONNREFUSED"; empty for 0

// Looks hosts and processes up once an answer.
class Names {
 public:
  explicit Names(const EvidenceStore& store);
  const HostRecord* Host(std::uint32_t ref) const;
  // Null = unknown.
  const ProcessRecord* Process(std::uint32_t host, ProcessId id);
  const EvidenceStore& store() const { return store_; }
  // For answers that go on: processes are amended, hosts come.
  void Forget();

 private:
  const EvidenceStore& store_;
  std::map<std::uint32_t, HostRecord> hosts_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::optional<ProcessRecord>> processes_;
};

// Hostname, else instance id, else agent name.
std::string HostLabel(const HostRecord* host);
// The arguments as a shell would take them; the command name where there are none.
std::string CommandLine(const v1::Process& process);

v1::FlowRow RenderFlow(const FlowTotal& flow, Names* names);
// The part of a row that payload and tuple say.
void RenderFlowNames(const FlowTotal& flow, const EvidenceStore& store, v1::FlowRow* row);
v1::DnsRow RenderDns(const DnsRecord& record, Names* names);
v1::FlowGroup RenderGroup(const GroupTotal& group, GroupBy by, Names* names);
v1::ProcessInfo RenderProcess(const ProcessRecord& process, const Names& names);
v1::ProcessInfo RenderUnknownProcess(std::uint32_t host, ProcessId id, const Names& names);
v1::Counters RenderCounters(const ProcessRecord& process);
// Without what only ingest knows.
v1::HostRow RenderHost(const HostRecord& host);
// Adds what ListHostsRequest.health asks for.
void RenderHealth(const HostRecord& host, v1::HostRow* row);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_RENDER_H_
