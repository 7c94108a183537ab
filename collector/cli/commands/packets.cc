// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/commands/packets_file.h"
#include "collector/cli/json.h"
#include "common/crc32c.h"
#include "common/number.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kFooter =
    "Packets that the agent of one host kept (packets.enabled there), as a pcapng file: Wireshark "
    "and tshark open it,\n"
    "and a comment on each packet names its process and flow. All conditions must hold. Packets "
    "stay on the host, in a\n"
    "ring, until they are asked for: the agent must be connected.\n"
    "A fetch that breaks goes on by itself for a minute. After that, FILE.part has what came, and "
    "--resume goes on behind\n"
    "it for ten minutes, with the same bytes as without the break.\n"
    "\n"
    "Examples:\n"
    "  culprit packets --process 1f3a5c7e9b2d4f60 --out relay.pcapng\n"
    "  culprit packets --host web-1 --process 4711 --last 10m --out web.pcapng\n"
    "  culprit packets --host web-1 --remote 198.51.100.7:22 --out - | tshark -r -\n"
    "  culprit packets --resume --out web.pcapng\n"
    "Process and flow ids: `culprit flows`, `culprit who`; with --json they stand in process_id "
    "and "
    "flow_id.\n";

constexpr seconds kPatience{60};  // without a byte
constexpr milliseconds kTryAgain{1000};
constexpr milliseconds kShow{200};

struct Args {
  TimeArgs time;
  std::string last, host, remote, max_bytes, out;
  std::vector<std::string> processes, flows;
  bool resume = false;

  bool chooses() const {
    return !(time.since.empty() && time.until.empty() && time.at.empty() && last.empty() &&
             host.empty() && remote.empty() && max_bytes.empty() && processes.empty() &&
             flows.empty());
  }
};

Status AddProcess(const std::string& text, v1::FetchPacketsRequest* request) {
  if (text.size() == 16) {
    TRY_VOID(CheckHex("--process", text, 16));
    request->add_process_ids(text);
    return Ok();
  }
  std::uint32_t pid = 0;
  if (!ParseWhole(text, &pid) || pid == 0) {
    return InvalidArgument("--process: a process id of 16 hexadecimal digits, or a pid");
  }
  if (request->pid() != 0) return InvalidArgument("--process: one pid at most");
  request->set_pid(pid);
  return Ok();
}

Status SetTime(const Args& args, Session& session, v1::FetchPacketsRequest* request) {
  TRY(const v1::TimeRange range, ToTimeRange(args.time, session));
  request->set_from_ns(range.from_ns());
  if (range.to_ns() != 0) request->set_to_ns(range.to_ns() - 1);
  if (args.last.empty()) return Ok();
  const auto span = ParseDuration(args.last);
  if (!span || span->count() <= 0) return InvalidArgument("--last: write for instance \"10m\"");
  request->set_from_ns(std::max<std::int64_t>(session.view().now_ns - span->count(), 1));
  return Ok();
}

Result<v1::FetchPacketsRequest> ToRequest(const Args& args, Session& session) {
  v1::FetchPacketsRequest request;
  TRY_VOID(SetTime(args, session, &request));
  request.set_host(args.host);
  for (const std::string& process : args.processes) TRY_VOID(AddProcess(process, &request));
  for (const std::string& flow : args.flows) {
    TRY_VOID(CheckHex("--flow", flow, 16));
    request.add_flow_ids(flow);
  }
  if (!args.remote.empty()) {
    v1::FlowFilter filter;
    TRY_VOID(SetRemote(args.remote, &filter));
    if (filter.remote().find('/') != std::string::npos) {
      return InvalidArgument("--remote: one address, with or without a port");
    }
    request.set_remote(filter.remote());
    request.set_remote_port(filter.remote_port());
  }
  if (!args.max_bytes.empty()) {
    const auto size = ParseByteSize(args.max_bytes);
    if (!size) return Error(size.error()).Context("--max-bytes");
    request.set_max_bytes(*size);
  }
  return request;
}

