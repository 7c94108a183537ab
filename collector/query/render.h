// SPDX-License-Identifier: Apache-2.0
// Typed records -> the messages of query.proto, and the words used there for enums.
// Stage: query. Thread: any.
#ifndef CULPRIT_COLLECTOR_QUERY_RENDER_H_
#define CULPRIT_COLLECTOR_QUERY_RENDER_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "collector/store/evidence_store.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/query_login.pb.h"

namespace culprit {

// Name of an enum's value in lower case, without the prefix that all values share.
std::string WordOf(std::string_view name, std::string_view prefix);
std::string ProtocolName(std::uint8_t protocol);
Result<std::uint8_t> ParseProtocol(const std::string& text);
std::string DirectionName(v1::FlowDirection direction);
Result<v1::FlowDirection> ParseDirection(const std::string& text);
std::string StateName(v1::FlowState state);
Result<v1::FlowState> ParseState(const std::string& text);
std::string ErrnoName(std::uint32_t error);  // "ECONNREFUSED"; empty for 0

// The session that a process belongs to, and how that is known: "descent", "audit session" or
// "descent and audit session".
struct SessionMatch {
  SessionRecord session;
  std::string by;
};

// Looks hosts, processes and sessions up once an answer.
class Names {
 public:
  explicit Names(const EvidenceStore& store);
  const HostRecord* Host(std::uint32_t ref) const;
  // Null = unknown.
  const ProcessRecord* Process(std::uint32_t host, ProcessId id);
  // Null = none is known. sessions.cc.
  const SessionMatch* Session(std::uint32_t host, ProcessId id);
  const EvidenceStore& store() const { return store_; }
  // For answers that go on: processes are amended, hosts come.
  void Forget();

 private:
  const EvidenceStore& store_;
  std::map<std::uint32_t, HostRecord> hosts_;
  using Key = std::pair<std::uint32_t, std::uint64_t>;
  const SessionMatch* ByDescent(std::uint32_t host, const ProcessRecord& process);

  std::map<Key, std::optional<ProcessRecord>> processes_;
  std::map<Key, std::optional<SessionRecord>> roots_;
  std::map<Key, std::optional<SessionMatch>> sessions_;
};

// Hostname, else instance id, else agent name.
std::string HostLabel(const HostRecord* host);
// The arguments as a shell would take them; the command name where there are none.
std::string CommandLine(const v1::Process& process);

v1::FlowRow RenderFlow(const FlowTotal& flow, Names* names);
// The part of a row that payload and tuple say.
void RenderFlowNames(const FlowTotal& flow, const EvidenceStore& store, v1::FlowRow* row);
// The part of a row that the login behind its process says.
void RenderFlowSession(const FlowTotal& flow, Names* names, v1::FlowRow* row);
v1::DnsRow RenderDns(const DnsRecord& record, Names* names);
v1::FlowGroup RenderGroup(const GroupTotal& group, GroupBy by, Names* names);
v1::ProcessInfo RenderProcess(const ProcessRecord& process, const Names& names);
// Adds the session that the process belongs to.
void RenderSessionOf(const ProcessRecord& process, Names* names, v1::ProcessInfo* out);
// "ssh", "console", …; empty for what is not known.
std::string LoginKindName(v1::LoginKind kind);
v1::LoginRow RenderLogin(const SessionRecord& session, const Names& names);
v1::LoginFailureRow RenderLoginFailure(const LoginFailureRecord& failure, const Names& names);
v1::ProcessInfo RenderUnknownProcess(std::uint32_t host, ProcessId id, const Names& names);
v1::Counters RenderCounters(const ProcessRecord& process);
// Without what only ingest knows.
v1::HostRow RenderHost(const HostRecord& host);
// Adds what ListHostsRequest.health asks for.
void RenderHealth(const HostRecord& host, v1::HostRow* row);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_RENDER_H_
