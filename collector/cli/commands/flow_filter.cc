// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/flow_filter.h"

#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/hex.h"
#include "common/net_address.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

const std::vector<std::string> kDirections = {"out", "in", "listen", "forwarded"};
const std::vector<std::string> kStates = {"attempt", "open",     "closed",      "failed",
                                          "aborted", "not_sent", "handed_over", "listening"};

}  // namespace

Status CheckHex(const std::string& option, const std::string& text, std::size_t digits) {
  if (text.size() == digits && HexDecode(text)) return Ok();
  return InvalidArgument(fmt::format("{}: expected {} hexadecimal digits, found \"{}\"", option,
                                     digits, EscapeText(text)));
}

void AddTimeOptions(CLI::App& app, TimeArgs& args) {
  auto* since = app.add_option("--since", args.since,
                               "Not before TIME: 2026-03-01T02:03:04Z, 02:03Z, 10m, now …")
                    ->type_name("TIME");
  auto* until = app.add_option("--until", args.until, "Before TIME")->type_name("TIME");
  auto* at =
      app.add_option("--at", args.at, "Around TIME, as wide as --window says")->type_name("TIME");
  at->excludes(since)->excludes(until);
  app.add_option("--window", args.window, "Of --at, before and after it")
      ->type_name("SPAN")
      ->capture_default_str()
      ->needs(at);
}

Result<v1::TimeRange> ToTimeRange(const TimeArgs& args, Session& session) {
  v1::TimeRange range;
  if (!args.since.empty()) {
    TRY(const std::int64_t from, session.TimeNs("--since", args.since));
    range.set_from_ns(from);
  }
  if (!args.until.empty()) {
    TRY(const std::int64_t to, session.TimeNs("--until", args.until));
    range.set_to_ns(to);
  }
  if (!args.at.empty()) {
    TRY(const std::int64_t at, session.TimeNs("--at", args.at));
    const auto window = ParseDuration(args.window);
    if (!window) return Error(window.error()).Context("--window");
    // Half a century is more than any evidence, and keeps the sums within 64 bits.
    const std::int64_t span =
        std::clamp<std::int64_t>(window->count(), 1, 1'500'000'000'000'000'000);
    range.set_from_ns(std::max<std::int64_t>(at - span, 1));
    range.set_to_ns(at + span);
  }
  if (range.to_ns() != 0 && range.to_ns() <= range.from_ns()) {
    return InvalidArgument("--until is not after --since: no flow can match");
  }
  return range;
}

void AddFlowOptions(CLI::App& app, FlowArgs& args) {
  AddTimeOptions(app, args.time);
  app.add_option("--host", args.host, "Hostname, instance id or agent id")->type_name("HOST");
  app.add_option("--process", args.process_ids, "Process id of 16 hex digits; may be repeated")
      ->type_name("ID");
  app.add_option("--pid", args.pid, "Pid as the host's `ps` shows it")->type_name("PID");
  app.add_option("--exe", args.exe, "Part of the executable's path")->type_name("TEXT");
  app.add_option("--sha256", args.exe_sha256, "SHA-256 of the executable")->type_name("HEX");
  app.add_option("--user", args.user, "User name or number")->type_name("USER");
  app.add_option("--remote", args.remote, "Remote address, ADDRESS:PORT or CIDR")
      ->type_name("ADDRESS");
  app.add_option("--name", args.name,
                 "Name of the remote end (DNS, TLS, HTTP) or asked of a proxy; .NAME: and below")
      ->type_name("NAME");
  app.add_option("--port", args.remote_port, "Remote port")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535));
  app.add_option("--local-port", args.local_port, "Local port")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535));
  app.add_option("--protocol", args.protocol, "tcp, udp, sctp, icmp or a number")
      ->type_name("NAME");
  app.add_option("--direction", args.direction,
                 "Who opened it: out, in; listen; or forwarded: passed through")
      ->type_name("NAME")
      ->check(CLI::IsMember(kDirections));
  app.add_option("--state", args.state, fmt::format("{}", fmt::join(kStates, ", ")))
      ->type_name("NAME")
      ->check(CLI::IsMember(kStates));
  app.add_option("--min-bytes", args.min_bytes,
                 "At least so many bytes both ways, for instance \"10 MiB\"")
      ->type_name("SIZE");
  app.add_flag("--include-agent", args.include_agent, "Show the flows of Culprit's own agent too");
  app.add_flag("--include-listeners", args.include_listeners, "Show listening sockets too");
}

Result<v1::FlowFilter> ToFilter(const FlowArgs& args, Session& session) {
  v1::FlowFilter filter;
  TRY(*filter.mutable_time(), ToTimeRange(args.time, session));
  filter.set_host(args.host);
  for (const std::string& id : args.process_ids) {
    TRY_VOID(CheckHex("--process", id, 16));
    filter.add_process_ids(id);
  }
  filter.set_pid(args.pid);
  filter.set_exe(args.exe);
  if (!args.exe_sha256.empty()) TRY_VOID(CheckHex("--sha256", args.exe_sha256, 64));
  filter.set_exe_sha256(args.exe_sha256);
  filter.set_user(args.user);
  if (!args.remote.empty()) TRY_VOID(SetRemote(args.remote, &filter));
  filter.set_name(args.name);
  if (args.remote_port != 0) filter.set_remote_port(args.remote_port);
  filter.set_local_port(args.local_port);
  filter.set_protocol(args.protocol);
  filter.set_direction(args.direction);
  filter.set_state(args.state);
  if (!args.min_bytes.empty()) {
    const auto bytes = ParseByteSize(args.min_bytes);
    if (!bytes) return Error(bytes.error()).Context("--min-bytes");
    filter.set_min_bytes(*bytes);
  }
  filter.set_include_agent(args.include_agent);
  filter.set_include_listeners(args.include_listeners || args.direction == "listen" ||
                               args.state == "listening");
  return filter;
}

Status SetRemote(const std::string& text, v1::FlowFilter* filter) {
  if (text.find('/') != std::string::npos) {
    const auto block = Cidr::Parse(text);
    if (!block) return Error(block.error());
    filter->set_remote(block->ToString());
    return Ok();
  }
  const auto endpoint = Endpoint::Parse(text);
  if (!endpoint) {
    return InvalidArgument(
        fmt::format("\"{}\" is not an address: write 192.0.2.7, 192.0.2.7:443, 2001:db8::7, "
                    "[2001:db8::7]:443 or 192.0.2.0/24",
                    EscapeText(text)));
  }
  filter->set_remote(endpoint->address.ToString());
  if (endpoint->port != 0) filter->set_remote_port(endpoint->port);
  return Ok();
}

}  // namespace culprit::cli
