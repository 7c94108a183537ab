// SPDX-License-Identifier: Apache-2.0
#include "agent/triage/triage_report.h"

#include <algorithm>
#include <map>

#include "common/ascii.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxProcesses = 50, kMaxDestinations = 20, kMaxLogins = 100, kMaxFailed = 20;
constexpr int kMaxAncestors = 64;
constexpr std::size_t kShownAncestors = 12;
constexpr std::int64_t kStartSlackNs = 2'000'000'000;  // lines of a log have whole seconds

std::string ProtocolName(std::uint8_t protocol) {
  switch (protocol) {
    case 1:
      return "icmp";
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 58:
      return "icmp6";
    case 132:
      return "sctp";
    default:
      return "protocol " + std::to_string(protocol);
  }
}

std::string DirectionName(Direction direction) {
  return direction == Direction::kOut ? "out" : direction == Direction::kIn ? "in" : "other";
}

bool Failed(const FlowRow& row) {
  return row.state == FlowState::kFailed || row.state == FlowState::kAborted ||
         row.state == FlowState::kNotSent;
}

class Maker {
 public:
  explicit Maker(const TriageBook& book) : book_(book) {
    for (const auto& [id, session] : book.sessions()) {
      if (session.root != ProcessId{}) by_process_[session.root] = id;
      if (session.serving != ProcessId{}) by_process_[session.serving] = id;
      if (session.audit_session != kNoSession) by_audit_[session.audit_session] = id;
    }
    for (const LoginFacts& login : book.logins()) login_of_[login.session] = &login;
  }

  TriageReport Make() {
    TriageReport report;
    report.watched = book_.first_clock().has_value();
    if (report.watched) {
      report.began_ns = ToNs(book_.first_clock()->wall);
      report.ended_ns = ToNs(book_.clock().wall);
    }
    if (book_.host()) {
      report.host = book_.host()->hostname;
      report.instance = book_.host()->instance_id;
      report.os = book_.host()->os;
      report.kernel = book_.host()->kernel;
    }
    Processes(&report);
    Logins(&report);
    Failures(&report);
    Gaps(&report);
    return report;
  }

 private:
  std::int64_t WallNs(BootTime at) const { return ToNs(book_.clock().ToWall(at)); }

  void AddFlow(const WatchedFlow& flow, TriageProcess* process) {
    const FlowRow& row = flow.row;
    if (row.direction == Direction::kListen) {
      const std::string at = ProtocolName(row.protocol) + " " + row.local.ToString();
      if (std::ranges::find(process->listens, at) == process->listens.end())
        process->listens.push_back(at);
      return;
    }
    const FlowTotals& all = row.totals;
    if (row.remote.address.IsLoopback() || row.remote.address == row.local.address) {
      process->local_tx_bytes += all.tx_wire_bytes;
    } else {
      process->tx_bytes += all.tx_wire_bytes;
      process->rx_bytes += all.rx_wire_bytes;
      process->tx_before += flow.first.tx_wire_bytes;
      process->rx_before += flow.first.rx_wire_bytes;
    }
    // Who came in has a port of his own for each connection: his address says who it is.
    Endpoint remote = row.remote;
    std::string local;
    if (row.direction == Direction::kIn) {
      remote.port = 0;
      local = " to port " + std::to_string(row.local.port);
    }
    const std::string shown = remote.port == 0 ? remote.address.ToString() : remote.ToString();
    TriageDestination& to =
        destinations_[{row.process, row.protocol, row.direction, shown + local}];
    to.protocol = ProtocolName(row.protocol);
    to.direction = DirectionName(row.direction);
    to.remote = shown + local;
    ++to.flows;
    to.open += row.state == FlowState::kOpen ? 1 : 0;
    to.older += (row.flags & kFlowFlagPreexisting) != 0 ? 1 : 0;
    to.failed += Failed(row) ? 1 : 0;
    to.tx_bytes += all.tx_wire_bytes;
    to.rx_bytes += all.rx_wire_bytes;
    to.tx_payload_bytes += all.tx_payload_bytes;
    to.rx_payload_bytes += all.rx_payload_bytes;
    const std::int64_t first = WallNs(row.start), last = WallNs(row.last);
    to.first_ns = to.first_ns == 0 ? first : std::min(to.first_ns, first);
    to.last_ns = std::max(to.last_ns, last);
  }

