// SPDX-License-Identifier: Apache-2.0
// The places of a host's disk where an intruder leaves something: persistence, SSH, logs, what runs
// from temporary places. Which they are is data; how they are walked is one function.
//
// Stage: snapshot (edge: files). Thread: a collector's.
#ifndef CULPRIT_AGENT_SNAPSHOT_PLACES_H_
#define CULPRIT_AGENT_SNAPSHOT_PLACES_H_

#include <string>
#include <vector>

#include "agent/snapshot/evidence.h"
#include "agent/snapshot/host_files.h"

namespace culprit {

struct Place {
  std::string path;    // a file, or a directory with all below it
  bool log = false;    // a log's limit, and its newest part is not special
  bool homes = false;  // `path` is relative to every home directory
  unsigned depth = 16;
  bool copy = true;  // false: listed only
};

// Of tier 1: temporary places, logs, what the dynamic linker is told.
std::vector<Place> VolatilePlaces();
// Of tier 2: configuration, persistence, SSH, containers, cloud-init.
std::vector<Place> PersistentPlaces();

// Table files: everything that is there, also what is not copied, with the reason. Secrets are
// redacted; a file that was changed for that has the hash of its original in its notes.
void CollectPlaces(Evidence& evidence, const HostFiles& host, const std::vector<Place>& places,
                   const std::vector<std::string>& homes);
// Home directories of /etc/passwd, root's first, each once.
std::vector<std::string> HomeDirectories(const HostFiles& host);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_PLACES_H_
