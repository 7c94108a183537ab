// SPDX-License-Identifier: Apache-2.0
// The commands of culprit-collector that are not the daemon: certificates, reindex, verify,
// check-config. Each returns what is to be printed. Stage: wiring. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_MAINTENANCE_H_
#define CULPRIT_COLLECTOR_MAINTENANCE_H_

#include <string>

#include "collector/config.h"
#include "common/credentials.h"
#include "common/result.h"

namespace culprit {

// Makes what is missing of CA, server certificate, journal key and operator credentials.
Result<std::string> InitCommand(const CollectorConfig& config);
Result<std::string> IssueAgentCommand(const CollectorConfig& config, const std::string& name,
                                      const std::string& out);
// `role`: viewer, responder or admin.
Result<std::string> IssueOperatorCommand(const CollectorConfig& config, const std::string& name,
                                         const std::string& role, const std::string& out);
// The effective configuration; an error if the certificates in it cannot be used.
Result<std::string> CheckConfigCommand(const CollectorConfig& config);
// Rebuilds the index from the journal. kFailedPrecondition while a collector runs on data_dir.
Result<std::string> ReindexCommand(const CollectorConfig& config);
// Checks chain, hashes and seals of the journal, and the chain of the audit log, without changing
// anything; may run beside the collector. kDataLoss, with one line a place, if anything does not
// check out.
Result<std::string> VerifyCommand(const CollectorConfig& config);

// Files that alert targets name. Errors: kInvalidArgument, with the target's name.
Status CheckAlertFiles(const CollectorConfig& config);

// The server's certificate, checked. Every error is kInvalidArgument and says what to run.
Result<Credentials> LoadServerCredentials(const CollectorConfig& config);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MAINTENANCE_H_
