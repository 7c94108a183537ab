// SPDX-License-Identifier: Apache-2.0
#include "agent/model/wire_login.h"

namespace culprit {
namespace {

// Printable ASCII stays, all else becomes \xNN, so that a collector takes it.
std::string Text(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
  return out;
}

std::string AddressBytes(const IpAddress& address) {
  const std::string_view all = address.AsBytes();
  return std::string(address.IsV4() ? all.substr(12) : all);
}

void Write(const LoginFacts& facts, v1::Login& out) {
  out.set_session_id(facts.session.value());
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_logged_wall_ns(facts.logged_wall_ns);
  out.set_kind(static_cast<v1::LoginKind>(facts.kind));
  out.set_user(Text(facts.user));
  out.set_method(Text(facts.method));
  if (facts.from) {
    out.set_address(AddressBytes(facts.from->address));
    out.set_port(facts.from->port);
  }
  out.set_key_type(Text(facts.key_type));
  out.set_key_fingerprint(Text(facts.key_fingerprint));
  out.set_key_found_at(Text(facts.key_found_at));
  out.set_certificate_id(Text(facts.certificate_id));
  out.set_certificate_serial(facts.certificate_serial);
  out.set_ca_fingerprint(Text(facts.ca_fingerprint));
  out.set_principal(Text(facts.principal));
  out.set_pid(facts.pid);
  out.set_failures_before(facts.failures_before);
}

void Write(const LoginFailureFacts& facts, v1::LoginFailure& out) {
  out.set_minute_wall_ns(facts.minute_wall_ns);
  if (facts.address) out.set_address(AddressBytes(*facts.address));
  out.set_user(Text(facts.user));
  out.set_invalid_user(facts.invalid_user);
  out.set_method(Text(facts.method));
  out.set_count(facts.count);
  out.set_last_boot_ns(ToNs(facts.last));
}

void Write(const SessionFacts& facts, v1::Session& out) {
  out.set_session_id(facts.id.value());
  out.set_kind(static_cast<v1::LoginKind>(facts.kind));
  out.set_root_process_id(facts.root.value());
  out.set_serving_process_id(facts.serving.value());
  out.set_flow_id(facts.flow.value());
  out.set_audit_session(facts.audit_session);
  out.set_login_uid(facts.login_uid.value());
  out.set_began_boot_ns(ToNs(facts.began));
  out.set_ended_boot_ns(ToNs(facts.ended));
  for (const SessionLinkFacts& link : facts.links) {
    v1::SessionLink& to = *out.add_links();
    to.set_kind(static_cast<v1::SessionLinkKind>(link.kind));
    to.set_confidence(static_cast<v1::LinkConfidence>(link.confidence));
    to.set_reason(Text(link.reason));
  }
  for (const LoginUidChangeFacts& change : facts.changes) {
    v1::LoginUidChange& to = *out.add_changes();
    to.set_process_id(change.process.value());
    to.set_at_boot_ns(ToNs(change.at));
    to.set_from_login_uid(change.from.value());
    to.set_to_login_uid(change.to.value());
    to.set_from_audit_session(change.from_session);
    to.set_to_audit_session(change.to_session);
  }
  out.set_user(Text(facts.user));
  if (!facts.from) return;
  out.set_address(AddressBytes(facts.from->address));
  out.set_port(facts.from->port);
}

}  // namespace

void WriteLogins(const RecordBatch& batch, v1::EvidenceBatch* out) {
  for (const LoginFacts& facts : batch.logins) Write(facts, *out->add_logins());
  for (const LoginFailureFacts& facts : batch.login_failures) {
    Write(facts, *out->add_login_failures());
  }
  for (const SessionFacts& facts : batch.sessions) Write(facts, *out->add_sessions());
}

}  // namespace culprit
