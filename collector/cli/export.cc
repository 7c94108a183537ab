// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/export.h"

#include <algorithm>

#include "collector/cli/json.h"
#include "collector/format/ocsf.h"

namespace culprit::cli {

const std::vector<std::string>& ExportFormNames() {
  static const std::vector<std::string> names = {"zeek", "csv", "json", "vpcflow", "ocsf"};
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
    case ExportForm::kOcsf:
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
    case ExportForm::kOcsf:
      return connection ? OcsfFlow(flow) + "\n" : "";
    case ExportForm::kJson:
      break;
  }
  return ToJson(flow) + "\n";
}

std::string ExportFooter(ExportForm form, std::int64_t now_ns) {
  return form == ExportForm::kZeek ? ZeekFooter(now_ns) : "";
}

}  // namespace culprit::cli
