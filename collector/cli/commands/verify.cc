// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "collector/cli/commands/commands.h"
#include "common/bundle_report.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Needs no collector. Without --key it says whether the bundle is as it was signed, and by "
    "which "
    "key;\n"
    "with it, also whether that is the right one. Every defect is named: truncated, damaged, "
    "edited, "
    "reordered,\n"
    "missing, added, bad-signature, wrong-key. Of a truncated bundle it says which tiers are "
    "whole.\n"
    "\n"
    "Examples:\n"
    "  culprit verify i-0123456789abcdef0_20260301T020304Z_1a2b3c4d.tar.zst\n"
    "  culprit verify host.tar.zst --key SHA256:...\n"
    "The same with stock tools:\n"
    "  tar --zstd -xf host.tar.zst -C DIR && cd DIR && sha256sum -c SHA256SUMS\n"
    "  ssh-keygen -Y verify -f allowed_signers -I culprit-agent -n culprit-snapshot \\\n"
    "    -s manifest.jsonl.sig < manifest.jsonl\n";

struct VerifyOptions {
  std::string file, key;
};

}  // namespace

Command AddVerify(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("verify", "Check a snapshot bundle: whole, unchanged, in order, signed");
  command->footer(kFooter);
  const auto options = std::make_shared<VerifyOptions>();
  command->add_option("BUNDLE", options->file, "The file")->required()->type_name("FILE");
  command
      ->add_option("--key", options->key,
                   "The key that must have signed: its fingerprint, or a file with its public part")
      ->type_name("KEY");
  return {command, [options](Session& session) -> int {
            const auto report = VerifyBundleFile(options->file, options->key, session.json());
            if (!report) return session.Fail(report.error());
            session.Print(report->text);
            return report->good ? kExitOk : kExitFailed;
          }};
}

}  // namespace culprit::cli
