// SPDX-License-Identifier: Apache-2.0
// Joins logins with what the kernel shows: the connection that a login came by, the process that
// serves it, the audit session that all later processes of it carry. A line of a log is text that a
// local user can write; each link says what it rests on.
//
// Stage: enrich. Pure: time arrives in events, lines and Tick(). Thread: one caller, the
// enricher's. Failure: none; everything is bounded by SessionLimits, what is over a bound is
// counted.
//
// A session's id is the id of its root process: of SSH the process that logs in (one for each
// connection), of a console login(1). Which processes belong to it follows from what every process
// record has (parent, audit session), so that nothing is told twice.
#ifndef CULPRIT_AGENT_ENRICH_SESSION_BOOK_H_
#define CULPRIT_AGENT_ENRICH_SESSION_BOOK_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/enrich/enricher.h"
#include "agent/model/event.h"
#include "agent/model/login.h"
#include "agent/model/record.h"

namespace culprit {

struct SessionLimits {
  std::size_t max_sessions = 4'096;
  std::size_t max_flows = 8'192;      // connections to sshd
  std::size_t max_waiting = 1'024;    // lines, and audit sessions that no line told about yet
  std::size_t max_ended = 1'024;      // sshds and logins that a line may still name
  std::size_t max_unconfirmed = 120;  // lines without a process that are told about, a minute
  std::size_t max_hints = 256;        // lines that add to a login that comes after them
  std::size_t max_changes = 8;        // of login uid, told about for one session
  std::size_t max_pending = 8'192;    // records
  std::chrono::seconds wait{2};  // for the events that belong to a line, and the other way round
  std::chrono::seconds keep{3'600};  // an ended session, for processes that go on
};

struct SessionCounters {
  std::uint64_t logins = 0;
  std::uint64_t unlogged = 0;     // sessions that no line told about
  std::uint64_t unconfirmed = 0;  // lines without a process
  std::uint64_t uid_changes = 0;
  std::uint64_t dropped = 0;  // over a bound
};

class SessionBook {
 public:
  // `processes` and `users` outlive the book.
  SessionBook(const Uuid& boot_id, Enricher& processes, UserNames& users,
              const SessionLimits& limits = {})
      : boot_id_(boot_id), processes_(processes), users_(users), limits_(limits) {}

  // Each event, after the enricher had it.
  void On(const Event& event);
  // `failures_before`: what failed from its address lately.
  void On(const LoginLine& line, BootTime now, std::uint32_t failures_before);
  void Tick(BootTime now);
  // Moves what is ready into the batch, at most `max_records` of each kind.
  void Take(RecordBatch* batch, std::size_t max_records);
  // After a new stream or lost evidence: sessions that go on are told about again.
  void ForgetSent();
  std::size_t pending() const { return logins_.size() + sessions_out_.size(); }
  const SessionCounters& counters() const { return counters_; }

 private:
  struct Entry {
    SessionFacts facts;
    ProcessKey root;     // a zero tgid = not seen
    ProcessKey serving;  // the child that serves it; a zero tgid: none is known, or the root does
    BootTime serving_ended;  // set where it is not sure that this was the one
    bool serving_sure = false;
    bool logged = false;
    bool doubted = false;  // CheckUser() or Contradict() said so
    std::string key;       // fingerprint of the line
  };
  struct Connection {  // to an sshd
    FlowId flow;
    ProcessKey owner;  // of those that came after it, the last; a zero tgid = none: the listener
                       // has it yet
    BootTime began;
    bool preexisting = false;
  };
  using Connections =
      std::multimap<Endpoint, Connection>;  // by the client's end: lines do not tell the other
  struct WaitingLine {
    LoginLine line;
    BootTime at;
    std::uint32_t failures_before = 0;
  };
  struct Unclaimed {   // an audit session that began
    ProcessKey child;  // the first process with it that was told about
    Uid login_uid;
    BootTime at;
  };
  struct Hint {
    std::string key, text;
    BootTime at;
  };

