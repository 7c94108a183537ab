// SPDX-License-Identifier: Apache-2.0
// `culprit flows --export`: all flows that match, page by page, into a file or the standard output.
// Stage: cli (edge: files). Thread: one caller. Memory: one page.
// Failure: what was written stays, and the error says that it is not all.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_EXPORT_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_EXPORT_H_

#include <functional>
#include <string>

#include "collector/cli/commands/session.h"

namespace culprit::cli {

struct ExportArgs {
  std::string form;  // empty = none is asked for
  std::string file;  // empty or "-" = the standard output
};

// The exit code. `limit`: 0 = all.
int RunExport(Session& session, Client& client, const ExportArgs& args,
              const v1::ListFlowsRequest& request, std::uint32_t limit);

// Calls `visit` for each page until `limit` rows were there (0 = all of them) or it fails.
// Returns whether there are more.
Result<bool> ForEachPage(Client& client, v1::ListFlowsRequest request, std::uint32_t limit,
                         const std::function<Status(v1::ListFlowsResponse&)>& visit);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_EXPORT_H_
