// SPDX-License-Identifier: Apache-2.0
// `culprit-agent triage`: one look at a host where nothing was installed before, or at its disk.
//
//   live:  Agent (watches, keeps nothing) -> TriageBook -> TriageReport -+
//   disk:  logs and keys of the mounted root ------------> TriageReport -+-> page or JSON
//          SSH posture, snapshot T0..T2 (with the report) -> signed bundle, what stands out in it
//
// Stage: wiring. Thread: the caller's; a snapshot's collectors have theirs. Writes the bundle and
// nothing else to the host. Failure: what cannot be watched or read is in the report's gaps; an
// error only if the bundle cannot be written.
#ifndef CULPRIT_AGENT_TRIAGE_H_
#define CULPRIT_AGENT_TRIAGE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "agent/source/replay_source.h"
#include "agent/source/source.h"
#include "agent/triage/triage_report.h"
#include "common/result.h"

namespace culprit {

struct TriageOptions {
  std::chrono::seconds watch{30};
  std::string root = "/";  // elsewhere: a mounted disk
  std::string out;         // a file, a directory, "-"; empty: the working directory
  bool bundle = true;      // false: the report alone
  bool metadata = true;    // ask the metadata service who this is, on EC2
  std::string case_id, operator_name, version;
  std::function<Result<std::unique_ptr<EventSource>>(UserEventSink)> open_source;
};

Result<TriageReport> Triage(const TriageOptions& options);

// Its parts. Watches the host for that long, or until SIGINT or SIGTERM. Errors: it cannot be
// watched.
Status WatchHost(const TriageOptions& options, TriageBook* book, std::vector<std::string>* gaps);
// Logins, keys and who it is, from the files of a mounted disk.
Result<TriageReport> ReadDisk(const std::string& root);

}  // namespace culprit

#endif  // CULPRIT_AGENT_TRIAGE_H_