  void OnFork(const ForkEvent& event);
  void OnExec(const ExecEvent& event);
  void OnExit(const ExitEvent& event);
  void OnFlow(const FlowEvent& event);
  void NoteAudit(const ProcessKey& child, const ProcessKey& parent, std::uint32_t session,
                 Uid login_uid, BootTime at);
  void NoteChange(const Process& before, const ProcessKey& child, std::uint32_t session,
                  Uid login_uid, BootTime at);
  void SetAudit(Entry* entry, std::uint32_t session, Uid login_uid,
                const char* reason =
                    "a child of the login process is the first of this audit session");
  const Process* WhatLetIn(std::uint32_t session, const ProcessKey& key);
  const ProcessId* ChangedWithin(const Process& root, std::uint32_t session);
  void BeginUnlogged(std::uint32_t session, const Unclaimed& found);
  void OnSsm(const ExecEvent& event);

  // session_lines.cc
  bool Join(const WaitingLine& waiting, bool last_try);
  bool JoinSsh(const WaitingLine& waiting, bool last_try, Entry* entry);
  bool JoinConsole(const WaitingLine& waiting, bool last_try, Entry* entry);
  const Process* OfPid(std::uint32_t pid, bool (*lets_in)(const Process&));
  const Process* RootOf(const Connection& connection);
  const Process* LoginProcess(const LoginLine& line);
  const Connection* ConnectionOf(const LoginLine& line, const Process* root, bool* agrees);
  void LookForChildren(const Process& root, Entry* entry);
  void SetServing(Entry* entry, const ProcessKey& child, bool sure);
  void FindServing(Entry* entry);
  bool IsRootUser(const SessionFacts& facts) const;
  void CheckUser(Entry* entry);
  void Contradict(Entry* entry, const LoginLine& line);
  bool MayTellUnconfirmed();
  void PutLogin(const WaitingLine& waiting, const Entry& entry);
  void NoteHint(std::deque<Hint>* hints, std::string key, std::string text);
  const std::string* FindHint(const std::deque<Hint>& hints, const std::string& key) const;

  // The session whose root has this tgid, and is that image of it.
  Entry* OfRoot(const ProcessKey& key);
  Entry* Begin(SessionFacts facts, const ProcessKey& root);
  void MakeRoom(BootTime now);
  void Forget(ProcessId id);
  const Process* Parent(const Process& process) { return processes_.Find(process.parent_key); }
  bool Descends(const ProcessKey& key, const ProcessKey& from);

  Uuid boot_id_;
  Enricher& processes_;
  UserNames& users_;
  SessionLimits limits_;
  std::map<ProcessId, Entry> sessions_;
  std::unordered_map<Tgid, ProcessId> by_root_;
  std::unordered_map<std::uint32_t, ProcessId> by_audit_;
  std::unordered_set<ProcessId> dirty_;
  std::unordered_set<ProcessId> unserved_;  // whose serving child has ended, and perhaps was not it
  Connections connections_;
  std::deque<Connections::iterator> connection_order_;  // oldest first
  std::deque<WaitingLine> waiting_;
  BootTime next_try_;
  std::deque<ProcessKey> ended_;  // that let somebody in, oldest first
  BootTime unconfirmed_since_;    // begin of the minute that is counted
  std::size_t unconfirmed_ = 0;   // in it
  std::map<std::uint32_t, Unclaimed> unclaimed_;
  std::deque<Hint> found_at_;    // fingerprint -> file:line
  std::deque<Hint> principals_;  // fingerprint -> for whom it was handed out
  std::deque<LoginFacts> logins_;
  std::deque<SessionFacts> sessions_out_;
  BootTime now_;
  SessionCounters counters_;
};

// Whether it is a process of OpenSSH's server.
bool IsSshd(const Process& process);
// Only such a one lets anybody in.
bool IsRootSshd(const Process& process);
bool IsRootLogin(const Process& process);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_SESSION_BOOK_H_