// What has come so far, on a terminal; nowhere else.
class Progress {
 public:
  explicit Progress(std::uint64_t before) : before_(before) {}
  void Show(std::uint64_t bytes, bool last) {
    if (!shown_) return;
    const auto now = Clock::now();
    if (!last && now - at_ < kShow) return;
    at_ = now;
    const double s = std::chrono::duration<double>(now - began_).count();
    const double rate = s > 0 ? static_cast<double>(bytes - before_) / s : 0;
    fmt::print(stderr, "\r\x1b[K{}, {}/s{}", FormatByteSize(bytes),
               FormatByteSize(static_cast<std::uint64_t>(rate)), last ? "\n" : "");
  }

 private:
  const bool shown_ = isatty(STDERR_FILENO) == 1;
  const std::uint64_t before_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point at_;
};

// One fetch over as many connections as it takes.
class Fetch {
 public:
  Fetch(Session& session, Client& client, PacketsFile file, v1::FetchPacketsRequest request)
      : session_(session),
        client_(client),
        file_(std::move(file)),
        request_(std::move(request)),
        begun_(!request_.fetch_id().empty()),
        progress_(file_.bytes()) {}

  Status Run() {
    auto moved = Clock::now();
    for (;;) {
      const std::uint64_t before = file_.bytes();
      request_.set_offset(before);
      request_.set_prefix_crc32c(file_.crc32c());
      const Status done = client_.FetchPackets(
          request_, [this](const v1::FetchPacketsResponse& message) { return Take(message); });
      if (file_.bytes() != before) moved = Clock::now();
      if (done && end_) break;
      const Error why =
          done ? Unavailable("the collector ended the fetch before its end") : done.error();
      // A collector that is ended in the middle shows as either.
      const bool broken = why.code == Code::kUnavailable || why.code == Code::kUnauthenticated;
      if (!begun_ || !broken || Clock::now() - moved > kPatience) return why;
      session_.Note("the connection broke; going on behind " + FormatByteSize(file_.bytes()));
      if (!session_.Wait(kTryAgain)) return MakeError(Code::kCancelled, "interrupted");
    }
    progress_.Show(file_.bytes(), true);
    return file_.Finish();
  }

  const v1::FetchPacketsEnd& end() const { return *end_; }
  const PacketsFile& file() const { return file_; }
  const std::string& host() const { return host_; }
  bool begun() const { return begun_; }

 private:
  Status Take(const v1::FetchPacketsResponse& message) {
    switch (message.message_case()) {
      case v1::FetchPacketsResponse::kStart:
        host_ = message.start().host();
        request_ = message.start().resume();
        begun_ = true;
        return file_.Remember(request_);
      case v1::FetchPacketsResponse::kChunk:
        return TakeChunk(message.chunk());
      case v1::FetchPacketsResponse::kWaiting:
        session_.Note(EscapeText(message.waiting().reason()) + "; waiting for the agent");
        return Ok();
      case v1::FetchPacketsResponse::kEnd:
        end_ = message.end();
        return Ok();
      case v1::FetchPacketsResponse::MESSAGE_NOT_SET:
        break;
    }
    return Ok();
  }

  Status TakeChunk(const v1::FetchPacketsChunk& chunk) {
    if (chunk.offset() != file_.bytes() || Crc32c(chunk.data()) != chunk.crc32c()) {
      return DataLoss("what came is damaged; --resume goes on with the fetch");
    }
    TRY_VOID(file_.Write(chunk.data()));
    progress_.Show(file_.bytes(), false);
    return Ok();
  }

  Session& session_;
  Client& client_;
  PacketsFile file_;
  v1::FetchPacketsRequest request_;
  bool begun_;
  Progress progress_;
  std::string host_;
  std::optional<v1::FetchPacketsEnd> end_;
};

