// SPDX-License-Identifier: Apache-2.0
// Ingest: takes frames from authenticated agents, validates, stamps and journals them, and
// acknowledges what is durable.
//
// Stage: ingest (edge: network; validate.h, sequence.h and evidence rules are its pure parts).
// Thread: gRPC calls the service on its own threads, two a connected agent; acks follow from the
// journal's commit thread. Hostile input is counted by reason (stats()) and ends at most the
// connection that it came on.
#ifndef CULPRIT_COLLECTOR_INGEST_INGEST_H_
#define CULPRIT_COLLECTOR_INGEST_INGEST_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "collector/journal/journal.h"
#include "collector/model/agent_control.h"
#include "collector/model/ingest_stats.h"
#include "collector/pki/peer_identity.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

struct IngestOptions {
  std::string collector_version;
  std::uint32_t max_inflight_frames = 256;         // a connection, accepted but not yet durable
  std::uint64_t max_inflight_bytes = 16ULL << 20;  // likewise
  std::uint64_t max_rate = 0;  // bytes a second of an agent, over all its connections; 0 = no limit
  std::chrono::milliseconds answer_timeout{30'000};  // of an agent, to each part of a question
  // A snapshot that an agent began by itself: its form has been checked. On the connection's
  // thread; empty: nobody wants to know.
  std::function<void(const PeerIdentity&, const v1::SnapshotOffer&)> on_offer;
  // True for a certificate that is no longer welcome; called at every connect.
  std::function<bool(const PeerIdentity&)> is_revoked;
};

struct ConnectedAgent {
  PeerIdentity peer;
  std::string key_sha256;  // of its certificate's public key, hex
};

class Ingest {
 public:
  // Takes the dedup state from journal->lane_heads(). Borrows the journal, which must outlive it.
  static std::unique_ptr<Ingest> Create(const IngestOptions& options, Journal* journal);
  virtual ~Ingest() = default;

  // For StartTlsServer; owned by this.
  virtual grpc::Service* service() = 0;
  virtual IngestStats stats() const = 0;
  // Questions to agents that are connected. Owned by this.
  virtual AgentControl& control() = 0;
  // Ends the connections of agents that are not welcome any more. `why` says so; empty = it may
  // stay.
  virtual void EndUnwelcome(const std::function<std::string(const ConnectedAgent&)>& why) = 0;
  // Asks every agent to come back later, the first one then and each other one a little after the
  // one before, and refuses new ones; call before TlsServer::Stop.
  virtual void Drain(std::chrono::milliseconds reconnect_after) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_INGEST_H_
