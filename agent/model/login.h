// SPDX-License-Identifier: Apache-2.0
// Logins: what a log tells (LoginLine), and the records that are made of it and of the kernel's
// events. Stage: model. Thread: values.
#ifndef CULPRIT_AGENT_MODEL_LOGIN_H_
#define CULPRIT_AGENT_MODEL_LOGIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"

namespace culprit {

// What one message says. Text comes from whoever connected: raw bytes, bounded by the line.
enum class LoginLineKind : std::uint8_t {
  kOther = 0,
  kAccepted,      // an authentication that opened a session
  kFailed,        // one that did not
  kInvalidUser,   // the user does not exist; an attempt may follow
  kClosed,        // the connection ended before authentication
  kTooMany,       // sshd cut it off
  kKeyFound,      // which file and line a key stands in
  kKeyHandedOut,  // EC2 Instance Connect gave sshd a key, for a principal
  kConsole,       // login(1) let somebody in
};

struct LoginLine {
  LoginLineKind kind = LoginLineKind::kOther;
  std::optional<WallTime> at;  // as the line says
  std::string program;
  std::uint32_t pid = 0;    // of who logged it; 0 = not in the line
  bool vouched = false;     // the journal has it from the kernel that root wrote it, with that pid
  std::uint32_t times = 1;  // "message repeated N times"
  std::string user;
  bool invalid_user = false;
  std::string method;
  std::optional<Endpoint> from;
  bool ambiguous = false;  // can be read in more than one way: `from` is unset
  std::string key_type, key_fingerprint, key_found_at;
  std::string certificate_id;
  std::uint64_t certificate_serial = 0;
  std::string ca_fingerprint;
  std::string principal;
};

// Values as in culprit.v1.LoginKind.
enum class LoginKind : std::uint8_t {
  kNone = 0,
  kSsh = 1,
  kConsole = 2,
  kSsm = 3,
  kInstanceConnect = 4,
  kOther = 5,
};

// As culprit.v1.Login.
struct LoginFacts {
  ProcessId session;
  BootTime at;
  std::int64_t logged_wall_ns = 0;
  LoginKind kind = LoginKind::kNone;
  std::string user, method;
  std::optional<Endpoint> from;
  std::string key_type, key_fingerprint, key_found_at;
  std::string certificate_id;
  std::uint64_t certificate_serial = 0;
  std::string ca_fingerprint, principal;
  std::uint32_t pid = 0;
  std::uint32_t failures_before = 0;
  friend bool operator==(const LoginFacts&, const LoginFacts&) = default;
};

// As culprit.v1.LoginFailure.
struct LoginFailureFacts {
  std::int64_t minute_wall_ns = 0;
  std::optional<IpAddress> address;
  std::string user;
  bool invalid_user = false;
  std::string method;
  std::uint64_t count = 0;
  BootTime last;
  friend bool operator==(const LoginFailureFacts&, const LoginFailureFacts&) = default;
};

// Values as in culprit.v1.LinkConfidence and SessionLinkKind.
enum class LinkConfidence : std::uint8_t { kNone = 0, kLow = 1, kMedium = 2, kHigh = 3 };
enum class SessionLinkKind : std::uint8_t { kNone = 0, kFlow = 1, kProcess = 2, kAudit = 3 };

struct SessionLinkFacts {
  SessionLinkKind kind = SessionLinkKind::kNone;
  LinkConfidence confidence = LinkConfidence::kNone;
  std::string reason;
  friend bool operator==(const SessionLinkFacts&, const SessionLinkFacts&) = default;
};

struct LoginUidChangeFacts {
  ProcessId process;
  BootTime at;
  Uid from = kNoUid, to = kNoUid;
  std::uint32_t from_session = kNoSession, to_session = kNoSession;
  friend bool operator==(const LoginUidChangeFacts&, const LoginUidChangeFacts&) = default;
};

// As culprit.v1.Session: a whole state, which replaces the one before.
struct SessionFacts {
  ProcessId id, root, serving;
  LoginKind kind = LoginKind::kNone;
  FlowId flow;
  std::optional<Endpoint> from;  // the client's end of that flow
  std::uint32_t audit_session = kNoSession;
  Uid login_uid = kNoUid;
  BootTime began, ended;
  std::vector<SessionLinkFacts> links;
  std::vector<LoginUidChangeFacts> changes;
  std::string user;
  friend bool operator==(const SessionFacts&, const SessionFacts&) = default;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_LOGIN_H_
