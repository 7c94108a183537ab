// SPDX-License-Identifier: Apache-2.0
// Logins and sessions as the index has them. Stage: store. Thread: values.
#ifndef CULPRIT_COLLECTOR_STORE_LOGIN_RECORD_H_
#define CULPRIT_COLLECTOR_STORE_LOGIN_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"
#include "culprit/v1/login.pb.h"

namespace culprit {

struct LoginRecord {
  std::uint32_t host = 0;
  WallTime at;
  v1::Login login;
};

// Text is the agent's claim.
struct SessionRecord {
  std::uint32_t host = 0;
  WallTime boot;          // when the host booted, by its own clock
  WallTime began, ended;  // ended: epoch = goes on as far as is known
  v1::Session session;
  std::optional<LoginRecord> login;  // none: no line of a log told about it

  ProcessId id() const { return ProcessId{session.session_id()}; }
  ProcessId root() const { return ProcessId{session.root_process_id()}; }
};

// Failed logins of one kind within a minute.
struct LoginFailureRecord {
  std::uint32_t host = 0;
  Uuid run;  // of the agent: the count is cumulative within it
  WallTime minute;
  std::optional<IpAddress> address;
  std::string user, method;
  bool invalid_user = false;
  std::uint64_t count = 0;
};

// All given conditions must hold.
struct LoginPredicate {
  std::optional<std::uint32_t> host;
  std::optional<WallTime> from, to;  // began in [from, to)
  std::string user, key_fingerprint;
  std::optional<Cidr> address;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_LOGIN_RECORD_H_
