// SPDX-License-Identifier: Apache-2.0
// What an alert target keeps in files: its secret, an address that is a secret, authorities, a
// program. Read for every attempt, so that a secret is changed without a restart.
//
// Stage: alert (edge: files). Thread: any. No content of these files gets into a message.
#ifndef CULPRIT_COLLECTOR_ALERT_TARGET_FILES_H_
#define CULPRIT_COLLECTOR_ALERT_TARGET_FILES_H_

#include <string>

#include "collector/alert/alert_target.h"
#include "common/result.h"

namespace culprit {

// The file without its last line end. Errors: not readable, readable by everybody (with the
// remedy), under 16 or over 4096 bytes.
Result<std::string> ReadSecretFile(const std::string& path);
// From the configuration or its file. Errors: as above, or not http:// or https://.
Result<std::string> UrlOf(const AlertTarget& target);
// "http" or "https" and a host, nothing that ends a line.
bool IsWebUrl(const std::string& url);
// For people: no path, no query, no password.
std::string DestinationOf(const AlertTarget& target);
// That all files of a target are there and fit.
Status CheckTargetFiles(const AlertTarget& target);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_TARGET_FILES_H_
