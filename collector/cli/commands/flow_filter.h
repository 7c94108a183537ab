// SPDX-License-Identifier: Apache-2.0
// The options that choose flows, shared by `flows` and `who`.
// Stage: cli. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_FILTER_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_FILTER_H_

#include <string>
#include <vector>

#include "collector/cli/commands/session.h"
#include "culprit/v1/query.pb.h"

namespace CLI {
class App;
}  // namespace CLI

namespace culprit::cli {

struct TimeArgs {
  std::string since, until, at;
  std::string window = "5m";
};
void AddTimeOptions(CLI::App& app, TimeArgs& args);
// Empty where no option was given.
Result<v1::TimeRange> ToTimeRange(const TimeArgs& args, Session& session);

struct FlowArgs {
  TimeArgs time;
  std::string host, exe, exe_sha256, user, remote, name, protocol, direction, state, min_bytes;
  std::vector<std::string> process_ids;
  std::uint32_t pid = 0, remote_port = 0, local_port = 0;
  bool include_agent = false, include_listeners = false;
};
void AddFlowOptions(CLI::App& app, FlowArgs& args);
Result<v1::FlowFilter> ToFilter(const FlowArgs& args, Session& session);

// kInvalidArgument unless `text` has so many hexadecimal digits.
Status CheckHex(const std::string& option, const std::string& text, std::size_t digits);

// "ADDRESS", "ADDRESS:PORT", "[V6]:PORT" or CIDR into filter->remote and remote_port.
Status SetRemote(const std::string& text, v1::FlowFilter* filter);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_FLOW_FILTER_H_
