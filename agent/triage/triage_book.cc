// SPDX-License-Identifier: Apache-2.0
#include "agent/triage/triage_book.h"

namespace culprit {

const ProcessFacts* TriageBook::Find(ProcessId id) const {
  const auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : &found->second;
}

void TriageBook::TakeFlow(const FlowRow& row) {
  const std::pair key{row.flow, row.process};
  const auto found = flows_.find(key);
  if (found != flows_.end()) {
    found->second.row = row;
    return;
  }
  // Of a flow that began within the watch nothing had passed before.
  const bool older = (row.flags & kFlowFlagPreexisting) != 0;
  Keep(&flows_, key, WatchedFlow{row, older ? row.totals : FlowTotals{}}, limits_.flows);
}

void TriageBook::Take(const RecordBatch& batch, const ClockPair& clock) {
  if (!first_clock_) first_clock_ = clock;
  clock_ = clock;
  if (batch.host) host_ = batch.host;
  if (batch.fidelity) fidelity_ = batch.fidelity;
  for (const ProcessFacts& process : batch.processes)
    Keep(&processes_, process.id, process, limits_.processes);
  for (const ExitFacts& exit : batch.exits) Keep(&exits_, exit.id, exit.at, limits_.processes);
  for (const FlowRow& row : batch.flows) TakeFlow(row);
  for (const CounterFacts& counters : batch.counters)
    Keep(&counters_, counters.process, counters, limits_.processes);
  for (const SessionFacts& session : batch.sessions)
    Keep(&sessions_, session.id, session, limits_.logins);
  for (const LossFacts& loss : batch.losses) Keep(&losses_, loss.cause, loss, limits_.logins);
  for (const LoginFacts& login : batch.logins) {
    // The newest are kept: logs are read from the oldest on.
    if (logins_.size() >= limits_.logins) {
      logins_.erase(logins_.begin(),
                    logins_.begin() + static_cast<std::ptrdiff_t>(limits_.logins / 4));
      dropped_ += limits_.logins / 4;
    }
    logins_.push_back(login);
  }
  for (const LoginFailureFacts& failure : batch.login_failures) {
    Keep(&failures_,
         FailureKey{failure.minute_wall_ns, failure.address, failure.user, failure.method}, failure,
         limits_.failures);
  }
}

}  // namespace culprit
