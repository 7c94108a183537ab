// SPDX-License-Identifier: Apache-2.0
// Sessions and logins as rows, and what of them stands beside flows and processes.
#include "collector/query/filter.h"
#include "collector/query/render.h"
#include "common/hex.h"
#include "common/net_address.h"

namespace culprit {
namespace {

// The kernel's connection knows better than the line, which a local user can write.
std::string AddressOf(const SessionRecord& s) {
  const std::string seen = AddressText(s.session.address());
  return seen.empty() && s.login ? AddressText(s.login->login.address()) : seen;
}

std::string UserOfSession(const SessionRecord& s) {
  return s.session.user().empty() && s.login ? s.login->login.user() : s.session.user();
}

std::string HexOrEmpty(std::uint64_t id) { return id == 0 ? std::string() : HexId(id); }

std::string ConfidenceName(v1::LinkConfidence confidence) {
  if (confidence == v1::LINK_CONFIDENCE_UNSPECIFIED) return "";
  return WordOf(v1::LinkConfidence_Name(confidence), "LINK_CONFIDENCE_");
}

void RenderLinks(const SessionRecord& record, v1::LoginRow* row) {
  for (const v1::SessionLink& link : record.session.links()) {
    v1::LoginRow::Link& to = *row->add_links();
    to.set_kind(WordOf(v1::SessionLinkKind_Name(link.kind()), "SESSION_LINK_KIND_"));
    to.set_confidence(ConfidenceName(link.confidence()));
    to.set_reason(link.reason());
  }
  for (const v1::LoginUidChange& change : record.session.changes()) {
    v1::LoginRow::Change& to = *row->add_changes();
    to.set_process_id(HexId(change.process_id()));
    to.set_at_ns(ToNs(record.boot) + static_cast<std::int64_t>(change.at_boot_ns()));
    to.set_from_login_uid(change.from_login_uid());
    to.set_to_login_uid(change.to_login_uid());
    to.set_from_audit_session(change.from_audit_session());
    to.set_to_audit_session(change.to_audit_session());
  }
}

void RenderCredential(const v1::Login& login, v1::LoginRow* row) {
  row->set_method(login.method());
  row->set_key_type(login.key_type());
  row->set_key_fingerprint(login.key_fingerprint());
  row->set_key_found_at(login.key_found_at());
  row->set_certificate_id(login.certificate_id());
  row->set_certificate_serial(login.certificate_serial());
  row->set_ca_fingerprint(login.ca_fingerprint());
  row->set_principal(login.principal());
  row->set_pid(login.pid());
  row->set_failures_before(login.failures_before());
}

}  // namespace

std::string LoginKindName(v1::LoginKind kind) {
  if (kind == v1::LOGIN_KIND_UNSPECIFIED || !v1::LoginKind_IsValid(kind)) return "";
  return WordOf(v1::LoginKind_Name(kind), "LOGIN_KIND_");
}

v1::LoginRow RenderLogin(const SessionRecord& record, const Names& names) {
  const v1::Session& session = record.session;
  v1::LoginRow row;
  if (const HostRecord* host = names.Host(record.host)) {
    row.set_agent_id(host->agent_id.ToString());
    row.set_host(HostLabel(host));
  }
  row.set_session_id(HexId(session.session_id()));
  row.set_kind(LoginKindName(session.kind()));
  row.set_at_ns(ToNs(record.login ? record.login->at : record.began));
  row.set_user(UserOfSession(record));
  row.set_address(AddressOf(record));
  row.set_port(session.port() == 0 && record.login ? record.login->login.port() : session.port());
  if (record.login) RenderCredential(record.login->login, &row);
  row.set_audit_session(session.audit_session());
  row.set_login_uid(session.login_uid());
  row.set_root_process_id(HexOrEmpty(session.root_process_id()));
  row.set_flow_id(HexOrEmpty(session.flow_id()));
  row.set_began_ns(ToNs(record.began));
  row.set_ended_ns(ToNs(record.ended));
  RenderLinks(record, &row);
  row.set_logged(record.login.has_value());
  return row;
}

v1::LoginFailureRow RenderLoginFailure(const LoginFailureRecord& failure, const Names& names) {
  v1::LoginFailureRow row;
  if (const HostRecord* host = names.Host(failure.host)) {
    row.set_agent_id(host->agent_id.ToString());
    row.set_host(HostLabel(host));
  }
  row.set_minute_ns(ToNs(failure.minute));
  if (failure.address) row.set_address(failure.address->ToString());
  row.set_user(failure.user);
  row.set_invalid_user(failure.invalid_user);
  row.set_method(failure.method);
  row.set_count(failure.count);
  return row;
}

void RenderSessionOf(const ProcessRecord& process, Names* names, v1::ProcessInfo* out) {
  const SessionMatch* match = names->Session(process.host, process.id());
  if (match == nullptr) return;
  const SessionRecord& s = match->session;
  out->set_login_session_id(HexId(s.id().value()));
  out->set_session_user(UserOfSession(s));
  out->set_session_address(AddressOf(s));
  if (s.login) out->set_key_fingerprint(s.login->login.key_fingerprint());
  out->set_session_kind(LoginKindName(s.session.kind()));
}

// Root is served by the process that let him in, which may look names up before that.
void RenderFlowSession(const FlowTotal& flow, Names* names, v1::FlowRow* row) {
  const FlowFacts& f = flow.facts;
  if (f.process.value() == 0) return;
  const SessionMatch* match = names->Session(flow.host, f.process);
  if (match == nullptr) return;
  const SessionRecord& s = match->session;
  row->set_session_id(HexId(s.id().value()));
  row->set_session_user(UserOfSession(s));
  row->set_session_address(AddressOf(s));
  if (s.login) row->set_key_fingerprint(s.login->login.key_fingerprint());
  row->set_session_kind(LoginKindName(s.session.kind()));
  constexpr std::chrono::seconds kTold{1};  // by the log, after the login
  const bool serves = f.process.value() == s.session.serving_process_id();
  const bool own = f.flow.value() == s.session.flow_id();
  const bool before = f.process == s.root() && f.start + kTold < s.began;
  row->set_forwarded_by_session(serves && !own && !before);
}

}  // namespace culprit
