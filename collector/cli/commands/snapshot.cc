// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "collector/cli/commands/commands.h"
#include "common/bundle_summary.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Needs no collector. Listed is what is worth a look first: processes that are hidden, run from "
    "memory or from\n"
    "deleted files, sniffers, locked files, what is wrong with SSH, listeners. `culprit verify` "
    "says "
    "whether to trust it.\n"
    "\n"
    "Examples:\n"
    "  culprit snapshot show host.tar.zst\n"
    "  culprit snapshot show host.tar.zst --json | jq -r '.notable[] | select(.pid > 0) | .text'\n";

}  // namespace

Command AddSnapshot(CLI::App& app) {
  CLI::App* command = app.add_subcommand("snapshot", "What is in a snapshot bundle");
  command->require_subcommand(1);
  const auto file = std::make_shared<std::string>();
  CLI::App* show = command->add_subcommand("show", "What stands out in a bundle");
  show->add_option("BUNDLE", *file, "The file")->required()->type_name("FILE");
  show->footer(kFooter);
  show->fallthrough();
  return {command, [file](Session& session) -> int {
            const auto text = SummariseBundleFile(*file, session.json());
            if (!text) return session.Fail(text.error());
            session.Print(*text);
            return kExitOk;
          }};
}

}  // namespace culprit::cli
