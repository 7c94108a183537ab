// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/commands/key_use.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Who came in with a key, and what those sessions did: what ran, where bytes went, what was "
    "copied over SSH itself, what sshd\n"
    "passed on for its client. With --json each line is one session, as `culprit session` shows "
    "it.\n"
    "\n"
    "Examples:\n"
    "  culprit keys --fingerprint SHA256:MkYY9qiVsFGBC5WkjoClCkwEFW5iSjcGQF7m4n4H7Cw\n"
    "  culprit keys --fingerprint $(ssh-keygen -lf id_ed25519.pub | cut -d' ' -f2) --since 7d\n"
    "Next: `culprit session ID`.\n";

struct Args {
  TimeArgs time;
  KeyUse use;
};

int RunKeys(Session& session, const Args& args) {
  KeyUse use = args.use;
  auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  use.time = std::move(*range);
  if (!use.fingerprint.starts_with("SHA256:")) {
    return session.Fail(
        InvalidArgument("--fingerprint: expected SHA256:… as `ssh-keygen -lf FILE` prints it"));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  return client == nullptr ? exit_code : ShowKeyUse(session, *client, use);
}

}  // namespace

Command AddKeys(CLI::App& app) {
  CLI::App* command = app.add_subcommand("keys", "What was done with an SSH key");
  const auto args = std::make_shared<Args>();
  command->add_option("--fingerprint", args->use.fingerprint, "The key: SHA256:…")
      ->required()
      ->type_name("FP");
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
