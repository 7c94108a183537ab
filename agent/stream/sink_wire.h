// SPDX-License-Identifier: Apache-2.0
// The sink's options on the link between sensor and sender. Stage: stream. Pure. Thread: values.
#ifndef CULPRIT_AGENT_STREAM_SINK_WIRE_H_
#define CULPRIT_AGENT_STREAM_SINK_WIRE_H_

#include "agent/s3/sink_options.h"
#include "culprit/internal/v1/link.pb.h"

namespace culprit {

internal::v1::SinkConfig WriteSink(const SinkOptions& sink);
SinkOptions ReadSink(const internal::v1::SinkConfig& wire);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SINK_WIRE_H_
