// SPDX-License-Identifier: Apache-2.0
// As a VPC flow log of version 5 in a custom format has it. It counts L3 bytes, as our wire bytes
// are. A host does not know the interface id that its VPC has for it.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/cli/export.h"
#include "collector/format/protocol_number.h"

namespace culprit::cli {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

struct End {
  const std::string& address;
  std::uint32_t port;
};

// The fields are separated by spaces: an address has none, whatever a collector says.
std::string Word(const std::string& text) {
  const bool plain =
      std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; }) && !text.empty();
  return plain ? text : "-";
}

std::string Line(const v1::FlowRow& flow, const std::string& account, const End& from,
                 const End& to, std::uint64_t packets, std::uint64_t bytes,
                 std::string_view direction) {
  const int protocol = ProtocolNumber(flow.protocol());
  const bool denied = flow.error() == "EPERM" || flow.error() == "EACCES";
  return fmt::format("5 {} - {} {} {} {} {} {} {} {} {} {} OK {}\n", account, Word(from.address),
                     Word(to.address), from.port, to.port,
                     protocol < 0 ? "-" : std::to_string(protocol), packets, bytes,
                     flow.start_ns() / kNsPerSecond, flow.last_ns() / kNsPerSecond,
                     denied ? "REJECT" : "ACCEPT", direction);
}

}  // namespace

std::string VpcFlowHeader() {
  return "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
         "start end action log-status flow-direction\n";
}

std::string VpcFlowLines(const v1::FlowRow& flow, const ExportContext& context) {
  const auto known = context.accounts.find(flow.agent_id());
  const std::string account = known == context.accounts.end() ? "-" : Word(known->second);
  const End local{flow.local(), flow.local_port()}, remote{flow.remote(), flow.remote_port()};
  // What passes through comes in by one interface and leaves by another: it has neither direction.
  const bool forwarded = flow.direction() == "forwarded";
  return Line(flow, account, local, remote, flow.tx_packets(), flow.tx_wire_bytes(),
              forwarded ? "-" : "egress") +
         Line(flow, account, remote, local, flow.rx_packets(), flow.rx_wire_bytes(),
              forwarded ? "-" : "ingress");
}

}  // namespace culprit::cli
