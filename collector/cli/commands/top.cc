// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Redraws every second until interrupted; where stdout is not a terminal, it prints one table "
    "after the other.\n"
    "With --json each line is one view: {\"rows\", \"from_time\", \"to_time\"}.\n"
    "\n"
    "Examples:\n"
    "  culprit top\n"
    "  culprit top --host web-1 --order-by attempts --window 5m\n"
    "  culprit top --once --json | jq '.rows[0].process.exe'\n"
    "Next: `culprit process PID --host HOST`.\n";

struct Args {
  std::string host, order_by = "bytes", window = "60s", interval = "1s";
  std::uint32_t limit = 0;
  std::uint64_t iterations = 0;
  bool once = false, include_agent = false;
};

struct Screen {
  bool live = false;  // a terminal to redraw
  std::uint32_t rows = 24;
};

Screen LookAtScreen(const Session& session) {
  Screen screen;
  winsize size{};
  screen.live =
      !session.json() && isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  if (screen.live && size.ws_row > 0) screen.rows = size.ws_row;
  return screen;
}

// Overwrites line by line and clears what is left, which flickers less than clearing first.
std::string Redraw(const std::string& text) {
  std::string out = "\x1b[H";
  for (const char c : text) {
    if (c == '\n') out += "\x1b[K";
    out += c;
  }
  return out + "\x1b[J";
}

Result<v1::TopRequest> MakeRequest(const Args& args) {
  v1::TopRequest request;
  const auto window = ParseDuration(args.window);
  if (!window) return Error(window.error()).Context("--window");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*window).count();
  if (seconds < 1 || seconds > 86400L * 366) return InvalidArgument("--window: from 1s to 366d");
  request.set_window_s(static_cast<std::uint32_t>(seconds));
  request.set_host(args.host);
  request.set_order_by(args.order_by);
  request.set_include_agent(args.include_agent);
  return request;
}

int RunTop(Session& session, const Args& args) {
  auto request = MakeRequest(args);
  if (!request) return session.Fail(request.error());
  const auto interval = ParseDuration(args.interval);
  if (!interval || *interval < std::chrono::milliseconds(100)) {
    return session.Fail(InvalidArgument("--interval: at least 100ms"));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const std::uint64_t iterations = args.once ? 1 : args.iterations;
  bool answered = false;
  for (std::uint64_t i = 0; iterations == 0 || i < iterations; ++i) {
    if (i > 0 && !session.Wait(std::chrono::duration_cast<std::chrono::milliseconds>(*interval)))
      return kExitOk;
    const Screen screen = LookAtScreen(session);
    const std::uint32_t fits = screen.live && screen.rows > 8 ? screen.rows - 5 : 20;
    request->set_limit(args.limit != 0 ? args.limit : fits);
    const auto top = client->Top(*request);
    if (session.interrupted()) return kExitOk;
    // A collector that restarts must not end the view; one that was never there does.
    if (!top && (!answered || top.error().code != Code::kUnavailable))
      return session.Fail(top.error());
    if (!top) {
      session.Note(top.error().message);
      continue;
    }
    answered = true;
    const bool redraw = screen.live && iterations != 1;
    std::string text = session.json() ? ToJson(*top) + "\n" : RenderTop(*top, session.view());
    if (!session.json() && top->rows_size() == 0) {
      text += "(nothing yet: no traffic in this window, or no host reports: `culprit hosts`)\n";
    }
    if (!redraw && !session.json() && i > 0) text.insert(0, "\n");
    session.Print(redraw ? Redraw(text) : text);
  }
  return kExitOk;
}

}  // namespace

Command AddTop(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("top", "Live: the busiest processes by bytes or connections");
  const auto args = std::make_shared<Args>();
  command->add_option("--host", args->host, "Only this host")->type_name("HOST");
  command->add_option("--window", args->window, "How far to look back")
      ->type_name("SPAN")
      ->capture_default_str();
  command
      ->add_option("--order-by", args->order_by,
                   "bytes, tx (sent), rx (received), flows, attempts or crafted (packets sent "
                   "through raw and packet sockets)")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"bytes", "tx", "rx", "flows", "attempts", "crafted"}));
  command->add_option("--limit", args->limit, "Rows to show; default: what fits, or 20")
      ->type_name("N");
  command->add_option("--interval", args->interval, "Between two views")
      ->type_name("SPAN")
      ->capture_default_str();
  command->add_option("--iterations", args->iterations, "End after so many views")->type_name("N");
  command->add_flag("--once", args->once, "One view, then end");
  command->add_flag("--include-agent", args->include_agent, "Show Culprit's own agent too");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunTop(session, *args); }};
}

}  // namespace culprit::cli
