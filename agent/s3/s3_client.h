// SPDX-License-Identifier: Apache-2.0
// Puts objects into the sink's bucket, and can do nothing else: signed by libcurl (SigV4), once
// (If-None-Match), with hashes of what is sent, and locked against deletion.
//
// Stage: s3 (edge: network). Thread: Put() on one; `cancel` is looked at while it runs. Failure:
// values; nothing is tried again here. Bounded: 16 KiB of answer, two minutes.
#ifndef CULPRIT_AGENT_S3_S3_CLIENT_H_
#define CULPRIT_AGENT_S3_S3_CLIENT_H_

#include <atomic>
#include <memory>
#include <string>

#include "agent/s3/aws_keys.h"
#include "agent/s3/s3_answer.h"
#include "agent/s3/sink_options.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

class S3Client {
 public:
  // `ca_pem`: what the endpoint's certificate must be signed by; empty: what the system trusts.
  // Errors: no libcurl that can sign.
  static Result<std::unique_ptr<S3Client>> Create(const SinkOptions& sink, std::string ca_pem,
                                                  const std::string& agent_version);
  virtual ~S3Client() = default;
  // Until when an object is locked is counted from `now`. Errors: no answer, and why.
  virtual Result<S3Answer> Put(const std::string& key, const std::string& body, bool once,
                               const AwsKeys& keys, WallTime now,
                               const std::atomic<bool>& cancel) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_S3_CLIENT_H_
