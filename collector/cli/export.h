// SPDX-License-Identifier: Apache-2.0
// Flows in the forms that other programs read: Zeek's conn.log, CSV, JSON lines, VPC flow logs,
// OCSF Network Activity. An export is ExportHeader, the text of each flow, ExportFooter; a log
// without its footer was cut off.
//
// Stage: cli. Pure. Thread: any. Text of hosts is escaped as each form has it: no byte of it ends a
// line or a field, or steers a terminal.
#ifndef CULPRIT_COLLECTOR_CLI_EXPORT_H_
#define CULPRIT_COLLECTOR_CLI_EXPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "culprit/v1/query.pb.h"

namespace culprit::cli {

enum class ExportForm : std::uint8_t { kZeek, kCsv, kJson, kVpcFlow, kOcsf };

// "zeek", "csv", "json", "vpcflow", "ocsf", in the order of the values.
const std::vector<std::string>& ExportFormNames();
// `name` is one of them.
ExportForm ExportFormOf(const std::string& name);

struct ExportContext {
  std::map<std::string, std::string> accounts;  // AWS account by agent id; of VPC flow logs
};

std::string ExportHeader(ExportForm form, std::int64_t now_ns);
// No line, one, or two. Empty where the form has no place for such a row: a listening socket is no
// connection of Zeek's and no flow of a VPC.
std::string ExportFlow(ExportForm form, const v1::FlowRow& flow, const ExportContext& context);
std::string ExportFooter(ExportForm form, std::int64_t now_ns);

// The forms, for export.cc.
//
// conn.log of Zeek: #fields as of Zeek 5, then community_id and our own culprit_* columns.
std::string ZeekHeader(std::int64_t now_ns);
std::string ZeekLine(const v1::FlowRow& flow);
std::string ZeekFooter(std::int64_t now_ns);
// Space-separated, a line for each direction.
std::string VpcFlowHeader();
std::string VpcFlowLines(const v1::FlowRow& flow, const ExportContext& context);
// RFC 4180: every field of v1.FlowRow in the order of its definition.
std::string CsvHeader();
std::string CsvLine(const v1::FlowRow& flow);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_EXPORT_H_
