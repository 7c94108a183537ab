// SPDX-License-Identifier: Apache-2.0
#include "collector/model/stamp_wire.h"

#include <algorithm>

#include "culprit/internal/v1/store.pb.h"

namespace culprit {

std::string EncodeStamp(const CollectorStamp& stamp) {
  internal::v1::Stamp wire;
  wire.set_received_wall_ns(ToNs(stamp.received));
  wire.set_agent_id(std::string(stamp.agent_id.AsBytes()));
  wire.set_agent_name(stamp.agent_name);
  wire.set_peer(stamp.peer);
  wire.set_certificate_sha256(std::string(AsBytes(stamp.certificate_sha256)));
  wire.set_sequence(static_cast<internal::v1::SequenceState>(stamp.sequence));
  wire.set_missing_from_seq(stamp.missing_from_seq);
  wire.set_missing_to_seq(stamp.missing_to_seq);
  wire.set_skew_ns(stamp.skew_ns);
  wire.set_stream_reason(stamp.stream_reason);
  return wire.SerializeAsString();
}

Result<CollectorStamp> DecodeStamp(std::string_view bytes) {
  internal::v1::Stamp wire;
  if (!wire.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return DataLoss("not a stamp");
  }
  CollectorStamp stamp;
  stamp.received = WallTimeFromNs(wire.received_wall_ns());
  TRY(stamp.agent_id, Uuid::FromBytes(wire.agent_id()));
  stamp.agent_name = wire.agent_name();
  stamp.peer = wire.peer();
  if (wire.certificate_sha256().size() != stamp.certificate_sha256.size()) {
    return DataLoss("stamp's certificate hash is not 32 bytes");
  }
  std::copy(wire.certificate_sha256().begin(), wire.certificate_sha256().end(),
            stamp.certificate_sha256.begin());
  if (wire.sequence() < internal::v1::SEQUENCE_STATE_IN_ORDER ||
      wire.sequence() > internal::v1::SEQUENCE_STATE_ROLLBACK) {
    return DataLoss("stamp without a sequence state");
  }
  stamp.sequence = static_cast<SequenceState>(wire.sequence());
  stamp.missing_from_seq = wire.missing_from_seq();
  stamp.missing_to_seq = wire.missing_to_seq();
  stamp.skew_ns = wire.skew_ns();
  stamp.stream_reason = wire.stream_reason();
  return stamp;
}

}  // namespace culprit
