// SPDX-License-Identifier: Apache-2.0
// What sensor and parser say to each other: batches of samples one way, replies the other, each one
// datagram in network byte order with the version in front. The sensor trusts nothing in a reply:
// the parser has read what an attacker wrote. Stage: parser. Pure. Thread: one caller an object.
// Failure: a datagram that is not exactly right is refused whole.
//
//   batch:  u16 version, then samples:
//           u64 at_ns, source[16], destination[16], u16 ports[2], u8 protocol, u8 tcp flags, u32
//           seq, u32 ack, u32 payload bytes on the wire, u16 captured, payload
//   reply:  u16 version, the report (six u64, two u32), then observations:
//           u64 at_ns, source[16], u16 port, destination[16], u16 port, u8 protocol, u8 from
//           client, u8 kind, and by kind (texts have a u8 length in front) 1 DNS:     u16 id, u8
//           flags, u8 opcode, u8 rcode, name, u16 type, u16 name bytes,
//                      u16 message bytes, u8 answers x (name, u16 type, u32 ttl, address[16],
//                      target)
//           2 server:  u8 source, name, u8 protocols x text
//           3 proxy:   u8 source, host, u16 port, u8 command
#ifndef CULPRIT_AGENT_PARSER_PARSER_WIRE_H_
#define CULPRIT_AGENT_PARSER_PARSER_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/packet.h"
#include "common/time.h"

namespace culprit {

inline constexpr std::uint16_t kParserWireVersion = 1;
inline constexpr std::size_t kMaxParserDatagram = 32'768;  // both ways
// Of one packet; what is longer is cut, as a capture would.
inline constexpr std::size_t kMaxSamplePayload = 16'384;

class SampleBatch {
 public:
  // False: no room, and the batch is as it was. One alone always has room.
  bool Add(const Packet& packet, BootTime at);
  std::string_view bytes() const { return bytes_; }
  std::size_t count() const { return count_; }
  void Clear();

 private:
  std::string bytes_;
  std::size_t count_ = 0;
};

// `sink` gets the packets in order; the payload is good during the call. False: not a batch, and
// what was right of it was told.
bool ReadSamples(std::string_view batch,
                 const std::function<void(const Packet& packet, BootTime at)>& sink);

// Cumulative over the life of one parser.
struct ParserReport {
  std::uint64_t samples = 0;
  std::uint64_t observations = 0;
  // As in the observer of names.
  std::uint64_t dns_malformed = 0, over_budget = 0, cut = 0, undecided_dropped = 0;
  std::uint32_t flows = 0, held_bytes = 0;  // as of the reply
  friend bool operator==(const ParserReport&, const ParserReport&) = default;
};

class ReplyWriter {
 public:
  ReplyWriter() { Clear(); }
  // Texts must be as agent/model/observation.h says. False: no room, and the reply is as it was.
  // One alone always has room.
  bool Add(const ObservationEvent& event);
  bool empty() const;
  // With the report put in. Good until the next call.
  std::string_view Finish(const ParserReport& report);
  void Clear();

 private:
  std::string bytes_, one_;
};

struct ParserReply {
  ParserReport report;
  std::vector<ObservationEvent> observations;
};

// Total on any bytes: every bound, enumeration and the alphabet of names is checked.
std::optional<ParserReply> ReadReply(std::string_view datagram);

}  // namespace culprit

#endif  // CULPRIT_AGENT_PARSER_PARSER_WIRE_H_
