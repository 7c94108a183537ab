// SPDX-License-Identifier: Apache-2.0
// The targets of alerts as tables of collector.toml: [[alert]]. What is secret is named by the path
// of its file alone. Stage: wiring. Thread: values.
#ifndef CULPRIT_COLLECTOR_ALERT_CONFIG_H_
#define CULPRIT_COLLECTOR_ALERT_CONFIG_H_

#include <string>
#include <vector>

#include "collector/alert/alert_target.h"
#include "common/toml_reader.h"

namespace culprit {

// Reads and checks them; what is wrong is an error of `toml`.
void ReadAlertTargets(TomlReader& toml, std::vector<AlertTarget>* targets);
// TOML that reads back as itself.
std::string FormatAlertTargets(const std::vector<AlertTarget>& targets);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_CONFIG_H_
