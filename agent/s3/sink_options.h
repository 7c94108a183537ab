// SPDX-License-Identifier: Apache-2.0
// The sink: a bucket that evidence is put into where there is no collector. Where it is, what is
// asked of it, and what an object in it is called.
//
// Stage: s3, beside the chain. Pure. Thread: values.
#ifndef CULPRIT_AGENT_S3_SINK_OPTIONS_H_
#define CULPRIT_AGENT_S3_SINK_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/result.h"

namespace culprit {

struct SinkOptions {
  std::string bucket;  // empty: no sink
  std::string region;
  std::string prefix = "culprit";  // of the objects' names; empty: none
  std::string endpoint;            // "https://HOST[:PORT]"; empty: S3 in `region`
  std::string ca;  // PEM file of what signed the endpoint's certificate; empty: the system's
  std::string credentials;          // file of keys; empty: the instance's role
  std::string lock = "governance";  // governance | compliance | bucket: its default
  std::uint32_t retention_days = 90;
  std::chrono::milliseconds interval = std::chrono::seconds(60);  // evidence waits at most so long
  std::uint64_t object_bytes = 1ULL << 20;                        // or until it is so much
  std::string imds_endpoint;  // filled in: where the role is asked for
  Uuid agent_id;              // filled in: whose evidence it is

  bool enabled() const { return !bucket.empty(); }
};

// Errors: the first wrong key, "sink.KEY: expected …".
Status ValidateSink(const SinkOptions& options);

// "s3://BUCKET/PREFIX", for a person.
std::string SinkName(const SinkOptions& options);
// Where a bucket's objects are, without the last "/".
std::string BucketUrl(const SinkOptions& options);

// A segment's name below the bucket, unreserved characters of a URL alone. It sorts in the order of
// the stream, holds the stream's and the agent's random ids, and the hash of its last frame: the
// same name is the same bytes.
struct ObjectName {
  Uuid agent_id, stream_id;
  std::string_view lane;
  std::uint64_t first_seq = 0, last_seq = 0;
  std::string_view last_hash_hex;
};
std::string ObjectKey(const SinkOptions& options, const ObjectName& name);

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_SINK_OPTIONS_H_