  void Processes(TriageReport* report) {
    std::map<ProcessId, TriageProcess> made;
    for (const auto& [key, flow] : book_.flows()) {
      if ((flow.row.flags & kFlowFlagAgent) != 0) continue;
      AddFlow(flow, &made[flow.row.process]);
    }
    for (const auto& [id, counters] : book_.counters()) {
      const bool crafted = counters.activity.raw_packets + counters.activity.link_packets > 0;
      if (crafted || made.contains(id)) made[id].attempts = counters.tcp_attempts;
    }
    for (auto& [key, destination] : destinations_)
      made[std::get<0>(key)].destinations.push_back(std::move(destination));
    for (auto& [id, process] : made) {
      const ProcessFacts* facts = book_.Find(id);
      if (facts != nullptr && facts->is_agent) continue;
      if (facts != nullptr) process.facts = *facts;
      process.facts.id = id;
      Complete(&process);
      report->processes.push_back(std::move(process));
    }
    JudgeProcesses(report);
    std::ranges::stable_sort(report->processes, [](const TriageProcess& a, const TriageProcess& b) {
      return a.tx_bytes != b.tx_bytes ? a.tx_bytes > b.tx_bytes
                                      : a.local_tx_bytes > b.local_tx_bytes;
    });
    if (report->processes.size() > kMaxProcesses) {
      report->more_processes = report->processes.size() - kMaxProcesses;
      report->processes.resize(kMaxProcesses);
    }
  }

  void Complete(TriageProcess* process) {
    process->ended = book_.Ended(process->facts.id);
    std::ranges::stable_sort(process->destinations, [](const auto& a, const auto& b) {
      return a.tx_bytes + a.rx_bytes > b.tx_bytes + b.rx_bytes;
    });
    if (process->destinations.size() > kMaxDestinations) {
      process->more_destinations = process->destinations.size() - kMaxDestinations;
      process->destinations.resize(kMaxDestinations);
    }
    if (const auto counters = book_.counters().find(process->facts.id);
        counters != book_.counters().end()) {
      const CounterFacts& facts = counters->second;
      process->failed_attempts = facts.outcome[CULPRIT_OUTCOME_REFUSED] +
                                 facts.outcome[CULPRIT_OUTCOME_TIMED_OUT] +
                                 facts.outcome[CULPRIT_OUTCOME_UNREACHABLE];
      process->crafted_packets = facts.activity.raw_packets + facts.activity.link_packets;
    }
    const ProcessFacts* parent = book_.Find(process->facts.parent);
    for (int i = 0; parent != nullptr && i < kMaxAncestors; ++i) {
      if (process->ancestry.size() < kShownAncestors)
        process->ancestry.push_back(std::to_string(parent->key.tgid.value()) + " " +
                                    CommandOf(*parent));
      parent = book_.Find(parent->parent);
    }
    process->login = LoginOf(process->facts);
  }

  TriageLogin OfSession(const SessionFacts& session, std::string by) const {
    TriageLogin out;
    const auto told = login_of_.find(session.id);
    if (told != login_of_.end()) {
      out.login = *told->second;
    } else {
      out.login.user = session.user;
      out.login.kind = session.kind;
      out.login.from = session.from;
    }
    out.session = session;
    out.ended = session.ended != BootTime{};
    // Of a session that was there before, the book knows when it was found, not when it began.
    const ProcessFacts* root = book_.Find(session.root);
    out.at_ns = out.login.logged_wall_ns != 0 ? out.login.logged_wall_ns
                : root != nullptr             ? WallNs(root->key.start)
                                              : WallNs(session.began);
    out.by = std::move(by);
    return out;
  }

  // Of a session whose login nobody told about: whose it may be.
  TriageLogin Named(TriageLogin found, const ProcessFacts& process) const {
    if (!found.login.method.empty() || !found.login.key_fingerprint.empty()) return found;
    const auto inferred = Inferred(process);
    if (!inferred || inferred->login.method.empty()) return found;
    found.login = inferred->login;
    found.at_ns = inferred->at_ns;
    found.by += "; the login itself " + inferred->by;
    return found;
  }

  // By descent from what let somebody in, by the audit session, or by name and time alone.
  std::optional<TriageLogin> LoginOf(const ProcessFacts& process) const {
    const auto audit = by_audit_.find(process.session_id);
    const ProcessFacts* at = &process;
    for (int i = 0; at != nullptr && i < kMaxAncestors; ++i) {
      if (const auto found = by_process_.find(at->id); found != by_process_.end()) {
        const bool both = audit != by_audit_.end() && audit->second == found->second;
        return Named(OfSession(book_.sessions().at(found->second),
                               both ? "descent and audit session" : "descent"),
                     process);
      }
      at = book_.Find(at->parent);
    }
    if (audit != by_audit_.end())
      return Named(OfSession(book_.sessions().at(audit->second), "audit session"), process);
    return Inferred(process);
  }

