// SPDX-License-Identifier: Apache-2.0
// Questions to the EC2 instance metadata service (IMDSv2), with a token that is good for a while.
// Stage: imds (edge: one HTTP endpoint), beside the chain: the sensor asks who the host is, the
// sender for its role. Thread: values. Failure: errors say what was asked for;
// kNotFound: there is none; kUnauthenticated: the token has run out, open another session.
#ifndef CULPRIT_AGENT_IMDS_IMDS_H_
#define CULPRIT_AGENT_IMDS_IMDS_H_

#include <chrono>
#include <string>
#include <utility>

#include "common/result.h"

namespace culprit {

class ImdsSession {
 public:
  // `timeout`: of each exchange; `good_for`: of the token, at most six hours.
  static Result<ImdsSession> Open(const std::string& endpoint, std::chrono::milliseconds timeout,
                                  std::chrono::seconds good_for);
  Result<std::string> Get(const std::string& target, const std::string& what) const;

 private:
  ImdsSession(std::string endpoint, std::chrono::milliseconds timeout, std::string token)
      : endpoint_(std::move(endpoint)), timeout_(timeout), token_(std::move(token)) {}
  std::string endpoint_;
  std::chrono::milliseconds timeout_;
  std::string token_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_IMDS_IMDS_H_
