// SPDX-License-Identifier: Apache-2.0
// QueryEngine: the SSH of hosts, and where a key opens an account.
#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "collector/query/engine.h"
#include "collector/query/filter.h"
#include "collector/query/render.h"
#include "common/hex.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultChanges = 20, kMaxChanges = 10'000;
constexpr std::uint32_t kDefaultKeys = 1'000, kMaxKeys = 100'000;
constexpr std::uint32_t kNotSet = 4'294'967'295;

Result<std::optional<std::uint32_t>> RefOf(const EvidenceStore& store, const std::string& host) {
  if (host.empty()) return std::optional<std::uint32_t>();
  TRY(const HostRecord record, ResolveHost(store, host));
  return std::optional(record.ref);
}

void RenderState(const v1::PostureChange::FileState& state,
                 v1::PostureChangeRow::FileStateRow* row) {
  row->set_sha256(HexEncode(state.sha256()));
  row->set_size_bytes(state.size_bytes());
  row->set_uid(state.uid());
  row->set_mode(state.mode());
  row->set_immutable(state.immutable());
  row->set_append_only(state.append_only());
}

v1::PostureChangeRow RenderChange(PostureChangeRecord record, Names* names) {
  v1::PostureChangeRow row;
  row.set_at_ns(ToNs(record.at));
  row.set_login_uid(kNotSet);
  row.set_audit_session(kNotSet);
  const ProcessId id{record.change.process_id()};
  v1::PostureChange& change = record.change;
  row.set_kind(WordOf(v1::PostureChangeKind_Name(change.kind()), "POSTURE_CHANGE_KIND_"));
  row.set_path(std::move(*change.mutable_path()));
  if (change.has_before()) RenderState(change.before(), row.mutable_before());
  if (change.has_after()) RenderState(change.after(), row.mutable_after());
  row.set_diff(std::move(*change.mutable_diff()));
  row.set_diff_cut(change.diff_cut());
  *row.mutable_listens() = std::move(*change.mutable_listens());
  row.set_pid(change.pid());
  if (change.confidence() != v1::WRITER_CONFIDENCE_UNSPECIFIED)
    row.set_confidence(
        WordOf(v1::WriterConfidence_Name(change.confidence()), "WRITER_CONFIDENCE_"));
  if (id.value() == 0) return row;
  row.set_process_id(HexId(id.value()));
  const ProcessRecord* process = names->Process(record.host, id);
  if (process == nullptr) return row;
  const v1::Process& p = process->definition;
  row.set_comm(p.comm());
  row.set_command_line(CommandLine(p));
  row.set_user(p.user().empty() ? std::to_string(p.uid()) : p.user());
  row.set_login_uid(p.login_uid());
  row.set_login_user(p.login_user());
  row.set_audit_session(p.session_id());
  return row;
}

}  // namespace

Result<v1::GetPostureResponse> QueryEngine::GetPosture(const v1::GetPostureRequest& request) const {
  if (request.change_limit() > kMaxChanges)
    return InvalidArgument(fmt::format("change_limit: at most {}", kMaxChanges));
  if (request.time().from_ns() < 0 || request.time().to_ns() < 0)
    return InvalidArgument("time: must not be before 1970");
  TRY(const auto host, RefOf(deps_.store, request.host()));
  TRY(std::vector<PostureRecord> found, deps_.store.Postures(host));
  Names names(deps_.store);
  v1::GetPostureResponse out;
  for (PostureRecord& record : found) {
    v1::HostPosture& row = *out.add_hosts();
    const HostRecord* known = names.Host(record.host);
    if (known != nullptr) row.set_agent_id(known->agent_id.ToString());
    row.set_host(HostLabel(known));
    row.set_at_ns(ToNs(record.at));
    *row.mutable_posture() = std::move(record.posture);
    PostureChangePredicate where{record.host, std::nullopt, std::nullopt};
    if (request.time().from_ns() != 0) where.from = WallTimeFromNs(request.time().from_ns());
    if (request.time().to_ns() != 0) where.to = WallTimeFromNs(request.time().to_ns());
    const std::uint32_t limit =
        request.change_limit() == 0 ? kDefaultChanges : request.change_limit();
    TRY(std::vector<PostureChangeRecord> changes, deps_.store.PostureChanges(where, limit));
    for (PostureChangeRecord& change : changes)
      *row.add_changes() = RenderChange(std::move(change), &names);
  }
  return out;
}

Result<v1::ListKeysResponse> QueryEngine::ListKeys(const v1::ListKeysRequest& request) const {
  if (request.limit() > kMaxKeys)
    return InvalidArgument(fmt::format("limit: at most {}", kMaxKeys));
  const std::uint32_t limit = request.limit() == 0 ? kDefaultKeys : request.limit();
  TRY(const auto host, RefOf(deps_.store, request.host()));
  // All hosts, also where one is asked for: the others say how far a key reaches.
  TRY(const std::vector<PostureRecord> found, deps_.store.Postures(std::nullopt));
  std::unordered_map<std::string, std::set<std::uint32_t>> reach;
  for (const PostureRecord& record : found)
    for (const v1::AuthorizedKey& key : record.posture.keys())
      if (key.accepted()) reach[key.fingerprint()].insert(record.host);
  Names names(deps_.store);
  v1::ListKeysResponse out;
  for (const PostureRecord& record : found) {
    if (host && record.host != *host) continue;
    for (const v1::AuthorizedKey& key : record.posture.keys()) {
      if (!request.fingerprint().empty() && key.fingerprint() != request.fingerprint()) continue;
      if (!request.user().empty() && key.user() != request.user()) continue;
      if (out.keys_size() == static_cast<int>(limit)) {
        out.set_cut(true);
        return out;
      }
      v1::KeyRow& row = *out.add_keys();
      const HostRecord* known = names.Host(record.host);
      if (known != nullptr) row.set_agent_id(known->agent_id.ToString());
      row.set_host(HostLabel(known));
      row.set_at_ns(ToNs(record.at));
      *row.mutable_key() = key;
      const auto hosts = reach.find(key.fingerprint());
      if (hosts != reach.end()) row.set_hosts(static_cast<std::uint32_t>(hosts->second.size()));
    }
  }
  return out;
}

}  // namespace culprit
