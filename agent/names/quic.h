// SPDX-License-Identifier: Apache-2.0
// The ClientHello of QUIC (RFC 9000, 9001, 9369). The keys of a client's first packets follow from
// what is in them, so that whoever sees them can read them. Total on any bytes. Stage: names. Pure.
// Thread: one caller an object.
#ifndef CULPRIT_AGENT_NAMES_QUIC_H_
#define CULPRIT_AGENT_NAMES_QUIC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/names/stream_head.h"
#include "agent/names/verdict.h"

namespace culprit {

struct QuicKeys {
  std::array<std::uint8_t, 16> key{};
  std::array<std::uint8_t, 12> iv{};
  std::array<std::uint8_t, 16> header{};
};

// Versions that are read: 1, 2 and the drafts 23 to 34.
bool KnownQuicVersion(std::uint32_t version);
// Of a client's Initial packets. `connection` is the destination id of its first.
QuicKeys QuicClientKeys(std::uint32_t version, std::string_view connection);
// A long header of a known version that says Initial.
bool LooksLikeQuicInitial(std::string_view datagram);

// Puts together what the Initial packets of one client carry.
class QuicInitials {
 public:
  // kOther: nothing in it could be read with the client's keys; a later datagram may still be the
  // client's.
  Verdict Add(std::string_view datagram, ServerName& out);
  std::size_t held() const { return crypto_.held(); }
  bool has_keys() const { return has_keys_; }

 private:
  bool ReadFrames(std::string_view frames);

  StreamHead crypto_;
  QuicKeys keys_;
  bool has_keys_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_QUIC_H_
