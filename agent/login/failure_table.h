// SPDX-License-Identifier: Apache-2.0
// Failed logins in sums: a record for each minute, source address, user and method, and what an
// address has failed lately.
//
// Stage: login. Pure: time arrives with lines and Tick(). Thread: one caller. Failure: none. Who
// fails decides what the keys are, so that users of one address beyond a few, and addresses beyond
// some thousands, share a record ("*", no address).
#ifndef CULPRIT_AGENT_LOGIN_FAILURE_TABLE_H_
#define CULPRIT_AGENT_LOGIN_FAILURE_TABLE_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "agent/model/login.h"

namespace culprit {

struct FailureLimits {
  std::size_t max_records = 4'096;        // that are being counted
  std::size_t max_users_an_address = 32;  // within a minute
  std::size_t max_sources = 8'192;        // addresses whose failures are remembered
  std::chrono::seconds flush{10};         // a record that changed is told about so often
  std::chrono::seconds remember{3'600};
};

class FailureTable {
 public:
  explicit FailureTable(const FailureLimits& limits = {}) : limits_(limits) {}

  // `line` is one of the kinds that tell of a failure; `wall`: its own time, else when it was read.
  void On(const LoginLine& line, BootTime now, WallTime wall);
  // Appends the records that are due.
  void Tick(BootTime now, std::vector<LoginFailureFacts>* out);
  void Flush(std::vector<LoginFailureFacts>* out);

  // Attempts with a password, key or the like that failed from this address within the hour.
  std::uint32_t FailuresFrom(const IpAddress& address, BootTime now) const;
  std::uint64_t failures() const { return failures_; }
  std::size_t records() const { return records_.size(); }

 private:
  struct Key {
    std::int64_t minute = 0;
    IpAddress address;  // unspecified: none
    std::string method, user;
    bool invalid_user = false;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Record {
    std::uint64_t count = 0, told = 0;
    BootTime first, last, told_at;
  };
  struct Source {
    std::uint64_t count = 0;
    BootTime last;
  };
  Key KeyOf(const LoginLine& line, WallTime wall);
  void Remember(const LoginLine& line, BootTime now);
  static LoginFailureFacts Facts(const Key& key, const Record& record);

  FailureLimits limits_;
  std::map<Key, Record> records_;
  std::map<std::tuple<std::int64_t, IpAddress>, std::size_t> users_;  // of a minute's addresses
  std::unordered_map<IpAddress, Source> sources_;
  std::uint64_t failures_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_LOGIN_FAILURE_TABLE_H_
