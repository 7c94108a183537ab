// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/join_view.h"

#include <spdlog/fmt/fmt.h>

#include "collector/cli/json.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::string ProtocolText(std::uint8_t protocol) {
  switch (protocol) {
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 1:
      return "icmp";
    default:
      return std::to_string(protocol);
  }
}

std::string ProcessText(const JoinedRow& joined) {
  if (joined.flows.empty()) return "(no flow of a host fits)";
  const v1::FlowRow& flow = joined.flows[0];
  std::string text = flow.command_line().empty() ? flow.comm() : flow.command_line();
  if (text.empty()) text = "(no process)";
  if (!joined.exact) text = "[port of ours differs: NAT?] " + text;
  return text;
}

}  // namespace

std::string RenderJoined(const std::vector<JoinedRow>& rows, const View& view) {
  Table table({{"START"},
               {"SOURCE"},
               {"DESTINATION"},
               {"PROTO", false, 0, 3},
               {"BYTES", true},
               {"ACTION", false, 0, 1},
               {"HOST", false, 6},
               {"PID", true},
               {"USER", false, 6, 2},
               {"PROCESS ID", false, 0, 4},
               {"COMMAND", false, 12}});
  for (const JoinedRow& joined : rows) {
    const VpcFlowRow& row = joined.row;
    const v1::FlowRow none;
    const v1::FlowRow& flow = joined.flows.empty() ? none : joined.flows[0];
    table.Add({{FormatTime(row.start_s * kNsPerSecond, view.zone)},
               {row.source.ToString()},
               {row.destination.ToString()},
               {ProtocolText(row.protocol)},
               {FormatByteSize(row.bytes)},
               {row.rejected ? "REJECT" : "ACCEPT", row.rejected ? Style::kWarning : Style::kPlain},
               {flow.host().empty() ? "-" : flow.host()},
               {flow.pid() == 0 ? "-" : std::to_string(flow.pid())},
               {flow.user().empty() ? "-" : flow.user()},
               {flow.process_id().empty() ? "-" : flow.process_id()},
               {ProcessText(joined)}});
  }
  return table.Render(view);
}

std::string JoinedJson(const JoinedRow& joined) {
  const VpcFlowRow& row = joined.row;
  std::string flows;
  for (const v1::FlowRow& flow : joined.flows) {
    flows += (flows.empty() ? "" : ",") + ToJson(flow);
  }
  return fmt::format(
      R"({{"row":{{"account":{},"interface":{},"instance":{},"source":{},"source_port":{},"destination":{},)"
      R"("destination_port":{},"protocol":{},"packets":{},"bytes":{},"start":{},"end":{},"action":{}}},)"
      R"("exact":{},"flows":[{}]}})"
      "\n",
      JsonString(row.account), JsonString(row.interface), JsonString(row.instance),
      JsonString(row.source.address.ToString()), row.source.port,
      JsonString(row.destination.address.ToString()), row.destination.port, row.protocol,
      row.packets, row.bytes, JsonString(FormatRfc3339(row.start_s * kNsPerSecond)),
      JsonString(FormatRfc3339(row.end_s * kNsPerSecond)),
      JsonString(row.rejected ? "REJECT" : "ACCEPT"), joined.exact, flows);
}

}  // namespace culprit::cli
