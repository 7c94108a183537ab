// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sink_wire.h"

namespace culprit {

internal::v1::SinkConfig WriteSink(const SinkOptions& sink) {
  internal::v1::SinkConfig wire;
  wire.set_bucket(sink.bucket);
  wire.set_region(sink.region);
  wire.set_prefix(sink.prefix);
  wire.set_endpoint(sink.endpoint);
  wire.set_ca_path(sink.ca);
  wire.set_credentials_path(sink.credentials);
  wire.set_imds_endpoint(sink.imds_endpoint);
  wire.set_lock(sink.lock);
  wire.set_retention_days(sink.retention_days);
  wire.set_interval_ms(static_cast<std::uint64_t>(sink.interval.count()));
  wire.set_object_bytes(sink.object_bytes);
  wire.set_agent_id(std::string(sink.agent_id.AsBytes()));
  return wire;
}

SinkOptions ReadSink(const internal::v1::SinkConfig& wire) {
  SinkOptions sink;
  sink.bucket = wire.bucket();
  sink.region = wire.region();
  sink.prefix = wire.prefix();
  sink.endpoint = wire.endpoint();
  sink.ca = wire.ca_path();
  sink.credentials = wire.credentials_path();
  sink.imds_endpoint = wire.imds_endpoint();
  sink.lock = wire.lock();
  sink.retention_days = wire.retention_days();
  sink.interval = std::chrono::milliseconds(wire.interval_ms());
  sink.object_bytes = wire.object_bytes();
  if (const auto id = Uuid::FromBytes(wire.agent_id()); id) sink.agent_id = *id;
  return sink;
}

}  // namespace culprit
