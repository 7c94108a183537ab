// SPDX-License-Identifier: Apache-2.0
#include "agent/enrol_options.h"

#include <cstdlib>

#include "common/file.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxTokenFile = 4096;
constexpr const char* kFooter =
    "The key is made here and does not leave this host. The proof is a join token (CULPRIT_TOKEN or\n"
    "--token-file: an argument could be read by everybody), or on EC2 the signed identity document\n"
    "of the instance. Certificates are good for some hours, and the agent renews them. Harmless to\n"
    "repeat. CULPRIT_CA_SHA256 stands for --ca-fingerprint.\n"
    "Exit codes: 0 enrolled, now or before; 1 refused or failed; 2 wrong options; 3 wrong\n"
    "configuration; 5 the collector cannot be reached: try again, or give --wait.\n"
    "Examples:\n"
    "  sudo CULPRIT_TOKEN=culprit-join-... culprit-agent enrol --collector 192.0.2.10:7443 \\\n"
    "      --ca-fingerprint 5f2c...\n"
    "  sudo culprit-agent enrol --wait 10m          # on EC2, by the identity document";

}  // namespace

CLI::App* AddEnrol(CLI::App& app, EnrolOptions* options) {
  CLI::App* enrol =
      app.add_subcommand("enrol", "Make this host an agent: key, proof, certificate");
  enrol->footer(kFooter);
  EnrolCommand& command = options->command;
  auto* file = enrol->add_option("--token-file", options->token_file,
                                 "File with the join token; - = standard input");
  enrol->add_flag("--document", options->document,
                  "By the identity document, also where CULPRIT_TOKEN is set")
      ->excludes(file);
  auto* fingerprint = enrol->add_option("--ca-fingerprint", command.ca_fingerprint,
                                        "SHA-256 of the collector's CA certificate");
  enrol->add_option("--ca", command.ca_file, "File with the collector's CA certificate")
      ->excludes(fingerprint);
  enrol->add_option("--host-id", command.host_id,
                    "What to enrol as (default: the instance id, or one of the machine id)");
  enrol->add_option("--wait", options->wait,
                    "How long to go on while the collector cannot be reached, as 10m")
      ->capture_default_str();
  enrol->add_flag("--again", command.again,
                  "With a new key, though there is a certificate; the collector must allow it");
  enrol->add_flag("--json", command.json, "JSON instead of text");
  return enrol;
}

Result<EnrolCommand> EnrolCommandOf(const EnrolOptions& options) {
  EnrolCommand command = options.command;
  const auto wait = ParseDuration(options.wait);
  if (!wait) return InvalidArgument("--wait: write for instance \"10m\"");
  command.wait = std::chrono::duration_cast<std::chrono::milliseconds>(*wait);
  if (const char* ca = std::getenv("CULPRIT_CA_SHA256");
      ca != nullptr && command.ca_fingerprint.empty() && command.ca_file.empty()) {
    command.ca_fingerprint = ca;
  }
  if (options.document) return command;
  if (!options.token_file.empty()) {
    const std::string path = options.token_file == "-" ? "/dev/stdin" : options.token_file;
    TRY(command.token, ReadWholeFile(path, kMaxTokenFile));
  } else if (const char* token = std::getenv("CULPRIT_TOKEN"); token != nullptr) {
    command.token = token;
  }
  while (!command.token.empty() && static_cast<unsigned char>(command.token.back()) <= ' ') {
    command.token.pop_back();
  }
  return command;
}

}  // namespace culprit
