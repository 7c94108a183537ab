// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/export.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>

#include "collector/cli/json.h"

namespace culprit::cli {

const std::vector<std::string>& ExportFormNames() {
  static const std::vector<std::string> names = {"zeek", "csv", "json", "vpcflow"};
  return names;
}

ExportForm ExportFormOf(const std::string& name) {
  const auto& names = ExportFormNames();
  return static_cast<ExportForm>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::string ExportHeader(ExportForm form, std::int64_t now_ns) {
  switch (form) {
    case ExportForm::kZeek:
      return ZeekHeader(now_ns);
    case ExportForm::kCsv:
      return CsvHeader();
    case ExportForm::kVpcFlow:
      return VpcFlowHeader();
    case ExportForm::kJson:
      break;
  }
  return "";
}

std::string ExportFlow(ExportForm form, const v1::FlowRow& flow, const ExportContext& context) {
  const bool connection = flow.direction() != "listen";
  switch (form) {
    case ExportForm::kZeek:
      return connection ? ZeekLine(flow) : "";
    case ExportForm::kCsv:
      return CsvLine(flow);
    case ExportForm::kVpcFlow:
      return connection ? VpcFlowLines(flow, context) : "";
    case ExportForm::kJson:
      break;
  }
  return ToJson(flow) + "\n";
}

std::string ExportFooter(ExportForm form, std::int64_t now_ns) {
  return form == ExportForm::kZeek ? ZeekFooter(now_ns) : "";
}

int ProtocolNumber(const std::string& protocol) {
  const std::pair<const char*, int> named[] = {{"tcp", IPPROTO_TCP},
                                               {"udp", IPPROTO_UDP},
                                               {"icmp", IPPROTO_ICMP},
                                               {"icmp6", IPPROTO_ICMPV6},
                                               {"sctp", IPPROTO_SCTP}};
  for (const auto& [name, number] : named) {
    if (protocol == name) return number;
  }
  std::uint8_t number = 0;
  const char* end = protocol.data() + protocol.size();
  const auto [at, error] = std::from_chars(protocol.data(), end, number);
  return error == std::errc() && at == end ? number : -1;
}

}  // namespace culprit::cli
