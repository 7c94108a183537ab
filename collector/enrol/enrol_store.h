// SPDX-License-Identifier: Apache-2.0
// EnrolStore: which tokens there are, which hosts have enrolled with which key, and what was
// revoked, in a SQLite file of its own (enrol.db, synchronous=FULL).
//
// Stage: enrol (edge: a file). Thread: any; calls exclude each other. The daemon and the commands of
// culprit-collector use the file at the same time: every change is one transaction, and Refresh()
// sees what another process did. Of a token only the hash is stored.
#ifndef CULPRIT_COLLECTOR_ENROL_ENROL_STORE_H_
#define CULPRIT_COLLECTOR_ENROL_ENROL_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct TokenRecord {
  std::string hash;
  std::string note;  // what the operator calls it
  std::string host;  // only for this host id; empty = any
  std::uint32_t uses = 0, max_uses = 1;
  WallTime created, expires;
  WallTime revoked;  // 0 = it is not
};

struct EnrolledHost {
  std::string host_id;  // "i-0abc…", "machine-…"; unique
  Uuid agent_id;
  std::string name;     // in its certificate
  std::string binding;  // "aws/ACCOUNT/REGION/i-0abc…", "claimed/machine-…": likewise, as a URI
  std::string method;  // "document", "token ID"
  std::string key;     // SHA-256 of its public key, hex; another one is not welcome
  WallTime enrolled, renewed, not_after;
  WallTime revoked;  // 0 = it is not
  std::string revoked_why;
  bool may_enrol_again = false;
};

class EnrolStore {
 public:
  // Opens or creates `path`. Errors: not writable, another version.
  static Result<std::unique_ptr<EnrolStore>> Open(const std::string& path);
  virtual ~EnrolStore() = default;

  virtual Status AddToken(const TokenRecord& token) = 0;
  virtual Result<std::optional<TokenRecord>> FindToken(std::string_view hash) = 0;
  virtual Result<std::vector<TokenRecord>> Tokens() = 0;
  // `id`: the first digits of the hash. Errors: kNotFound, kInvalidArgument (several begin so).
  virtual Result<TokenRecord> RevokeToken(std::string_view id, WallTime now) = 0;

  virtual Result<std::optional<EnrolledHost>> FindHost(std::string_view host_id) = 0;
  virtual Result<std::vector<EnrolledHost>> Hosts() = 0;
  // In one transaction: one use of the token (empty = none) and the host. Errors:
  // kFailedPrecondition: the token's last use went to another just now.
  virtual Status Enrol(const EnrolledHost& host, std::string_view token_hash) = 0;
  virtual Status Renewed(const Uuid& agent_id, WallTime now, WallTime not_after) = 0;

  // `what`: host id, name or agent id of a host; or an agent id or the SHA-256 of a certificate
  // that is not known here. Returns what was found, one line a person can read. Errors:
  // kInvalidArgument, kNotFound.
  virtual Result<std::string> Revoke(const std::string& what, const std::string& why,
                                     WallTime now) = 0;
  // The host may enrol once more, with another key. Errors: kNotFound.
  virtual Result<EnrolledHost> AllowAgain(const std::string& what) = 0;

  // Takes in what other processes did; true if anything changed.
  virtual Result<bool> Refresh() = 0;
  // Why a client with this identity is not welcome; empty = it is. From memory, as of the last
  // change or Refresh(). `key`, `certificate`: SHA-256s, hex.
  virtual std::string WhyNotWelcome(const Uuid& agent_id, std::string_view key,
                                    std::string_view certificate) const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_ENROL_STORE_H_
