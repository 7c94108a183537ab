// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/snapshot_read.h"
#include "collector/cli/commands/snapshot_wait.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "A snapshot is what is lost with an instance: processes, sockets, executables that are deleted "
    "or in memory, logs,\n"
    "persistence, keys; collected by the agent in order of volatility, signed, streamed to the "
    "collector while it is\n"
    "collected, and verified there. A finding begins one by itself (snapshot.on_finding of the "
    "collector).\n"
    "\n"
    "Examples:\n"
    "  culprit snapshot take web-1 --wait --case 2026-17\n"
    "  culprit snapshot list\n"
    "  culprit snapshot show 1a2b3c4d\n";

constexpr const char* kTakeFooter =
    "Without --wait it says the id and goes on at the collector. With --wait: exit code 0 only for "
    "one that is whole, stored\n"
    "and verified; 1 for what is partial, refused or cannot be stored, with the reason. A break of "
    "agent, collector or\n"
    "network is waited for, and the transfer goes on where it was.\n"
    "\n"
    "Examples:\n"
    "  culprit snapshot take i-0123456789abcdef0 --wait\n"
    "  culprit snapshot take web-1 --tier 0 --wait --deadline 20s\n";

struct Args {
  std::string host, case_id, deadline, id;
  std::uint32_t tier = 2, limit = 100;
  bool wait = false;
};

void PrintOne(Session& session, const v1::Snapshot& snapshot) {
  session.Print(session.json() ? ToJson(snapshot) + "\n"
                               : RenderSnapshot(snapshot, session.view()));
}

int Take(Session& session, const Args& args) {
  WaitOptions options;
  options.give_up_when_stuck = true;
  if (!args.deadline.empty()) {
    const auto span = ParseDuration(args.deadline);
    if (!span || span->count() <= 0)
      return session.Fail(InvalidArgument("--deadline: write for instance \"5m\""));
    options.deadline = std::chrono::duration_cast<std::chrono::milliseconds>(*span);
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::TakeSnapshotRequest request;
  request.set_host(args.host);
  request.set_last_tier(args.tier);
  request.set_case_id(args.case_id);
  auto snapshot = client->TakeSnapshot(request);
  if (!snapshot) return session.Fail(snapshot.error());
  if (!args.wait) {
    session.Print(session.json() ? ToJson(*snapshot) + "\n"
                                 : fmt::format("snapshot {} of {} was asked for: `culprit snapshot "
                                               "show {}` says how far it is\n",
                                               snapshot->id(), EscapeText(snapshot->host()),
                                               snapshot->id().substr(0, 8)));
    return kExitOk;
  }
  const std::string id = snapshot->id();
  snapshot = AwaitSnapshot(session, *client, id, options);
  if (!snapshot) {
    if (snapshot.error().code == Code::kCancelled)
      session.Note("snapshot " + id + " goes on at the collector");
    Error error = snapshot.error();
    // The collector is there: it is the snapshot that is late.
    if (error.code == Code::kDeadlineExceeded) error.code = Code::kResourceExhausted;
    return session.Fail(error);
  }
  PrintOne(session, *snapshot);
  if (snapshot->state() == v1::SNAPSHOT_STATE_COMPLETE) return kExitOk;
  return session.Fail(
      MakeError(Code::kDataLoss, "the snapshot is not whole: " + EscapeText(snapshot->problem())));
}

int List(Session& session, const Args& args) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::ListSnapshotsRequest request;
  request.set_host(args.host);
  request.set_limit(args.limit);
  const auto answer = client->ListSnapshots(request);
  if (!answer) return session.Fail(answer.error());
  const auto& rows = answer->snapshots();
  if (rows.empty()) {
    session.Note("no snapshot was taken yet: `culprit snapshot take HOST --wait`");
    return kExitNoMatch;
  }
  if (!session.json()) {
    session.Print(RenderSnapshots({rows.begin(), rows.end()}, session.view()));
  } else {
    for (const v1::Snapshot& row : rows) session.Print(ToJson(row) + "\n");
  }
  return kExitOk;
}

int Remove(Session& session, const Args& args) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto removed = client->RemoveSnapshot(args.id);
  if (!removed) return session.Fail(removed.error());
  PrintOne(session, *removed);
  return kExitOk;
}

void AddCollectorCommands(CLI::App& snapshot, std::vector<Command>* commands) {
  const auto args = std::make_shared<Args>();
  CLI::App* take = snapshot.add_subcommand("take", "Take one of a host");
  take->add_option("HOST", args->host, "Hostname, instance id or agent id (default: the only one)")
      ->type_name("HOST");
  take->add_flag("--wait", args->wait, "Until it is stored and verified");
  take->add_option("--tier", args->tier,
                   "Last tier: 0 processes, sockets, kernel; 1 executables, deleted files, logs; 2 "
                   "persistence, SSH")
      ->check(CLI::Range(0U, 2U))
      ->capture_default_str();
  take->add_option("--case", args->case_id, "Number of the case, for the manifest");
  take->add_option("--deadline", args->deadline, "Wait no longer than SPAN")->type_name("SPAN");
  take->footer(kTakeFooter);
  CLI::App* list = snapshot.add_subcommand("list", "Those that the collector has");
  list->add_option("--host", args->host, "Hostname, instance id or agent id")->type_name("HOST");
  list->add_option("--limit", args->limit, "Rows at most")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  CLI::App* remove = snapshot.add_subcommand("remove", "Delete a bundle; its record stays");
  remove->add_option("ID", args->id, "Of the snapshot")->required()->type_name("ID");
  const auto push = [&](CLI::App* command, int (*run)(Session&, const Args&)) {
    command->fallthrough();
    commands->push_back({command, [run, args](Session& session) { return run(session, *args); }});
  };
  push(take, &Take);
  push(list, &List);
  push(remove, &Remove);
}

}  // namespace

Command AddSnapshot(CLI::App& app) {
  CLI::App* snapshot =
      app.add_subcommand("snapshot", "Take, list and read snapshots of hosts that may go soon");
  snapshot->require_subcommand(1);
  snapshot->footer(kFooter);
  const auto commands = std::make_shared<std::vector<Command>>();
  AddCollectorCommands(*snapshot, commands.get());
  AddBundleCommands(*snapshot, commands.get());
  return {snapshot, [commands](Session& session) -> int {
            for (const Command& command : *commands) {
              if (command.app->parsed()) return command.run(session);
            }
            return kExitUsage;
          }};
}

}  // namespace culprit::cli
