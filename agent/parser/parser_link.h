// SPDX-License-Identifier: Apache-2.0
// ParserLink: the sensor's side of the boundary to the parser process, which alone reads payload.
//
// The parser (program culprit-agent-parser, own user, no capabilities, a filter of system calls)
// gets one end of a SOCK_SEQPACKET socketpair as descriptor 3. Samples go to it in batches, and
// what their payload says comes back, checked. It may crash, hang or lie: it is ended and restarted
// with a growing delay, and all that it costs is names. Every sample that is offered is processed
// or counted as dropped.
//
// Stage: parser (edge: processes). Thread: the sensor's.
#ifndef CULPRIT_AGENT_PARSER_PARSER_LINK_H_
#define CULPRIT_AGENT_PARSER_PARSER_LINK_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/model/event.h"
#include "agent/model/packet.h"
#include "agent/parser/parser_wire.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct ParserOptions {
  std::string program;          // path of culprit-agent-parser
  std::string user = "nobody";  // the parser's user when the sensor is root
  // A parser that answers nothing for so long is ended.
  std::chrono::milliseconds patience = std::chrono::seconds(10);
};

// Sums over the life of the link, but for `report`.
struct ParserStatus {
  int pid = -1;
  std::string last_error;  // how the last parser ended; empty: none has
  std::uint64_t restarts = 0;
  std::uint64_t offered = 0;    // that a name could be in
  std::uint64_t processed = 0;  // of these, by a parser
  std::uint64_t dropped = 0;    // no parser, no room, or lost with a parser
  std::uint64_t observations = 0;
  std::uint64_t bad_messages = 0;  // refused; each ended a parser
  ParserReport report;             // of the parser that runs
};

class ParserLink {
 public:
  using Sink = std::function<void(ObservationEvent)>;

  // Starts the parser. Errors: program missing.
  static Result<std::unique_ptr<ParserLink>> Start(const ParserOptions& options);
  virtual ~ParserLink() = default;

  // Never blocks. Of the packet the addresses, ports, protocol, TCP header and payload count, and
  // the payload is not looked at. Packets that no name can be in are passed over: no TCP or UDP,
  // without payload and without a beginning or end of a connection, later fragments.
  virtual void Offer(const Packet& packet, BootTime at) = 0;
  // Readable when Pump() has something to do.
  virtual int poll_fd() const = 0;
  // Never blocks: sends what waited long enough, tells what came back, reaps and restarts the
  // parser.
  virtual void Pump(const Sink& sink) = 0;
  virtual ParserStatus status() const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_PARSER_PARSER_LINK_H_
