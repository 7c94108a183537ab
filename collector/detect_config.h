// SPDX-License-Identifier: Apache-2.0
// What the detectors judge by as keys of collector.toml: [detect.RULE] NAME = NUMBER, and
// [detect.budget], [detect.hours], [detect.baseline].
// Stage: wiring. Thread: values.
#ifndef CULPRIT_COLLECTOR_DETECT_CONFIG_H_
#define CULPRIT_COLLECTOR_DETECT_CONFIG_H_

#include <string>

#include "collector/detect/thresholds.h"
#include "common/toml_reader.h"

namespace culprit {

// Reads what is given; the rest keeps its default.
void ReadThresholds(TomlReader& toml, DetectThresholds* thresholds);
// TOML that reads back as itself.
std::string FormatThresholds(const DetectThresholds& thresholds);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_CONFIG_H_
