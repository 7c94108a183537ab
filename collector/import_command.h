// SPDX-License-Identifier: Apache-2.0
// `culprit-collector import-spool`: evidence from files into the journal and the index. Stage:
// wiring. Thread: the caller's. The collector of this data_dir must not run meanwhile.
#ifndef CULPRIT_COLLECTOR_IMPORT_COMMAND_H_
#define CULPRIT_COLLECTOR_IMPORT_COMMAND_H_

#include <string>
#include <vector>

#include "collector/config.h"
#include "common/result.h"

namespace culprit {

struct ImportArgs {
  std::vector<std::string> paths;
  std::string agent;  // UUID; empty: by the path
  bool json = false;
};

struct ImportAnswer {
  std::string text;   // for standard output
  bool whole = true;  // false: something is missing, damaged or was left out
};

Result<ImportAnswer> ImportSpoolCommand(const CollectorConfig& config, const ImportArgs& args);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_IMPORT_COMMAND_H_