void Tell(Session& session, const Args& args, const Fetch& fetch) {
  const v1::FetchPacketsEnd& end = fetch.end();
  if (end.cut_off()) session.Note("there is more than --max-bytes let through");
  if (end.damaged_segments() > 0) {
    session.Note(fmt::format("{} segments of the ring end in damage: packets behind it are missing",
                             end.damaged_segments()));
  }
  if (end.unfrozen_segments() > 0) {
    session.Note(
        fmt::format("{} segments were gone or could not be held: their packets are missing",
                    end.unfrozen_segments()));
  }
  if (fetch.file().is_stdout()) return;
  if (session.json()) {
    const std::string end_json = ToJson(end);
    session.Print(fmt::format("{{\"file\":{},\"host\":{},\"file_bytes\":{},{}\n",
                              JsonString(args.out), JsonString(fetch.host()), fetch.file().bytes(),
                              end_json.substr(1)));
  } else {
    session.Print(fmt::format(
        "{}: {} packets of {} ({} on the wire, {} kept), {}\n", EscapeText(args.out),
        FormatCount(end.packets()), EscapeText(fetch.host()), FormatByteSize(end.wire_bytes()),
        FormatByteSize(end.kept_bytes()), FormatByteSize(fetch.file().bytes())));
  }
}

int RunPackets(Session& session, const Args& args) {
  if (args.out == "-" && isatty(STDOUT_FILENO) == 1) {
    return session.Fail(InvalidArgument("--out -: a capture is not written to a terminal"));
  }
  if (args.resume && (args.chooses() || args.out == "-")) {
    return session.Fail(InvalidArgument(
        "--resume goes on with the fetch into --out FILE; it takes no other conditions"));
  }
  if (!args.resume && !args.chooses()) {
    return session.Fail(
        InvalidArgument("which packets? --process, --flow, --remote, --host or a "
                        "time (`culprit packets --help`)"));
  }
  v1::FetchPacketsRequest request;
  if (!args.resume) {
    auto made = ToRequest(args, session);
    if (!made) return session.Fail(made.error());
    request = std::move(*made);
  }
  auto file =
      args.resume ? PacketsFile::Continue(args.out, &request) : PacketsFile::Create(args.out);
  if (!file) return session.Fail(file.error());
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  Fetch fetch(session, *client, std::move(*file), std::move(request));
  if (const Status done = fetch.Run(); !done) {
    if (fetch.begun() && args.out != "-") {
      session.Note(fmt::format("`culprit packets --resume --out {}` goes on behind {}",
                               EscapeText(args.out), FormatByteSize(fetch.file().bytes())));
    }
    return session.Fail(done.error());
  }
  Tell(session, args, fetch);
  if (fetch.end().packets() > 0) return kExitOk;
  session.Note("no packet matches: the ring may have moved on (`culprit hosts --health`)");
  return kExitNoMatch;
}

void AddSelection(CLI::App& command, Args& args) {
  command
      .add_option("--process", args.processes,
                  "Process id of 16 hex digits, which may be repeated, or a pid")
      ->type_name("ID|PID");
  command.add_option("--flow", args.flows, "Flow id of 16 hex digits; may be repeated")
      ->type_name("ID");
  command.add_option("--remote", args.remote, "ADDRESS or ADDRESS:PORT of either end")
      ->type_name("ADDRESS");
  command.add_option("--host", args.host, "Hostname, instance id or agent id")->type_name("HOST");
  auto* from =
      command.add_option("--from,--since", args.time.since, "Not before TIME")->type_name("TIME");
  auto* to = command.add_option("--to,--until", args.time.until, "Before TIME")->type_name("TIME");
  auto* at = command.add_option("--at", args.time.at, "Around TIME, as wide as --window says")
                 ->type_name("TIME")
                 ->excludes(from)
                 ->excludes(to);
  command.add_option("--window", args.time.window, "Of --at, before and after it")
      ->type_name("SPAN")
      ->capture_default_str()
      ->needs(at);
  command.add_option("--last", args.last, "Not older than SPAN")
      ->type_name("SPAN")
      ->excludes(from)
      ->excludes(at);
  command.add_option("--max-bytes", args.max_bytes, "Size of the file at most, \"100 MiB\"")
      ->type_name("SIZE");
}

}  // namespace

Command AddPackets(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("packets", "Packets of a process, flow or time, as pcapng");
  const auto args = std::make_shared<Args>();
  AddSelection(*command, *args);
  command->add_option("--out", args->out, "Where they go; - is stdout")
      ->type_name("FILE")
      ->required();
  command->add_flag("--resume", args->resume, "Go on with the fetch into FILE that broke");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunPackets(session, *args); }};
}

}  // namespace culprit::cli
