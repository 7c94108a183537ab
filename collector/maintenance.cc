// SPDX-License-Identifier: Apache-2.0
#include "collector/maintenance.h"

#include <spdlog/fmt/fmt.h>

#include <utility>

#include "collector/alert/target_files.h"
#include "collector/audit/audit_log.h"
#include "collector/data_dir.h"
#include "collector/journal/journal.h"
#include "collector/pki/pki.h"
#include "collector/store/indexer.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

PkiOptions PkiOptionsOf(const CollectorConfig& config) {
  PkiOptions options;
  options.server_names = config.server_names;
  return options;
}

}  // namespace

Result<Credentials> LoadServerCredentials(const CollectorConfig& config) {
  auto credentials = CheckCredentials(PkiPathsIn(config.pki()).server, ReadWallClock());
  if (credentials) return credentials;
  Error error = std::move(credentials).error();
  if (error.code == Code::kNotFound) {
    error.message +=
        fmt::format("; make the certificates with `culprit-collector init --dir {}`", config.pki());
  } else if (error.code == Code::kFailedPrecondition) {
    error.message += fmt::format(
        "; if the clock is right, remove {0}/server.pem and {0}/server.key and run "
        "`culprit-collector init --dir {0}`",
        config.pki());
  }
  error.code = Code::kInvalidArgument;
  return std::move(error).Context("certificates");
}

Result<std::string> InitCommand(const CollectorConfig& config) {
  TRY_VOID(MakeDirectories(config.pki(), 0700));
  TRY(const InitOutcome outcome, InitPki(config.pki(), PkiOptionsOf(config)));
  if (!outcome.created)
    return fmt::format("{}: already initialised, nothing was changed\n", config.pki());
  return fmt::format(
      "{0}: certificate authority, server certificate, journal key and operator credentials are "
      "ready\n"
      "Clients may dial: {1}\n"
      "Keep {0}/ca.key safe: who has it can make agents and operators.\n"
      "Next: culprit-collector run\n"
      "      culprit-collector issue agent NAME       credentials for a host\n"
      "      culprit --credentials {0} hosts\n",
      EscapeText(config.pki()),
      EscapeText(fmt::format("{}", fmt::join(outcome.server_names, ", "))));
}

Result<std::string> IssueAgentCommand(const CollectorConfig& config, const std::string& name,
                                      const std::string& out) {
  const std::string directory = out.empty() ? "culprit-agent-" + name : out;
  TRY_VOID(MakeDirectories(directory, 0700));
  TRY(const IssuedCredentials issued,
      IssueAgent(config.pki(), name, directory, PkiOptionsOf(config)));
  return fmt::format(
      "{0}: ca.pem, agent.pem and agent.key for agent {1} ({2})\n"
      "Next: copy them to /etc/culprit/agent/ on the host (agent.key readable by root only), set "
      "collector.address in\n"
      "      its /etc/culprit/agent.toml, start culprit-agent.\n",
      EscapeText(directory), EscapeText(name), issued.agent_id.ToString());
}

Result<std::string> IssueOperatorCommand(const CollectorConfig& config, const std::string& name,
                                         const std::string& role_name, const std::string& out) {
  TRY(const OperatorRole role, ParseOperatorRole(role_name));
  const std::string directory = out.empty() ? "culprit-operator-" + name : out;
  TRY_VOID(MakeDirectories(directory, 0700));
  TRY(const IssuedCredentials issued,
      IssueOperator(config.pki(), name, role, directory, PkiOptionsOf(config)));
  return fmt::format(
      "{0}: ca.pem, operator.pem and operator.key for operator {1}, {2}\n"
      "Next: copy them to ~/.config/culprit/operator/ on the operator's machine, or name their "
      "directory:\n"
      "      culprit --collector HOST:PORT --credentials DIR hosts\n",
      EscapeText(directory), EscapeText(name), NameOf(role));
}

Status CheckAlertFiles(const CollectorConfig& config) {
  for (const AlertTarget& target : config.alerts) {
    if (const Status fits = CheckTargetFiles(target); !fits)
      return InvalidArgument(fmt::format("alert {}: {}", target.name, fits.error().message));
  }
  return Ok();
}

Result<std::string> CheckConfigCommand(const CollectorConfig& config) {
  TRY(const Credentials credentials, LoadServerCredentials(config));
  TRY_VOID(CheckAlertFiles(config));
  return fmt::format("{}\n# certificates: fine until {}\n", FormatCollectorConfig(config),
                     FormatUtc(credentials.certificate.not_after));
}

Result<std::string> ReindexCommand(const CollectorConfig& config) {
  TRY(const UniqueFd lock, LockDataDir(config.data_dir));
  JournalOptions journal_options;
  journal_options.directory = config.journal_dir();
  journal_options.segment_bytes = config.journal.segment_bytes;
  journal_options.signing_key_path = PkiPathsIn(config.pki()).journal_key;
  TRY(const auto journal, Journal::Open(journal_options));
  SqliteStoreOptions store_options;
  store_options.directory = config.index_dir();
  store_options.part_rows = config.index.part_rows;
  store_options.part_age = config.index.part_age;
  const Lsn last = journal->stats().durable_lsn;
  auto stats = Reindex(*journal, store_options,
                       [last](Lsn lsn) { spdlog::info("reindex lsn={} of={}", lsn, last); });
  journal->Stop();
  if (!stats) return std::move(stats).error();
  return fmt::format("index rebuilt: {} rows from {} journal entries, {}\n", stats->rows,
                     stats->applied_lsn, FormatByteSize(stats->bytes));
}

Result<std::string> VerifyCommand(const CollectorConfig& config) {
  TRY(const JournalVerifyReport report,
      VerifyJournal(config.journal_dir(), PkiPathsIn(config.pki()).journal_public_key));
  std::string text =
      fmt::format("{}: {} entries ({} to {}) in {} segments, {} of them sealed, {}\n",
                  config.journal_dir(), report.entries, report.first_lsn, report.last_lsn,
                  report.segments, report.sealed, FormatByteSize(report.bytes));
  for (const JournalDamage& damage : report.damage) {
    text += fmt::format("damaged: {} at byte {}, {} bytes: {}\n", EscapeText(damage.file),
                        damage.offset, damage.bytes, EscapeText(damage.what));
  }
  TRY(const AuditReport audit, ReadAudit(config.audit_dir(), [](const AuditEntry&) {}));
  text += fmt::format("{}: {} lines, the last is {} with hash {}\n", config.audit_dir(),
                      audit.entries, audit.last_seq, audit.last_hash);
  for (const std::string& place : audit.damage) text += "damaged: " + EscapeText(place) + "\n";
  if (report.damage.empty() && audit.damage.empty()) {
    return text + "chain, hashes and seals: all fine\n";
  }
  return DataLoss(std::move(text));
}

}  // namespace culprit
