// SPDX-License-Identifier: Apache-2.0
// The members of a bundle as files below one directory, and nowhere else: names come from a host
// that may be hostile. Every step of a path is opened without following links, every file is made
// anew, with modes of ours.
//
// Stage: cli (edge: files). Thread: one caller. Failure: what was written stays; errors name the
// path.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_EXTRACT_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_EXTRACT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/bundle_reader.h"
#include "common/result.h"

namespace culprit::cli {

struct Extracted {
  std::uint64_t files = 0, bytes = 0;
  std::vector<std::string> refused;  // names that would lead elsewhere, or are there twice
  std::string broken;                // the bundle ends early, and why
};

// `directory` is made, or is empty. `members`: only these, or what lies below them; none = all.
Result<Extracted> ExtractBundle(ByteSource source, const std::string& directory,
                                const std::vector<std::string>& members);
// Parts of a name, each fit for a file system; empty: the name leads elsewhere.
std::vector<std::string> PathParts(const std::string& name);
// "/etc/passwd" as its name in a bundle; what is a name already stays.
std::string AsMemberName(const std::string& text);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_EXTRACT_H_
