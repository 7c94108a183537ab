// SPDX-License-Identifier: Apache-2.0
// A login with its session, as an agent tells of them.
#ifndef CULPRIT_TESTS_COLLECTOR_STORE_LOGIN_BUILDER_H_
#define CULPRIT_TESTS_COLLECTOR_STORE_LOGIN_BUILDER_H_

#include <string>

#include "common/net_address.h"
#include "culprit/v1/evidence.pb.h"
#include "tests/support/record_builder.h"

namespace culprit::testing {

inline constexpr const char* kLoginKey = "SHA256:nu5a7kptJrjd0fdW5quHqRhI1Sf89RDa00oyBl1QTR0";

struct LoginSpec {
  std::uint64_t session = 7;  // also its root process
  double at = 3, ended = 0;   // ended: 0 = goes on
  std::string user = "alice", address = "203.0.113.5", key = kLoginKey;
  std::uint32_t audit = 11;
  std::uint64_t serving = 9, flow = 77;
};

inline void AddLogin(v1::EvidenceBatch* batch, const LoginSpec& spec) {
  const IpAddress address = IpAddress::Parse(spec.address).value();
  const std::string bytes(address.AsBytes().substr(address.IsV4() ? 12 : 0));
  v1::Login& login = *batch->add_logins();
  login.set_session_id(spec.session);
  login.set_at_boot_ns(BootAt(spec.at));
  login.set_kind(v1::LOGIN_KIND_SSH);
  login.set_user(spec.user);
  login.set_method(spec.key.empty() ? "password" : "publickey");
  login.set_address(bytes);
  login.set_port(50'000);
  login.set_key_fingerprint(spec.key);
  login.set_key_type(spec.key.empty() ? "" : "ED25519");
  login.set_failures_before(2);
  v1::Session& session = *batch->add_sessions();
  session.set_session_id(spec.session);
  session.set_kind(v1::LOGIN_KIND_SSH);
  session.set_root_process_id(spec.session);
  session.set_serving_process_id(spec.serving);
  session.set_flow_id(spec.flow);
  session.set_audit_session(spec.audit);
  session.set_login_uid(1000);
  session.set_began_boot_ns(BootAt(spec.at));
  session.set_ended_boot_ns(spec.ended == 0 ? 0 : BootAt(spec.ended));
  session.set_user(spec.user);
  session.set_address(bytes);
  session.set_port(50'000);
  v1::SessionLink& link = *session.add_links();
  link.set_kind(v1::SESSION_LINK_KIND_PROCESS);
  link.set_confidence(v1::LINK_CONFIDENCE_MEDIUM);
  link.set_reason("the line's pid is that of an sshd");
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_STORE_LOGIN_BUILDER_H_
