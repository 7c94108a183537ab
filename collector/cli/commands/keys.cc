// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/commands/key_use.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Without --fingerprint: every line of every file of keys that sshd would read, as the hosts "
    "have them now: which key opens\n"
    "which account, and would this sshd take it. HOSTS is on how many hosts it is taken.\n"
    "With --fingerprint: where that key is, who came in with it, and what those sessions did: what "
    "ran, where bytes went, what\n"
    "was copied over SSH itself, what sshd passed on for its client. With --json each line is one "
    "session, as `culprit session`\n"
    "shows it; with --placed, or without a fingerprint, one line of a file of keys.\n"
    "\n"
    "Examples:\n"
    "  culprit keys --host web-1 --user root\n"
    "  culprit keys --fingerprint SHA256:MkYY9qiVsFGBC5WkjoClCkwEFW5iSjcGQF7m4n4H7Cw\n"
    "  culprit keys --fingerprint $(ssh-keygen -lf id_ed25519.pub | cut -d' ' -f2) --since 7d\n"
    "Next: `culprit session ID`; `culprit ssh --host HOST` for when a key was added and by whom.\n";

struct Args {
  TimeArgs time;
  KeyUse use;
  std::string user;
  bool placed = false;
};

// Where keys are. `found`: whether there was one.
int ShowPlaced(Session& session, Client& client, const Args& args, bool* found) {
  constexpr std::uint32_t kMost = 10'000;
  v1::ListKeysRequest request;
  request.set_host(args.use.host);
  request.set_user(args.user);
  request.set_fingerprint(args.use.fingerprint);
  request.set_limit(kMost);
  const auto answer = client.ListKeys(request);
  if (!answer) return session.Fail(answer.error());
  *found = answer->keys_size() > 0;
  if (!*found) return kExitOk;
  if (session.json()) {
    for (const v1::KeyRow& row : answer->keys()) session.Print(ToJson(row) + "\n");
  } else {
    session.Print(RenderKeys({answer->keys().begin(), answer->keys().end()}, session.view()));
  }
  if (answer->cut()) session.Note("there are more: narrow it with --host or --user");
  return kExitOk;
}

int RunKeys(Session& session, const Args& args) {
  KeyUse use = args.use;
  auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  use.time = std::move(*range);
  const bool one = !use.fingerprint.empty();
  if (one && !use.fingerprint.starts_with("SHA256:")) {
    return session.Fail(
        InvalidArgument("--fingerprint: expected SHA256:… as `ssh-keygen -lf FILE` prints it"));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const bool placed_only = args.placed || !one;
  bool found = false;
  if (placed_only || !session.json()) {
    const int shown = ShowPlaced(session, *client, args, &found);
    if (shown != kExitOk) return shown;
  }
  if (!placed_only) {
    if (found) session.Print("\n");
    const int used = ShowKeyUse(session, *client, use);
    return found && used == kExitNoMatch ? kExitOk : used;
  }
  if (found) return kExitOk;
  session.Note("no host has such a key now; `culprit ssh` shows what was taken away lately");
  return kExitNoMatch;
}

}  // namespace

Command AddKeys(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("keys", "Which SSH keys open which accounts, and what was done with one");
  const auto args = std::make_shared<Args>();
  command->add_option("--fingerprint", args->use.fingerprint, "This key: SHA256:…")
      ->type_name("FP");
  command->add_flag("--placed", args->placed, "Only where it is, not what was done with it");
  command->add_option("--user", args->user, "Where keys are: only of this user")->type_name("USER");
  AddTimeOptions(*command, args->time);
  command->add_option("--host", args->use.host, "Only on this host")->type_name("HOST");
  command->add_option("--limit", args->use.limit, "Sessions to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000));
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunKeys(session, *args); }};
}

}  // namespace culprit::cli
