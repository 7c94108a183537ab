// SPDX-License-Identifier: Apache-2.0
// Reads the kernel's ledger (bpf/abi.h, culprit_interface) and beside it the interfaces' own
// counters. Stage: source (edge: a BPF map, /proc). Thread: one caller. Owned by BpfSource.
#ifndef CULPRIT_AGENT_SOURCE_LEDGER_READER_H_
#define CULPRIT_AGENT_SOURCE_LEDGER_READER_H_

#include "agent/source/net_namespaces.h"
#include "agent/source/source.h"

namespace culprit {

class LedgerReader {
 public:
  // Every entry of the map to `sink`, then every interface of the namespaces among them to
  // `devices`. What one moment lies between the two is in one and not in the other. Where the map
  // is half full, entries of namespaces without a process are taken out once delivered. Errors: the
  // map cannot be read.
  Status Read(int map_fd, const RecordSink& sink, const UserEventSink& devices);

 private:
  NetNamespaces namespaces_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_LEDGER_READER_H_