  std::optional<TriageLogin> Inferred(const ProcessFacts& process) const {
    if (process.login_uid == kNoUid || process.login_user.empty()) return std::nullopt;
    const LoginFacts* best = nullptr;
    const std::int64_t start = WallNs(process.key.start) + kStartSlackNs;
    for (const LoginFacts& login : book_.logins()) {
      if (login.user != process.login_user || login.logged_wall_ns == 0) continue;
      if (login.logged_wall_ns > start) continue;
      if (best == nullptr || login.logged_wall_ns > best->logged_wall_ns) best = &login;
    }
    TriageLogin out;
    out.ended = true;
    out.login.user = process.login_user;
    out.by = "its login user alone: no line of a log tells about the login";
    if (best != nullptr) {
      out.login = *best;
      out.at_ns = best->logged_wall_ns;
      out.by = "inferred: the last login of that user before it began";
    }
    return out;
  }

  void Logins(TriageReport* report) const {
    for (const auto& [id, session] : book_.sessions())
      report->logins.push_back(OfSession(session, ""));
    std::ranges::stable_sort(report->logins, [](const TriageLogin& a, const TriageLogin& b) {
      return a.at_ns > b.at_ns;
    });
    if (report->logins.size() > kMaxLogins) report->logins.resize(kMaxLogins);
  }

  void Failures(TriageReport* report) const {
    std::map<std::pair<std::string, std::string>, std::uint64_t> sums;
    for (const auto& [key, failure] : book_.failures()) {
      report->failed_attempts += failure.count;
      sums[{failure.address ? failure.address->ToString() : "several", failure.user}] +=
          failure.count;
    }
    for (const auto& [who, count] : sums)
      report->failures.push_back({who.first, who.second, count});
    std::ranges::stable_sort(report->failures,
                             [](const auto& a, const auto& b) { return a.count > b.count; });
    if (report->failures.size() > kMaxFailed) report->failures.resize(kMaxFailed);
  }

  void Gaps(TriageReport* report) const {
    for (const auto& [cause, loss] : book_.losses())
      report->gaps.push_back("lost while watching: " + std::to_string(loss.count) + " " +
                             loss.detail);
    if (book_.dropped() > 0)
      report->gaps.push_back(std::to_string(book_.dropped()) +
                             " records over the bounds of triage");
    if (!book_.fidelity()) return;
    for (const HookFacts& hook : book_.fidelity()->hooks)
      if (!hook.active) report->gaps.push_back("not available: " + hook.name + " " + hook.note);
  }

  const TriageBook& book_;
  std::map<ProcessId, ProcessId> by_process_;
  std::map<std::uint32_t, ProcessId> by_audit_;
  std::map<ProcessId, const LoginFacts*> login_of_;
  std::map<std::tuple<ProcessId, std::uint8_t, Direction, std::string>, TriageDestination>
      destinations_;
};

}  // namespace

std::string CommandOf(const ProcessFacts& process) {
  std::string command;
  for (const std::string& argument : process.argv) {
    if (argument.empty()) continue;  // what a title leaves over
    command += (command.empty() ? "" : " ") + argument;
    if (command.size() > 200) break;
  }
  command.resize(TrimBack(command, " ").size());
  if (command.empty()) command = process.exe.empty() ? process.comm : process.exe;
  return command.empty() ? "unknown process" : command.substr(0, 200);
}

std::string LoginText(const TriageLogin& told) {
  const LoginFacts& login = told.login;
  std::string text = login.user.empty() ? "an unknown user" : login.user;
  if (login.from) text += " from " + login.from->ToString();
  if (!login.method.empty()) text += " by " + login.method;
  if (!login.key_fingerprint.empty())
    text +=
        " with key " + (login.key_type.empty() ? "" : login.key_type + " ") + login.key_fingerprint;
  if (!login.key_found_at.empty()) text += " (" + login.key_found_at + ")";
  if (!login.principal.empty()) text += " for " + login.principal;
  return text;
}

TriageReport MakeTriageReport(const TriageBook& book) { return Maker(book).Make(); }

}  // namespace culprit
