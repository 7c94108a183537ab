// SPDX-License-Identifier: Apache-2.0
// Puts the spool's frames into a bucket, where there is no collector: an object a lane and
// interval, the next once the one before is stored. What is stored is acknowledged to the sensor.
//
// Stage: stream (edge: network), in the sender process. Thread: as of an Uploader. Memory: one
// object and one frame a lane. Failure: tried again with growing delays, as long as it takes; what
// is wrong shows in the agent's status.
#ifndef CULPRIT_AGENT_STREAM_SINK_UPLOADER_H_
#define CULPRIT_AGENT_STREAM_SINK_UPLOADER_H_

#include <memory>

#include "agent/s3/key_source.h"
#include "agent/s3/s3_client.h"
#include "agent/stream/uploader.h"

namespace culprit {

std::unique_ptr<Uploader> MakeSinkUploader(const internal::v1::SinkConfig& config, KeySource keys,
                                           std::unique_ptr<S3Client> client, SensorPort* port);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SINK_UPLOADER_H_
